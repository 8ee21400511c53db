#include <fmt/format.h>

#include "agent/base/printable.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

constexpr const char* kTriggerTime = "endpoints.kubernetes.io/last-change-trigger-time";

/// Hints are names of zones or nodes; they are only compared.
std::vector<std::string> read_hints(const Field& field) {
  std::vector<std::string> names;
  for (const Field& element : field.elements(Wrong::kLeave))
    if (std::string name = element.member("name", Wrong::kLeave).text(Wrong::kLeave); !name.empty())
      names.push_back(std::move(name));
  return names;
}

void read_ports(const Field& field, EndpointSlice& slice) {
  for (const Field& element : field.elements()) {
    const Field name = element.member("name");
    const Field number = element.member("port");
    // A port without number means all ports, which no proxy can use.
    constexpr std::uint32_t kHighest = 65535;
    SlicePort port;
    port.port = static_cast<std::uint16_t>(number.number(0, kHighest, Wrong::kRefuse).value_or(0));
    port.protocol = element.member("protocol").protocol(Wrong::kRefuse).value_or(rules::Protocol::kTcp);
    port.name = name.text(Wrong::kRefuse);
    if (!port.name.empty() && !is_dns_label(port.name))
      name.tell(Wrong::kRefuse, base::in_quotes(port.name) + " is not a DNS label");
    if (!name.present())
      name.note("is missing, the port is left out (a port without name is named \"\")");
    else if (port.port != 0)
      slice.ports.push_back(std::move(port));
  }
  slice.ports.shrink_to_fit();
}

/// The first address, the only one that a proxy uses.
std::optional<rules::Address> read_address(const Field& field, rules::Family family) {
  const std::vector<Field> addresses = field.elements(Wrong::kLeave);
  if (addresses.empty()) {
    field.tell(Wrong::kLeave, "no address");
    return std::nullopt;
  }
  auto address = addresses.front().address(Wrong::kLeave);
  if (address && address->family != family) {
    addresses.front().tell(Wrong::kLeave, fmt::format("{} is not {}", address->to_string(), name_of(family)));
    return std::nullopt;
  }
  return address;
}

void read_endpoints(const Field& field, EndpointSlice& slice) {
  const std::vector<Field> elements = field.elements();
  slice.endpoints.reserve(elements.size());
  for (const Field& element : elements) {
    const auto address = read_address(element.member("addresses", Wrong::kLeave), slice.family);
    if (!address) continue;
    SliceEndpoint endpoint;
    endpoint.address = *address;
    const Field conditions = element.member("conditions", Wrong::kLeave);
    endpoint.ready = conditions.member("ready", Wrong::kLeave).flag(Wrong::kLeave).value_or(true);
    endpoint.serving = conditions.member("serving", Wrong::kLeave).flag(Wrong::kLeave).value_or(true);
    endpoint.terminating = conditions.member("terminating", Wrong::kLeave).flag(Wrong::kLeave).value_or(false);
    endpoint.node_name = element.member("nodeName", Wrong::kLeave).text(Wrong::kLeave);
    const Field hints = element.member("hints", Wrong::kLeave);
    endpoint.zone_hints = read_hints(hints.member("forZones", Wrong::kLeave));
    endpoint.node_hints = read_hints(hints.member("forNodes", Wrong::kLeave));
    slice.endpoints.push_back(std::move(endpoint));
  }
  slice.endpoints.shrink_to_fit();
}

}  // namespace

std::optional<EndpointSlice> decode_endpoint_slice(const Field& root, ObjectKey key) {
  EndpointSlice slice;
  slice.key = std::move(key);
  const Field metadata = root.member("metadata");
  Labels labels = metadata.member("labels").labels(Wrong::kLeave);
  // Slices of headless Services carry a label of their own, by which kube-proxy does not even list them.
  if (!labels.contains("service.kubernetes.io/headless")) slice.service = labels["kubernetes.io/service-name"];

  const auto manager = labels.find("endpointslice.kubernetes.io/managed-by");
  slice.is_mirrored = manager != labels.end() && manager->second == "endpointslicemirroring-controller.k8s.io";

  const Field type = root.member("addressType");
  const std::string text = type.text(Wrong::kRefuse);
  if (text == "FQDN") return std::nullopt;
  if (!type.present())
    type.tell(Wrong::kRefuse, "is missing");
  else if (text == name_of(rules::Family::kIpv6))
    slice.family = rules::Family::kIpv6;
  else if (text != name_of(rules::Family::kIpv4))
    type.tell(Wrong::kRefuse, base::in_quotes(text) + " is not IPv4, IPv6 or FQDN");

  const Field trigger = metadata.member("annotations", Wrong::kLeave).member(kTriggerTime, Wrong::kLeave);
  if (const std::string when = trigger.text(Wrong::kLeave); !when.empty()) {
    slice.change_triggered = base::parse_rfc3339(when);
    if (!slice.change_triggered) trigger.tell(Wrong::kLeave, base::in_quotes(when) + " is not a time");
  }

  read_ports(root.member("ports"), slice);
  read_endpoints(root.member("endpoints"), slice);
  return slice;
}

}  // namespace kubenatd::agent::objects
