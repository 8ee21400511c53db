#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <utility>

#include "agent/base/printable.h"
#include "agent/objects/api_words.h"
#include "agent/objects/checks.h"
#include "agent/objects/decoders.h"
#include "agent/objects/service_checks.h"

namespace kubenatd::agent::objects {
namespace {

constexpr std::string_view kNoClusterIp = "None";

/// One of the words; absent and empty text mean `usual`. A word that is not known may restrict: it refuses.
std::string read_word(const Field& field, std::string_view usual, std::span<const std::string_view> words) {
  std::string text = field.text();
  if (text.empty()) return std::string(usual);
  if (std::ranges::find(words, text) == words.end()) field.tell(Wrong::kRefuse, not_supported(text, words));
  return text;
}

Service::Type read_type(const Field& field) {
  using Type = Service::Type;
  constexpr std::array<std::string_view, 4> kWords{"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"};
  constexpr std::array<Type, 4> kTypes{Type::kClusterIp, Type::kExternalName, Type::kLoadBalancer, Type::kNodePort};
  const auto found = std::ranges::find(kWords, read_word(field, "ClusterIP", kWords));
  return found == kWords.end() ? Type::kClusterIp : kTypes.at(static_cast<std::size_t>(found - kWords.begin()));
}

constexpr std::array<std::string_view, 2> kPolicies{"Cluster", "Local"};

bool is_local(const Field& field) {
  return read_word(field, "Cluster", kPolicies) == "Local";
}

std::vector<rules::Family> read_families(const Field& field) {
  constexpr std::array<std::string_view, 2> kWords{name_of(rules::Family::kIpv4), name_of(rules::Family::kIpv6)};
  std::vector<rules::Family> families;
  for (const Field& element : field.elements()) {
    const std::string text = element.text();
    if (std::ranges::find(kWords, text) == kWords.end()) element.tell(Wrong::kRefuse, not_supported(text, kWords));
    const rules::Family family = text == kWords[1] ? rules::Family::kIpv6 : rules::Family::kIpv4;
    if (std::ranges::find(families, family) != families.end()) element.tell(Wrong::kRefuse, duplicate(text));
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
  const std::string policy = spec.member("ipFamilyPolicy").text();
  if (policy == "PreferDualStack" || policy == "RequireDualStack")
    for (const rules::Family family : rules::kFamilies) add(family);
  return families;
}

std::string read_target_port(const Field& field) {
  if (!field.present()) return {};
  if (!field.is_text()) {
    const std::uint16_t number = field.port_or_zero(Wrong::kRefuse);
    return number == 0 ? std::string() : std::to_string(number);
  }
  std::string name = field.text();
  if (name.empty()) return name;
  // The API server takes no number in quotes.
  if (const auto wrong = wrong_port_name(name); !wrong.empty()) field.tell(Wrong::kRefuse, invalid(name, wrong));
  return name;
}

/// Two ports of one Service that cannot be told apart would share a chain.
class PortsSeen {
 public:
  void add(const Field& element, const ServicePort& port) {
    if (!names_.add(port.name)) element.member("name").tell(Wrong::kRefuse, duplicate(port.name));
    if (!ports_.insert({port.protocol, port.port}).second)
      element.tell(Wrong::kRefuse, duplicate(fmt::format("{}/{}", port.port, name_of(port.protocol))));
    if (port.node_port != 0 && !node_ports_.insert({port.protocol, port.node_port}).second)
      element.member("nodePort").tell(Wrong::kRefuse, duplicate(port.node_port));
  }

 private:
  Seen names_;
  std::set<std::pair<rules::Protocol, std::uint16_t>> ports_;
  std::set<std::pair<rules::Protocol, std::uint16_t>> node_ports_;
};

void read_ports(const Field& spec, Service& service) {
  const std::vector<Field> elements = spec.member("ports").elements();
  PortsSeen seen;
  service.ports.reserve(elements.size());
  for (const Field& element : elements) {
    ServicePort port;
    const Field name = element.member("name");
    port.name = name.text();
    if (port.name.empty() && elements.size() > 1) name.disallow(required());
    if (const auto wrong = wrong_dns_label(port.name); !port.name.empty() && !wrong.empty())
      name.tell(Wrong::kRefuse, invalid(port.name, wrong));
    port.protocol = element.member("protocol").protocol(Wrong::kRefuse).value_or(rules::Protocol::kTcp);
    const Field number = element.member("port");
    if (!number.present()) number.tell(Wrong::kRefuse, invalid(0, between(1, 65535)));
    port.port = number.port(Wrong::kRefuse);
    port.node_port = element.member("nodePort").port_or_zero(Wrong::kRefuse);
    port.target_port = read_target_port(element.member("targetPort"));
    seen.add(element, port);
    service.ports.push_back(std::move(port));
  }
}

void read_load_balancer(const Field& root, Service& service) {
  constexpr std::array<std::string_view, 2> kModes{"Proxy", "VIP"};
  for (const Field& element : root.member("status").member("loadBalancer").member("ingress").elements()) {
    const Field ip = element.member("ip");
    const Field mode = element.member("ipMode");
    const std::string mode_text = mode.text();
    const auto address = ip.address(Wrong::kLeave);
    if (mode.present() && ip.text().empty()) mode.disallow(forbidden("may not be specified when `ip` is not set"));
    if (mode.present() && std::ranges::find(kModes, mode_text) == kModes.end())
      mode.tell(Wrong::kLeave, not_supported(mode_text, kModes));
    if (address && (!mode.present() || mode_text == "VIP")) service.load_balancer_ips.push_back(*address);
  }
}

/// kube-proxy skips a range that it cannot read, and is open to everybody when none of a family is left. Here such a
/// family loses its load balancer addresses instead.
void read_source_ranges(const Field& field, Service& service) {
  bool some_unreadable = false;
  for (const Field& element : field.elements()) {
    const std::string written = element.text();
    const std::string_view text = base::trimmed(written);  // blanks around it are part of the API
    if (const auto prefix = rules::Prefix::parse(text)) {
      service.source_ranges.push_back(*prefix);
    } else {
      element.tell(Wrong::kLeave, invalid(text, kMustBeCidr));
      some_unreadable = true;
    }
  }
  if (!some_unreadable) return;
  const auto is_open = [&](const rules::Address& address) {
    return std::ranges::none_of(service.source_ranges,
                                [&](const rules::Prefix& prefix) { return prefix.address.family == address.family; });
  };
  for (const rules::Address& address : service.load_balancer_ips)
    if (is_open(address))
      field.note(fmt::format("no range of {} is left: the load balancer address {} is left out rather than open to all",
                             name_of(address.family), address.to_string()));
  std::erase_if(service.load_balancer_ips, is_open);
}

void read_affinity(const Field& spec, Service& service) {
  constexpr std::array<std::string_view, 2> kWords{"ClientIP", "None"};
  const std::string affinity = read_word(spec.member("sessionAffinity"), "None", kWords);
  const Field field = spec.member("sessionAffinityConfig").member("clientIP").member("timeoutSeconds");
  const auto seconds = field.integer();
  if (affinity != "ClientIP") return;
  constexpr std::uint32_t kDefault = 10800;  // the API's default
  constexpr std::int32_t kLongest = 86400;   // the API's limit
  service.affinity_seconds = kDefault;
  if (!seconds) return;
  if (*seconds < 1 || *seconds > kLongest)
    field.tell(Wrong::kLeave, invalid(*seconds, "must be greater than 0 and less than 86400"));
  else
    service.affinity_seconds = static_cast<std::uint32_t>(*seconds);
}

void read_policies(const Field& spec, Service& service) {
  check_external_policy(spec, service);
  const Field internal = spec.member("internalTrafficPolicy");
  if (internal.is_text() && internal.text().empty()) internal.disallow(not_supported("", kPolicies));  // no default
  service.internal_policy_local = is_local(internal);
  const bool is_external = service.type != Service::Type::kClusterIp || !service.external_ips.empty();
  const Field external = spec.member("externalTrafficPolicy");
  service.external_policy_local = is_external ? is_local(external) : (void(external.text()), false);
  const Field health = spec.member("healthCheckNodePort");
  if (service.type == Service::Type::kLoadBalancer && service.external_policy_local)
    service.health_check_node_port = health.port_or_zero(Wrong::kLeave);
}

}  // namespace

Service decode_service(const Field& root, ObjectKey key) {
  Service service;
  service.key = std::move(key);
  const Labels labels = root.member("metadata").member("labels").labels();
  service.foreign_proxy = labels.contains("service.kubernetes.io/service-proxy-name");
  const Field spec = root.member("spec");
  service.type = read_type(spec.member("type"));
  service.ip_families = read_families(spec.member("ipFamilies"));
  check_cluster_ips(spec, service);
  if (service.type == Service::Type::kExternalName) {
    service.ip_families.clear();
    return service;
  }
  read_cluster_ips(spec, service);
  read_ports(spec, service);
  for (const Field& element : spec.member("externalIPs").elements())
    if (const auto address = element.listed_address(Wrong::kLeave)) {
      check_endpoint_address(element, *address);
      service.external_ips.push_back(*address);
    }
  check_type_fields(root, service);
  read_load_balancer(root, service);
  read_source_ranges(spec.member("loadBalancerSourceRanges"), service);
  read_policies(spec, service);
  read_affinity(spec, service);
  service.publish_not_ready = spec.member("publishNotReadyAddresses").flag().value_or(false);
  const Field selector = spec.member("selector");
  if (selector.is_from_folder()) check_label_texts(selector);
  service.selector = selector.labels();
  service.distribution = read_distribution(root);
  service.wants_node_ports =
      service.type == Service::Type::kNodePort || (service.type == Service::Type::kLoadBalancer &&
                                                   spec.member("allocateLoadBalancerNodePorts").flag().value_or(true));
  if (service.cluster_ips.empty() && !service.headless)
    service.ip_families = families_without_cluster_ip(spec, service);
  return service;
}

}  // namespace kubenatd::agent::objects
