#include <fmt/format.h>

#include "agent/base/printable.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

constexpr const char* kSkipMirror = "endpointslice.kubernetes.io/skip-mirror";
constexpr const char* kLeader = "control-plane.alpha.kubernetes.io/leader";

/// Why the API server does not take an address for an endpoint (ValidateEndpointIP, v1.36); empty: it does.
std::string_view why_no_endpoint(const rules::Address& address) {
  if (address.is_unspecified()) return "may not be unspecified";
  if (address.is_loopback()) return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
  const auto& bytes = address.bytes;
  const bool ipv4 = address.family == rules::Family::kIpv4;
  if (ipv4 ? bytes[0] == 169 && bytes[1] == 254 : bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80)
    return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
  if (ipv4 ? bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0 : bytes[0] == 0xff && (bytes[1] & 0x0fU) == 0x02)
    return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
  return {};
}

void read_addresses(const Field& field, bool ready, EndpointsSubset& subset) {
  for (const Field& element : field.elements()) {
    const Field ip = element.member("ip");
    const auto address = ip.address(Wrong::kRefuse);
    if (!address) {
      ip.tell(Wrong::kRefuse, "is missing or not an IP address");
      continue;
    }
    if (const auto why = why_no_endpoint(*address); !why.empty()) ip.tell(Wrong::kRefuse, std::string(why));
    EndpointsAddress one;
    one.address = *address;
    one.ready = ready;
    const Field node = element.member("nodeName");
    one.node_name = node.text(Wrong::kRefuse);
    if (node.is_text() && !is_dns_subdomain(one.node_name))
      node.tell(Wrong::kRefuse, base::in_quotes(one.node_name) + " is not a DNS name");
    one.target_uid = element.member("targetRef", Wrong::kLeave).member("uid", Wrong::kLeave).text(Wrong::kLeave);
    subset.addresses.push_back(std::move(one));
  }
}

void read_ports(const Field& field, EndpointsSubset& subset) {
  const std::vector<Field> elements = field.elements();
  for (const Field& element : elements) {
    SlicePort port;
    const Field name = element.member("name");
    port.name = name.text(Wrong::kRefuse);
    if (port.name.empty() && elements.size() > 1)
      name.tell(Wrong::kRefuse, "is missing, and there is more than one port");
    else if (!port.name.empty() && !is_dns_label(port.name))
      name.tell(Wrong::kRefuse, base::in_quotes(port.name) + " is not a DNS label");
    const Field number = element.member("port");
    if (!number.present()) number.tell(Wrong::kRefuse, "is missing");
    port.port = number.port(Wrong::kRefuse);
    port.protocol = element.member("protocol").protocol(Wrong::kRefuse).value_or(rules::Protocol::kTcp);
    subset.ports.push_back(std::move(port));
  }
}

}  // namespace

Endpoints decode_endpoints(const Field& root, ObjectKey key) {
  Endpoints endpoints;
  endpoints.key = std::move(key);
  const Field metadata = root.member("metadata");
  const Labels labels = metadata.member("labels").labels(Wrong::kLeave);
  const auto skip = labels.find(kSkipMirror);
  endpoints.is_mirrored = (skip == labels.end() || skip->second != "true") &&
                          !metadata.member("annotations", Wrong::kLeave).member(kLeader, Wrong::kLeave).present();
  for (const Field& element : root.member("subsets").elements()) {
    EndpointsSubset subset;
    read_addresses(element.member("addresses"), true, subset);
    read_addresses(element.member("notReadyAddresses"), false, subset);
    if (subset.addresses.empty()) element.tell(Wrong::kRefuse, "has neither addresses nor notReadyAddresses");
    read_ports(element.member("ports"), subset);
    endpoints.subsets.push_back(std::move(subset));
  }
  endpoints.subsets.shrink_to_fit();
  return endpoints;
}

}  // namespace kubenatd::agent::objects
