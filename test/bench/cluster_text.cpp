#include "test/bench/cluster_text.h"

#include <fmt/format.h>

#include <variant>

#include "test/bench/cluster_state.h"

namespace kubenatd::bench {

std::string service_json(std::size_t service, std::string_view metadata) {
  const auto made = make_slice(service, 0, 0);
  const std::string& name = std::get<agent::objects::EndpointSlice>(*made.object).service;
  const std::string address = cluster_ip(service).to_string();
  return fmt::format(
      R"({{"kind":"Service","apiVersion":"v1","metadata":{{{2}"name":"{0}","namespace":"bench","labels":{{"app":"web"}}}},)"
      R"("spec":{{"type":"ClusterIP","clusterIP":"{1}","clusterIPs":["{1}"],"ipFamilies":["IPv4"],)"
      R"("ipFamilyPolicy":"SingleStack","internalTrafficPolicy":"Cluster","sessionAffinity":"None",)"
      R"("selector":{{"app":"{0}"}},"ports":[{{"name":"http","protocol":"TCP","port":{3},"targetPort":{4}}}]}},)"
      R"("status":{{"loadBalancer":{{}}}}}})",
      name, address, metadata, kServicePort, kEndpointPort);
}

std::string slice_json(std::size_t service, std::size_t endpoints, std::size_t variant, std::string_view metadata) {
  const auto made = make_slice(service, endpoints, variant);
  const auto& slice = std::get<agent::objects::EndpointSlice>(*made.object);
  std::string list;
  for (const agent::objects::SliceEndpoint& endpoint : slice.endpoints)
    list += fmt::format(
        R"({}{{"addresses":["{}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},"nodeName":"{}",)"
        R"("targetRef":{{"kind":"Pod","namespace":"bench","name":"pod","uid":"00000000-0000-0000-0000-000000000000"}}}})",
        list.empty() ? "" : ",", endpoint.address.to_string(), endpoint.place->node_name);
  return fmt::format(
      R"({{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{{{}"name":"{}","namespace":"bench",)"
      R"("labels":{{"app":"web","kubernetes.io/service-name":"{}"}}}},"addressType":"IPv4","endpoints":[{}],)"
      R"("ports":[{{"name":"http","protocol":"TCP","port":{}}}]}})",
      metadata, slice.key.name, slice.service, list, kEndpointPort);
}

}  // namespace kubenatd::bench
