#include "agent/objects/passed_over.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/json_members.h"
#include "agent/objects/objects.h"

namespace kubenatd::agent::objects {
namespace {

using base::member;
using nlohmann::json;

constexpr std::size_t kMost = 1000;

class Reader {
 public:
  explicit Reader(PassedOver& into) : into_(into) {}

  void address(const json& value) {
    if (!value.is_string() || into_.addresses.size() >= kMost) return;
    const auto read = rules::Address::parse(value.get_ref<const std::string&>());
    if (read && std::ranges::find(into_.addresses, *read) == into_.addresses.end()) into_.addresses.push_back(*read);
  }
  void addresses(const json& list) {
    each(list, [&](const json& value) { address(value); });
  }
  void addresses_of(const json& list, const char* name) {
    each(list, [&](const json& value) { address(member(value, name)); });
  }
  void port(const json& value) {
    if (!value.is_number_integer() || into_.node_ports.size() >= kMost) return;
    const auto number = value.get<std::int64_t>();
    if (number < 1 || number > 65535) return;
    const auto port = static_cast<std::uint16_t>(number);
    if (std::ranges::find(into_.node_ports, port) == into_.node_ports.end()) into_.node_ports.push_back(port);
  }
  template <class Visit>
  static void each(const json& list, const Visit& visit) {
    if (!list.is_array()) return;
    for (const json& value : list) visit(value);
  }

 private:
  PassedOver& into_;
};

void read_service(const json& document, Reader& reader) {
  const json& spec = member(document, "spec");
  reader.address(member(spec, "clusterIP"));
  reader.addresses(member(spec, "clusterIPs"));
  reader.addresses(member(spec, "externalIPs"));
  reader.addresses_of(member(member(member(document, "status"), "loadBalancer"), "ingress"), "ip");
  Reader::each(member(spec, "ports"), [&](const json& port) { reader.port(member(port, "nodePort")); });
  reader.port(member(spec, "healthCheckNodePort"));
}

void read_pod(const json& document, Reader& reader) {
  const json& spec = member(document, "spec");
  const json& host_network = member(spec, "hostNetwork");
  const bool own_network = !host_network.is_boolean() || !host_network.get<bool>();
  if (own_network) {
    reader.address(member(member(document, "status"), "podIP"));
    reader.addresses_of(member(member(document, "status"), "podIPs"), "ip");
  }
  Reader::each(member(spec, "containers"), [&](const json& container) {
    Reader::each(member(container, "ports"), [&](const json& port) { reader.port(member(port, "hostPort")); });
  });
}

void read(const json& document, Reader& reader) {
  const json& kind = member(document, "kind");
  if (!kind.is_string()) return;
  const std::string& name = kind.get_ref<const std::string&>();
  if (name == name_of(Kind::kService)) return read_service(document, reader);
  if (name == name_of(Kind::kPod)) return read_pod(document, reader);
  if (name == name_of(Kind::kEndpointSlice))
    return Reader::each(member(document, "endpoints"),
                        [&](const json& endpoint) { reader.addresses(member(endpoint, "addresses")); });
  if (name == name_of(Kind::kEndpoints))
    return Reader::each(member(document, "subsets"), [&](const json& subset) {
      reader.addresses_of(member(subset, "addresses"), "ip");
      reader.addresses_of(member(subset, "notReadyAddresses"), "ip");
    });
  const json& status = member(document, "status");
  if (name == name_of(Kind::kNode)) return reader.addresses_of(member(status, "addresses"), "address");
  if (name == name_of(Kind::kIngress))
    return reader.addresses_of(member(member(status, "loadBalancer"), "ingress"), "ip");
}

}  // namespace

PassedOver passed_over(const json& document, std::string_view line) {
  PassedOver one;
  constexpr std::string_view kBetween = ": ";
  const auto end = line.find(kBetween);
  one.object = line.substr(0, end);
  if (end != std::string_view::npos) one.reason = line.substr(end + kBetween.size());
  Reader reader(one);
  read(document, reader);
  return one;
}

PassedOver passed_over(const json& document, const rules::Error& refusal) {
  PassedOver one{refusal.object, refusal.operation + ": " + refusal.cause, {}, {}};
  Reader reader(one);
  read(document, reader);
  return one;
}

bool is_worth_telling(const PassedOver& one) {
  if (!one.addresses.empty() || !one.node_ports.empty()) return true;
  const std::string kind = one.object.substr(0, one.object.find(' '));
  if (kind == "file") return true;
  for (const Kind known : {Kind::kService, Kind::kEndpointSlice, Kind::kNode, Kind::kPod, Kind::kServiceCidr,
                           Kind::kEndpoints, Kind::kIngress, Kind::kIngressClass})
    if (kind == name_of(known)) return true;
  return false;
}

}  // namespace kubenatd::agent::objects
