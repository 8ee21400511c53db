#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "agent/base/printable.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

constexpr std::string_view kNoClusterIp = "None";

Service::Type read_type(const Field& field) {
  using Type = Service::Type;
  constexpr std::array<std::pair<std::string_view, Type>, 4> kTypes{{{"ClusterIP", Type::kClusterIp},
                                                                     {"NodePort", Type::kNodePort},
                                                                     {"LoadBalancer", Type::kLoadBalancer},
                                                                     {"ExternalName", Type::kExternalName}}};
  const std::string text = field.text(Wrong::kRefuse);
  for (const auto& [name, type] : kTypes)
    if (text == name) return type;
  if (!text.empty()) field.tell(Wrong::kRefuse, base::in_quotes(text) + " is not a type of Service");
  return Type::kClusterIp;
}

/// For fields with two words; absent means the first.
bool is_second_word(const Field& field, std::string_view first, std::string_view second) {
  const std::string text = field.text(Wrong::kLeave);
  if (!text.empty() && text != first && text != second)
    field.tell(Wrong::kLeave, fmt::format("{} is not {} or {}", base::in_quotes(text), first, second));
  return text == second;
}

std::vector<rules::Family> read_families(const Field& field) {
  std::vector<rules::Family> families;
  for (const Field& element : field.elements()) {
    const std::string text = element.text(Wrong::kRefuse);
    const bool ipv6 = text == name_of(rules::Family::kIpv6);
    if (!ipv6 && text != name_of(rules::Family::kIpv4))
      element.tell(Wrong::kRefuse, base::in_quotes(text) + " is not IPv4 or IPv6");
    const rules::Family family = ipv6 ? rules::Family::kIpv6 : rules::Family::kIpv4;
    if (std::find(families.begin(), families.end(), family) != families.end())
      element.tell(Wrong::kRefuse, base::in_quotes(text) + " is there twice");
    families.push_back(family);
  }
  return families;
}

/// Cluster addresses and headlessness. kube-proxy takes spec.clusterIPs by the position of the family in
/// spec.ipFamilies, and spec.clusterIP by its own family when ipFamilies is empty. Each of the two fields stands in
/// for the other here, as the API server would have filled it in.
void read_cluster_ips(const Field& spec, Service& service) {
  const Field single = spec.member("clusterIP");
  std::vector<Field> fields = spec.member("clusterIPs").elements();
  if (service.ip_families.empty() && single.is_text() && !single.text(Wrong::kRefuse).empty()) {
    std::erase_if(fields,
                  [&](const Field& field) { return field.text(Wrong::kRefuse) == single.text(Wrong::kRefuse); });
    fields.insert(fields.begin(), single);
  }
  if (fields.empty() && single.present()) fields.push_back(single);
  const std::string first = fields.empty() ? std::string() : fields.front().text(Wrong::kRefuse);
  if (first.empty() || first == kNoClusterIp) {
    service.headless = !first.empty();
    return;
  }
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (!service.ip_families.empty() && i >= service.ip_families.size()) break;
    const auto address = fields[i].address(Wrong::kRefuse);
    if (!address || address->is_unspecified()) {
      fields[i].tell(Wrong::kRefuse, address ? "is not the address of one Service" : "is not an IP address");
      return;
    }
    if (!service.ip_families.empty() && address->family != service.ip_families[i])
      fields[i].tell(Wrong::kRefuse, fmt::format("{} is not {}, as spec.ipFamilies[{}] says", address->to_string(),
                                                 name_of(service.ip_families[i]), i));
    if (std::any_of(service.cluster_ips.begin(), service.cluster_ips.end(),
                    [&](const rules::Address& other) { return other.family == address->family; }))
      fields[i].tell(Wrong::kLeave, fmt::format("a second {} address", name_of(address->family)));
    else
      service.cluster_ips.push_back(*address);
  }
}

/// Families of a Service that has no cluster IP yet: as the API server would set them, as far as that can be told. The
/// cluster's own families are not known here. Those of the Service's addresses come first; a Service without any is
/// IPv4; a policy of two families has both.
std::vector<rules::Family> families_without_cluster_ip(const Field& spec, const Service& service) {
  std::vector<rules::Family> families = service.ip_families;
  const auto add = [&](rules::Family family) {
    if (std::ranges::find(families, family) == families.end()) families.push_back(family);
  };
  if (families.empty()) {
    for (const rules::Address& address : service.external_ips) add(address.family);
    for (const rules::Address& address : service.load_balancer_ips) add(address.family);
  }
  if (families.empty()) add(rules::Family::kIpv4);
  const std::string policy = spec.member("ipFamilyPolicy", Wrong::kLeave).text(Wrong::kLeave);
  if (policy == "PreferDualStack" || policy == "RequireDualStack")
    for (const rules::Family family : rules::kFamilies) add(family);
  return families;
}

std::string read_target_port(const Field& field) {
  constexpr std::size_t kLongestName = 15;  // IANA service name
  if (!field.present()) return {};
  if (!field.is_text()) {
    constexpr std::uint32_t kHighest = 65535;
    const auto number = field.number(0, kHighest, Wrong::kRefuse).value_or(0);
    return number == 0 ? std::string() : std::to_string(number);
  }
  std::string name = field.text(Wrong::kRefuse);
  if (name.empty()) return name;
  std::uint16_t number = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
  const bool is_number = failure == std::errc{} && end == name.data() + name.size() && number != 0;
  if (is_number) return std::to_string(number);
  if (!is_dns_label(name) || name.size() > kLongestName ||
      std::none_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; }))
    field.tell(Wrong::kRefuse, base::in_quotes(name) + " is not a port number or port name");
  return name;
}

void read_ports(const Field& spec, Service& service) {
  const std::vector<Field> elements = spec.member("ports").elements();
  constexpr std::size_t kMostPorts = 4096;  // each is compared with all earlier ones
  if (elements.size() > kMostPorts) {
    spec.member("ports").tell(Wrong::kRefuse, fmt::format("{} ports are too many", elements.size()));
    return;
  }
  for (const Field& element : elements) {
    ServicePort port;
    const Field name = element.member("name");
    port.name = name.text(Wrong::kRefuse);
    if (!port.name.empty() && !is_dns_label(port.name))
      name.tell(Wrong::kRefuse, base::in_quotes(port.name) + " is not a DNS label");
    port.protocol = element.member("protocol").protocol(Wrong::kRefuse).value_or(rules::Protocol::kTcp);
    const Field number = element.member("port");
    if (!number.present()) number.tell(Wrong::kRefuse, "is missing");
    port.port = number.port(Wrong::kRefuse);
    constexpr std::uint32_t kHighest = 65535;
    const Field node_port = element.member("nodePort");
    port.node_port = static_cast<std::uint16_t>(node_port.number(0, kHighest, Wrong::kRefuse).value_or(0));
    port.target_port = read_target_port(element.member("targetPort"));
    // Two ports of one Service that cannot be told apart would share a chain.
    for (const ServicePort& other : service.ports) {
      if (other.name == port.name)
        name.tell(Wrong::kRefuse, base::in_quotes(port.name) + " is the name of an earlier port");
      if (other.protocol != port.protocol) continue;
      if (other.port == port.port) number.tell(Wrong::kRefuse, fmt::format("{} is there twice", port.port));
      if (port.node_port != 0 && other.node_port == port.node_port)
        node_port.tell(Wrong::kRefuse, fmt::format("{} is there twice", port.node_port));
    }
    service.ports.push_back(std::move(port));
  }
  service.ports.shrink_to_fit();
}

void read_load_balancer(const Field& root, Service& service) {
  const Field ingress =
      root.member("status", Wrong::kLeave).member("loadBalancer", Wrong::kLeave).member("ingress", Wrong::kLeave);
  for (const Field& element : ingress.elements(Wrong::kLeave)) {
    const std::string mode = element.member("ipMode", Wrong::kLeave).text(Wrong::kLeave);
    if (!mode.empty() && mode != "VIP") continue;
    if (const auto address = element.member("ip", Wrong::kLeave).address(Wrong::kLeave))
      service.load_balancer_ips.push_back(*address);
  }
}

std::uint16_t read_health_check_port(const Field& field, const Service& service) {
  if (service.type != Service::Type::kLoadBalancer || !service.external_policy_local) return 0;
  constexpr std::uint32_t kHighest = 65535;
  return static_cast<std::uint16_t>(field.number(0, kHighest, Wrong::kLeave).value_or(0));
}

void read_affinity(const Field& spec, Service& service) {
  if (!is_second_word(spec.member("sessionAffinity"), "None", "ClientIP")) return;
  constexpr std::uint32_t kDefault = 10800;  // the API's default
  constexpr std::uint32_t kLongest = 86400;  // the API's limit
  service.affinity_seconds = spec.member("sessionAffinityConfig", Wrong::kLeave)
                                 .member("clientIP", Wrong::kLeave)
                                 .member("timeoutSeconds", Wrong::kLeave)
                                 .number(1, kLongest, Wrong::kLeave)
                                 .value_or(kDefault);
}

}  // namespace

Service decode_service(const Field& root, ObjectKey key) {
  Service service;
  service.key = std::move(key);
  const Labels labels = root.member("metadata").member("labels").labels(Wrong::kLeave);
  service.foreign_proxy = labels.contains("service.kubernetes.io/service-proxy-name");
  const Field spec = root.member("spec");
  service.type = read_type(spec.member("type"));
  if (service.type == Service::Type::kExternalName) return service;

  service.ip_families = read_families(spec.member("ipFamilies"));
  read_cluster_ips(spec, service);
  read_ports(spec, service);
  for (const Field& element : spec.member("externalIPs", Wrong::kLeave).elements(Wrong::kLeave))
    if (const auto address = element.address(Wrong::kLeave)) service.external_ips.push_back(*address);
  read_load_balancer(root, service);
  for (const Field& element : spec.member("loadBalancerSourceRanges", Wrong::kLeave).elements(Wrong::kLeave))
    if (const auto prefix = element.prefix(Wrong::kLeave)) service.source_ranges.push_back(*prefix);

  service.internal_policy_local = is_second_word(spec.member("internalTrafficPolicy"), "Cluster", "Local");
  service.external_policy_local = is_second_word(spec.member("externalTrafficPolicy"), "Cluster", "Local") &&
                                  (service.type != Service::Type::kClusterIp || !service.external_ips.empty());
  service.health_check_node_port = read_health_check_port(spec.member("healthCheckNodePort"), service);
  read_affinity(spec, service);
  service.publish_not_ready = spec.member("publishNotReadyAddresses").flag(Wrong::kLeave).value_or(false);
  service.selector = spec.member("selector").labels(Wrong::kRefuse);
  service.distribution = read_distribution(root);
  service.wants_node_ports =
      service.type == Service::Type::kNodePort ||
      (service.type == Service::Type::kLoadBalancer &&
       spec.member("allocateLoadBalancerNodePorts", Wrong::kLeave).flag(Wrong::kLeave).value_or(true));
  if (service.cluster_ips.empty() && !service.headless)
    service.ip_families = families_without_cluster_ip(spec, service);
  return service;
}

}  // namespace kubenatd::agent::objects
