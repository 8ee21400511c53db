#include "agent/objects/service_checks.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/printable.h"
#include "agent/objects/api_words.h"
#include "rules/words.h"

namespace kubenatd::agent::objects {
namespace {

using Type = Service::Type;

constexpr std::string_view kNone = "None";
constexpr const char* kRangesAnnotation = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// A list in an error: ["10.0.0.1","fd00::1"].
std::string invalid_list(const std::vector<std::string>& values, std::string_view detail) {
  std::string shown;
  for (const std::string& value : values) shown.append(shown.empty() ? "" : ",").append(base::in_quotes(value));
  return fmt::format("Invalid value: [{}]: {}", shown, detail);
}

void check_families(const std::vector<Field>& fields, const std::vector<rules::Address>& addresses,
                    const std::vector<rules::Family>& families) {
  for (std::size_t i = 0; i < addresses.size() && i < families.size(); ++i)
    if (addresses[i].family != families[i])
      fields[i].disallow(invalid(fields[i].text(), fmt::format("expected an {} value as indicated by `ipFamilies[{}]`",
                                                               name_of(families[i]), i)));
}

/// The annotation that was there before the field. kube-proxy does not look at it, nor does kubenatd.
void check_ranges_annotation(const Field& root, const Service& service) {
  const Field annotation = root.member("metadata").member("annotations").entry(kRangesAnnotation);
  if (!annotation.present()) return;
  if (service.type != Type::kLoadBalancer)
    return annotation.disallow(forbidden("may only be used when `type` is 'LoadBalancer'"));
  const std::string text = annotation.text();
  const std::string_view list = base::trimmed(text);
  if (!list.empty())
    for (const std::string_view part : rules::split(list, ','))
      if (const auto one = base::trimmed(part); !rules::Prefix::parse(one))
        annotation.disallow(invalid(one, kMustBeCidr));
  annotation.note("is for load balancers outside: only spec.loadBalancerSourceRanges restricts here");
}

}  // namespace

void check_cluster_ips(const Field& spec, const Service& service) {
  const Field single_field = spec.member("clusterIP");
  const Field list = spec.member("clusterIPs");
  const std::string single = single_field.text();
  std::vector<Field> fields = list.elements();
  if (!spec.is_from_folder()) return;
  std::vector<std::string> texts;
  for (const Field& field : fields) texts.push_back(field.text());
  if (!single.empty() && !texts.empty() && texts[0] != single)
    list.disallow(invalid_list(texts, "first value must match `clusterIP`"));
  if (single.empty() && !texts.empty())
    list.disallow(invalid_list(texts, "must be empty when `clusterIP` is not specified"));
  if (!single.empty() && texts.empty()) {
    texts.push_back(single);
    fields.push_back(single_field);
  }
  if (texts.empty()) return;
  if (service.type == Type::kExternalName) return list.disallow(forbidden("may not be set for ExternalName services"));
  if (texts[0] == kNone) {
    if (service.type != Type::kClusterIp)
      fields[0].disallow(invalid(texts[0], fmt::format("may not be set to 'None' for {} services",
                                                       service.type == Type::kNodePort ? "NodePort" : "LoadBalancer")));
    if (texts.size() > 1) list.disallow(invalid_list(texts, "'None' must be the first and only value"));
    return;
  }
  std::vector<rules::Address> addresses;
  std::vector<rules::Family> families;
  for (const Field& field : fields) {
    const auto address = field.listed_address(Wrong::kRefuse);
    if (!address) return;
    addresses.push_back(*address);
    families.push_back(address->family);
  }
  if (addresses.size() > 2) list.disallow(invalid_list(texts, "may only hold up to 2 values"));
  if (addresses.size() == 2 && families[0] == families[1])
    list.disallow(invalid_list(texts, "may specify no more than one IP for each IP family"));
  check_families(fields, addresses, service.ip_families);
}

void check_external_policy(const Field& spec, const Service& service) {
  if (!spec.is_from_folder()) return;
  const bool is_external = service.type != Type::kClusterIp || !service.external_ips.empty();
  const Field policy = spec.member("externalTrafficPolicy");
  if (!is_external && !policy.text().empty())
    policy.disallow(invalid(policy.text(), "may only be set for externally-accessible services"));
  const Field health = spec.member("healthCheckNodePort");
  const std::int32_t port = health.integer().value_or(0);
  if (port != 0 && (service.type != Type::kLoadBalancer || policy.text() != "Local"))
    health.disallow(
        invalid(port, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"));
}

void check_type_fields(const Field& root, const Service& service) {
  if (!root.is_from_folder()) return;
  const Field spec = root.member("spec");
  if (service.type == Type::kClusterIp)
    for (const Field& port : spec.member("ports").elements())
      if (const Field node_port = port.member("nodePort"); node_port.integer().value_or(0) != 0)
        node_port.disallow(forbidden("may not be used when `type` is 'ClusterIP'"));
  const Field ranges = spec.member("loadBalancerSourceRanges");
  const bool has_ranges = !ranges.elements().empty();
  if (has_ranges && service.type != Type::kLoadBalancer)
    ranges.disallow(forbidden("may only be used when `type` is 'LoadBalancer'"));
  if (!has_ranges) check_ranges_annotation(root, service);
  const Field ingress = root.member("status").member("loadBalancer").member("ingress");
  if (service.type != Type::kLoadBalancer && !ingress.elements().empty())
    ingress.disallow(forbidden("may only be used when `spec.type` is 'LoadBalancer'"));
}

}  // namespace kubenatd::agent::objects
