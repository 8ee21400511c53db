#include "test/soak/objects.h"

#include <fmt/format.h>

#include "test/support/lab.h"

namespace kubenatd::soak {

using nlohmann::json;

namespace {

json head(const std::string& kind, const std::string& version, const std::string& name) {
  return {{"kind", kind}, {"apiVersion", version}, {"metadata", {{"name", name}, {"namespace", kSpace}}}};
}

bool is_far(const std::string& address) {
  return address.starts_with("10.244.2.") || address.starts_with("fd00:10:244:2:");
}

}  // namespace

std::string slice_name(const std::string& service, bool ipv6) {
  return service + (ipv6 ? "-6" : "-4");
}

json slice(const std::string& service, bool ipv6, const std::vector<std::string>& addresses) {
  json object = head("EndpointSlice", "discovery.k8s.io/v1", slice_name(service, ipv6));
  object["metadata"]["labels"] = {{"kubernetes.io/service-name", service}};
  object["addressType"] = ipv6 ? "IPv6" : "IPv4";
  object["ports"] = {{{"name", "http"}, {"port", 8080}, {"protocol", "TCP"}},
                     {{"name", "dns"}, {"port", 9090}, {"protocol", "UDP"}},
                     {{"name", "diameter"}, {"port", 3868}, {"protocol", "SCTP"}}};
  object["endpoints"] = json::array();
  for (const std::string& address : addresses)
    object["endpoints"].push_back({{"addresses", {address}},
                                   {"conditions", {{"ready", true}, {"serving", true}, {"terminating", false}}},
                                   {"nodeName", is_far(address) ? "node-2" : "node-1"}});
  return object;
}

json pod(const std::string& name, const std::vector<std::string>& addresses, int host_port) {
  json object = head("Pod", "v1", name);
  object["metadata"]["uid"] = name;
  object["spec"] = {{"nodeName", "node-1"},
                    {"containers",
                     {{{"name", "main"},
                       {"ports",
                        {{{"name", "http"}, {"containerPort", 8080}, {"hostPort", host_port}, {"protocol", "TCP"}},
                         {{"name", "dns"}, {"containerPort", 9090}, {"hostPort", host_port}, {"protocol", "UDP"}}}}}}}};
  object["status"] = {{"phase", "Running"}, {"podIP", addresses.front()}, {"podIPs", json::array()}};
  for (const std::string& address : addresses) object["status"]["podIPs"].push_back({{"ip", address}});
  return object;
}

json node(const std::string& zone, const std::vector<std::string>& more_addresses) {
  json object = {{"kind", "Node"},
                 {"apiVersion", "v1"},
                 {"metadata", {{"name", "node-1"}, {"labels", {{"topology.kubernetes.io/zone", zone}}}}},
                 {"spec", {{"podCIDR", "10.244.1.0/24"}, {"podCIDRs", {"10.244.1.0/24", "fd00:10:244:1::/64"}}}}};
  std::vector<std::string> addresses{test::kNode, test::kNode6};
  addresses.insert(addresses.end(), more_addresses.begin(), more_addresses.end());
  for (const std::string& address : addresses)
    object["status"]["addresses"].push_back({{"type", "InternalIP"}, {"address", address}});
  return object;
}

std::string random_service_name(unsigned number) {
  return fmt::format("s{}", number);
}

std::string random_pod_name(unsigned number) {
  return fmt::format("p{}", number);
}

json random_service(unsigned number, Dice& dice) {
  json object = head("Service", "v1", random_service_name(number));
  json& spec = object["spec"];
  if (dice.one_in(40)) {
    spec = {{"type", "ExternalName"}, {"externalName", "example.org"}};
    return object;
  }
  const std::string four = fmt::format("10.96.{}.{}", number / 200, number % 200 + 1);
  const std::string six = fmt::format("fd00:10:96::{:x}", number + 0x100);
  const bool both = dice.one_in(2);
  spec["clusterIP"] = four;
  spec["clusterIPs"] = both ? json{four, six} : json{four};
  spec["ipFamilies"] = both ? json{"IPv4", "IPv6"} : json{"IPv4"};
  const unsigned type = dice.below(10);
  const bool outside = type < 3;
  const bool balanced = type == 0;
  spec["type"] = balanced ? "LoadBalancer" : outside ? "NodePort" : "ClusterIP";
  spec["ports"] = json::array();
  const std::vector<std::pair<std::string, std::string>> ports{{"http", "TCP"}, {"dns", "UDP"}, {"diameter", "SCTP"}};
  for (std::size_t i = 0; i < ports.size(); ++i) {
    if (i != 0 && !dice.one_in(i == 1 ? 3 : 5)) continue;
    json port = {{"name", ports[i].first}, {"protocol", ports[i].second}, {"port", 80 + i}};
    // Numbers of 30000 to 31999; two Services may ask for the same one, as when objects come in another order.
    if (outside) port["nodePort"] = 30000 + (number * 2 + i + (dice.one_in(50) ? 1 : 0)) % 2000;
    spec["ports"].push_back(port);
  }
  if (dice.one_in(6)) {
    spec["sessionAffinity"] = "ClientIP";
    spec["sessionAffinityConfig"] = {{"clientIP", {{"timeoutSeconds", 10 + dice.below(100)}}}};
  }
  if (dice.one_in(6)) spec["internalTrafficPolicy"] = "Local";
  if (outside && dice.one_in(3)) {
    spec["externalTrafficPolicy"] = "Local";
    if (balanced && number < 20) spec["healthCheckNodePort"] = 29000 + number;
  }
  if (dice.one_in(20)) spec["externalIPs"] = {fmt::format("198.51.100.{}", number % 200 + 1)};
  if (balanced) {
    object["status"]["loadBalancer"]["ingress"] = {{{"ip", fmt::format("203.0.113.{}", number % 90 + 1)}}};
    if (dice.one_in(3)) spec["loadBalancerSourceRanges"] = {"192.0.2.0/24"};
  }
  return object;
}

json random_slice(unsigned number, bool ipv6, Dice& dice) {
  std::vector<std::string> addresses;
  for (unsigned i = dice.below(5); i > 0; --i) {
    const unsigned node_number = 1 + dice.below(2);
    const unsigned host = 20 + dice.below(200);
    addresses.push_back(ipv6 ? fmt::format("fd00:10:244:{}::{:x}", node_number, host)
                             : fmt::format("10.244.{}.{}", node_number, host));
  }
  json object = slice(random_service_name(number), ipv6, addresses);
  for (json& endpoint : object["endpoints"])
    if (dice.one_in(6)) endpoint["conditions"] = {{"ready", false}, {"serving", true}, {"terminating", true}};
  return object;
}

json random_pod(unsigned number, Dice& dice) {
  const unsigned host = 20 + dice.below(200);
  std::vector<std::string> addresses{fmt::format("10.244.1.{}", host)};
  if (dice.one_in(2)) addresses.push_back(fmt::format("fd00:10:244:1::{:x}", host));
  json object = pod(random_pod_name(number), addresses, static_cast<int>(21000 + number));
  if (dice.one_in(4))
    object["spec"]["containers"][0]["ports"].push_back(
        {{"name", "diameter"}, {"containerPort", 3868}, {"hostPort", 21000 + number}, {"protocol", "SCTP"}});
  return object;
}

}  // namespace kubenatd::soak
