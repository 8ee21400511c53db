#include "test/unit/objects/typed_fields.h"

#include <string>

namespace kubenatd::agent::objects {
namespace {

using nlohmann::json;

std::string shown(const rules::Address& address) {
  return address.to_string();
}
std::string shown(const rules::Prefix& prefix) {
  return prefix.to_string();
}
std::string shown(rules::Family family) {
  return std::string(name_of(family));
}

template <class T>
json list_of(const std::vector<T>& values) {
  json list = json::array();
  for (const T& value : values) list.push_back(shown(value));
  return list;
}

std::string shown(rules::Protocol protocol) {
  return protocol == rules::Protocol::kTcp ? "TCP" : protocol == rules::Protocol::kUdp ? "UDP" : "SCTP";
}

json fields_of(const Service& service) {
  constexpr const char* kTypes[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName"};
  json out{{"key", service.key.to_string()},
           {"type", kTypes[static_cast<std::size_t>(service.type)]},
           {"foreign", service.foreign_proxy}};
  if (service.type == Service::Type::kExternalName) return out;
  out["clusterIPs"] = list_of(service.cluster_ips);
  out["families"] = list_of(service.ip_families);
  out["externalIPs"] = list_of(service.external_ips);
  out["ranges"] = list_of(service.source_ranges);
  out["internalLocal"] = service.internal_policy_local;
  out["externalLocal"] = service.external_policy_local;
  out["health"] = service.health_check_node_port;
  out["notReady"] = service.publish_not_ready;
  out["selector"] = service.selector;
  out["affinity"] = service.affinity_seconds ? json(*service.affinity_seconds) : json();
  json ports = json::array();
  for (const ServicePort& port : service.ports)
    ports.push_back({port.name, shown(port.protocol), port.port, port.node_port,
                     port.target_port.empty() ? std::to_string(port.port) : port.target_port});
  out["ports"] = ports;
  out["loadBalancerIPs"] = list_of(service.load_balancer_ips);
  return out;
}

json fields_of(const EndpointSlice& slice) {
  json ports = json::array();
  for (const SlicePort& port : slice.ports) ports.push_back({port.name, shown(port.protocol), port.port});
  json endpoints = json::array();
  for (const SliceEndpoint& one : slice.endpoints)
    endpoints.push_back({shown(one.address), one.ready, one.serving, one.terminating, one.place->node_name,
                         json(one.place->zone_hints), json(one.place->node_hints)});
  return {{"key", slice.key.to_string()},
          {"service", slice.service},
          {"type", shown(slice.family)},
          {"ports", ports},
          {"endpoints", endpoints}};
}

json fields_of(const Node& node) {
  return {{"key", node.key.to_string()},
          {"addresses", list_of(node.addresses)},
          {"podCIDRs", list_of(node.pod_cidrs)},
          {"zone", node.zone},
          {"leaving", node.is_leaving}};
}

json fields_of(const Pod& pod) {
  constexpr const char* kPhases[] = {"Pending", "Running", "Succeeded", "Failed", "other"};
  json ports = json::array();
  for (const ContainerPort& port : pod.ports)
    ports.push_back({port.name, shown(port.protocol), port.container_port, port.host_port,
                     port.host_ip ? shown(*port.host_ip) : std::string()});
  return {{"key", pod.key.to_string()},
          {"labels", pod.labels},
          {"node", pod.node_name},
          {"hostname", pod.hostname},
          {"hostNetwork", pod.host_network},
          {"phase", kPhases[static_cast<std::size_t>(pod.phase)]},
          {"ready", pod.ready},
          {"terminating", pod.terminating},
          {"created", pod.created},
          {"addresses", list_of(pod.addresses)},
          {"ports", ports}};
}

json fields_of(const IngressBackend& backend) {
  return json::array({backend.service, backend.port, backend.port_name});
}

json fields_of(const Ingress& ingress) {
  constexpr const char* kTypes[] = {"Exact", "Prefix", "ImplementationSpecific"};
  json rules = json::array();
  for (const IngressRule& rule : ingress.rules) {
    json paths = json::array();
    for (const IngressPath& path : rule.paths)
      paths.push_back({path.path, kTypes[static_cast<std::size_t>(path.type)], fields_of(path.backend)});
    rules.push_back(json::array({rule.host, paths}));
  }
  return {{"key", ingress.key.to_string()},
          {"class", ingress.class_name},
          {"default", ingress.default_backend ? fields_of(*ingress.default_backend) : json()},
          {"rules", rules},
          {"hosts", ingress.tls_hosts}};
}

json fields_of(const ServiceCidr& ranges) {
  return {{"cidrs", list_of(ranges.cidrs)}};
}
json fields_of(const IngressClass& one) {
  return {{"controller", one.controller}};
}
json fields_of(const auto& /*another kind*/) {
  return {};
}

}  // namespace

json typed_fields(const Object& object) {
  return std::visit([](const auto& one) { return fields_of(one); }, object);
}

}  // namespace kubenatd::agent::objects
