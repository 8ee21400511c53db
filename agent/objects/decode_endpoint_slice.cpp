#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/base/printable.h"
#include "agent/objects/api_words.h"
#include "agent/objects/checks.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

constexpr const char* kTriggerTime = "endpoints.kubernetes.io/last-change-trigger-time";

/// Hints are names of zones or nodes; they are only compared.
std::vector<std::string> read_hints(const Field& list, std::string_view (*wrong_name)(std::string_view)) {
  const std::vector<Field> elements = list.elements();
  constexpr std::size_t kMostHints = 8;
  check_length(list, elements.size(), kMostHints);
  std::vector<std::string> names;
  for (const Field& element : elements) {
    const Field field = element.member("name");
    std::string name = field.text();
    if (field.is_from_folder()) {
      if (const auto wrong = wrong_name(name); !wrong.empty()) field.disallow(invalid(name, wrong));
      if (std::ranges::find(names, name) != names.end()) field.disallow(duplicate(name));
    }
    // What is empty is kept: a list without names would be no hint at all, and bring traffic from everywhere.
    names.push_back(std::move(name));
  }
  return names;
}

void read_ports(const Field& list, EndpointSlice& slice) {
  const std::vector<Field> elements = list.elements();
  constexpr std::size_t kMostPorts = 20000;
  check_length(list, elements.size(), kMostPorts);
  Seen seen;
  for (const Field& element : elements) {
    const Field name = element.member("name");
    SlicePort port;
    port.name = name.text();  // absent is "", the API's default
    if (const auto wrong = wrong_dns_label(port.name); !port.name.empty() && !wrong.empty())
      name.tell(Wrong::kRefuse, invalid(port.name, wrong));
    if (name.is_from_folder() && !seen.add(port.name)) name.disallow(duplicate(port.name));
    const Field protocol_field = element.member("protocol");
    constexpr std::string_view kProtocols[] = {"SCTP", "TCP", "UDP"};
    if (protocol_field.is_text() && protocol_field.text().empty())
      protocol_field.disallow(not_supported("", kProtocols));
    const auto protocol = protocol_field.protocol(Wrong::kLeave);
    // A port without number means all ports, which no proxy can use. The API server takes any number.
    port.port = element.member("port").port_or_zero(Wrong::kRemark);
    if (!protocol || port.port == 0) continue;
    port.protocol = *protocol;
    slice.ports.push_back(std::move(port));
  }
  slice.ports.shrink_to_fit();
}

/// An address of an endpoint, if it is one of the family.
std::optional<rules::Address> read_address(const Field& list, const Field& field, rules::Family family) {
  auto address = field.listed_address(Wrong::kLeave);
  if (!address) return std::nullopt;
  if (address->family != family) {
    list.tell(Wrong::kLeave, invalid(field.text(), fmt::format("must be an {} address", name_of(family))));
    return std::nullopt;
  }
  check_endpoint_address(field, *address);
  return address;
}

/// The first address is the only one that a proxy uses.
std::optional<rules::Address> read_addresses(const Field& list, rules::Family family) {
  const std::vector<Field> addresses = list.elements();
  if (addresses.empty()) {
    list.tell(Wrong::kLeave, required("must contain at least 1 address"));
    return std::nullopt;
  }
  constexpr std::size_t kMostAddresses = 100;
  check_length(list, addresses.size(), kMostAddresses);
  auto first = read_address(list, addresses.front(), family);
  if (list.is_from_folder())
    for (std::size_t i = 1; i < addresses.size(); ++i) (void)read_address(list, addresses[i], family);
  return first;
}

void read_endpoints(const Field& list, EndpointSlice& slice) {
  const std::vector<Field> elements = list.elements();
  constexpr std::size_t kMostEndpoints = 1000;
  check_length(list, elements.size(), kMostEndpoints);
  slice.endpoints.reserve(elements.size());
  for (const Field& element : elements) {
    const auto address = read_addresses(element.member("addresses"), slice.family);
    SliceEndpoint endpoint;
    const Field conditions = element.member("conditions");
    endpoint.ready = conditions.member("ready").flag().value_or(true);
    endpoint.serving = conditions.member("serving").flag().value_or(true);
    endpoint.terminating = conditions.member("terminating").flag().value_or(false);
    const Field node_name = element.member("nodeName");
    EndpointPlace place = on_node(node_name.text());
    if (const auto wrong = wrong_dns_subdomain(place.node_name); node_name.present() && !wrong.empty())
      node_name.disallow(invalid(place.node_name, wrong));
    const Field hints = element.member("hints");
    place.zone_hints = read_hints(hints.member("forZones"), wrong_label_value);
    place.node_hints = read_hints(hints.member("forNodes"), wrong_dns_subdomain);
    endpoint.place = std::move(place);
    if (!address) continue;
    endpoint.address = *address;
    slice.endpoints.push_back(std::move(endpoint));
  }
  slice.endpoints.shrink_to_fit();
}

rules::Family read_family(const Field& type) {
  constexpr std::array<std::string_view, 3> kWords{"FQDN", "IPv4", "IPv6"};
  const std::string text = type.text();
  if (text.empty())
    type.tell(Wrong::kRefuse, required());
  else if (std::ranges::find(kWords, text) == kWords.end())
    type.tell(Wrong::kRefuse, not_supported(text, kWords));
  return text == name_of(rules::Family::kIpv6) ? rules::Family::kIpv6 : rules::Family::kIpv4;
}

}  // namespace

std::optional<EndpointSlice> decode_endpoint_slice(const Field& root, ObjectKey key) {
  EndpointSlice slice;
  slice.key = std::move(key);
  const Field metadata = root.member("metadata");
  Labels labels = metadata.member("labels").labels();
  // Slices of headless Services carry a label of their own, by which kube-proxy does not even list them.
  if (!labels.contains("service.kubernetes.io/headless")) slice.service = labels["kubernetes.io/service-name"];

  const auto manager = labels.find("endpointslice.kubernetes.io/managed-by");
  slice.is_mirrored = manager != labels.end() && manager->second == "endpointslicemirroring-controller.k8s.io";

  const Field type = root.member("addressType");
  if (type.is_text() && type.text() == "FQDN") return std::nullopt;
  slice.family = read_family(type);

  const Field trigger = metadata.member("annotations").member(kTriggerTime);
  if (const std::string when = trigger.text(); !when.empty()) {
    slice.change_triggered = base::parse_rfc3339(when);
    if (!slice.change_triggered) trigger.tell(Wrong::kRemark, base::in_quotes(when) + " is not a time");
  }

  read_ports(root.member("ports"), slice);
  read_endpoints(root.member("endpoints"), slice);
  return slice;
}

}  // namespace kubenatd::agent::objects
