#include "agent/objects/api_words.h"
#include "agent/objects/checks.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

constexpr const char* kSkipMirror = "endpointslice.kubernetes.io/skip-mirror";
constexpr const char* kLeader = "control-plane.alpha.kubernetes.io/leader";

void read_addresses(const Field& field, bool ready, EndpointsSubset& subset) {
  for (const Field& element : field.elements()) {
    const Field ip = element.member("ip");
    const auto address = ip.listed_address(Wrong::kRefuse);
    if (!address) continue;
    check_endpoint_address(ip, *address);
    EndpointsAddress one;
    one.address = *address;
    one.ready = ready;
    const Field node = element.member("nodeName");
    one.node_name = node.text();
    if (const auto wrong = wrong_dns_subdomain(one.node_name); node.present() && !wrong.empty())
      node.tell(Wrong::kRefuse, invalid(one.node_name, wrong));
    one.target_uid = element.member("targetRef", Wrong::kLeave).member("uid", Wrong::kLeave).text(Wrong::kLeave);
    subset.addresses.push_back(std::move(one));
  }
}

void read_ports(const Field& field, EndpointsSubset& subset) {
  const std::vector<Field> elements = field.elements();
  for (const Field& element : elements) {
    SlicePort port;
    const Field name = element.member("name");
    port.name = name.text();
    if (port.name.empty() && elements.size() > 1) name.tell(Wrong::kRefuse, required());
    if (const auto wrong = wrong_dns_label(port.name); !port.name.empty() && !wrong.empty())
      name.tell(Wrong::kRefuse, invalid(port.name, wrong));
    const Field number = element.member("port");
    if (!number.present()) number.tell(Wrong::kRefuse, invalid(0, between(1, 65535)));
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
    if (subset.addresses.empty())
      element.tell(Wrong::kRefuse, required("must specify `addresses` or `notReadyAddresses`"));
    read_ports(element.member("ports"), subset);
    endpoints.subsets.push_back(std::move(subset));
  }
  endpoints.subsets.shrink_to_fit();
  return endpoints;
}

}  // namespace kubenatd::agent::objects
