#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "agent/objects/api_words.h"
#include "agent/objects/checks.h"
#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {
namespace {

Pod::Phase read_phase(const Field& field) {
  using Phase = Pod::Phase;
  constexpr std::array<std::pair<std::string_view, Phase>, 4> kPhases{{{"Pending", Phase::kPending},
                                                                       {"Running", Phase::kRunning},
                                                                       {"Succeeded", Phase::kSucceeded},
                                                                       {"Failed", Phase::kFailed}}};
  const std::string text = field.text();
  for (const auto& [name, phase] : kPhases)
    if (text == name) return phase;
  return Phase::kUnknown;
}

/// What stands under a container's ports, and what of it no two ports of the Pod may share.
class PortReader {
 public:
  explicit PortReader(bool host_network) : host_network_(host_network) {}

  std::vector<ContainerPort> read(const Field& container) {
    std::vector<ContainerPort> ports;
    Seen names;
    for (const Field& element : container.member("ports").elements()) {
      ContainerPort port;
      port.name = read_name(element.member("name"), names);
      const auto protocol = element.member("protocol").protocol(Wrong::kLeave);
      const Field number = element.member("containerPort");
      if (number.integer().value_or(0) == 0)
        number.tell(Wrong::kLeave, required());
      else
        port.container_port = number.port(Wrong::kLeave);
      port.protocol = protocol.value_or(rules::Protocol::kTcp);
      read_host_port(element, port);
      if (protocol && port.container_port != 0) ports.push_back(std::move(port));
    }
    return ports;
  }

 private:
  static std::string read_name(const Field& field, Seen& names) {
    std::string name = field.text();
    if (name.empty() || !field.is_from_folder()) return name;
    if (const auto wrong = wrong_port_name(name); !wrong.empty()) field.disallow(invalid(name, wrong));
    if (!names.add(name)) field.disallow(duplicate(name));
    return name;
  }

  void read_host_port(const Field& element, ContainerPort& port) {
    const Field field = element.member("hostPort");
    port.host_port = field.port_or_zero(Wrong::kLeave);
    const Field host_ip = element.member("hostIP");
    port.host_ip = host_ip.address(Wrong::kRemark);  // the API server takes any text
    if (host_network_) {
      if (port.host_port == 0) port.host_port = port.container_port;
      if (port.host_port != port.container_port)
        field.disallow(invalid(port.host_port, "must match `containerPort` when `hostNetwork` is true"));
    }
    if (port.host_port != 0 && field.is_from_folder()) {
      const std::string protocol = element.member("protocol").text();
      const std::string claim =
          fmt::format("{}/{}/{}", protocol.empty() ? "TCP" : protocol, host_ip.text(), port.host_port);
      if (!claims_.add(claim)) field.disallow(duplicate(claim));
    }
    // A wrong hostIP must not open the port on every address.
    if (!port.host_ip && !host_ip.text().empty()) port.host_port = 0;
  }

  bool host_network_;
  Seen claims_;
};

bool read_ready(const Field& conditions) {
  std::optional<bool> ready;  // of the first such condition
  for (const Field& element : conditions.elements()) {
    const std::string type = element.member("type").text();
    const std::string status = element.member("status").text();
    if (type == "Ready" && !ready) ready = status == "True";
  }
  return ready.value_or(false);
}

void read_ports(const Field& spec, Pod& pod) {
  PortReader reader(pod.host_network);
  for (const Field& container : spec.member("containers").elements())
    std::ranges::move(reader.read(container), std::back_inserter(pod.ports));
  PortReader before(pod.host_network);  // what runs before the others may have the same ports
  for (const Field& container : spec.member("initContainers").elements()) {
    const std::string policy = container.member("restartPolicy").text();
    std::vector<ContainerPort> ports = before.read(container);
    if (policy == "Always") std::ranges::move(ports, std::back_inserter(pod.ports));
  }
  pod.ports.shrink_to_fit();
}

/// In a folder the singular counts when the two differ, as for kubelets that know only that one: the API server writes
/// it into the plural.
void read_addresses(const Field& status, Pod& pod) {
  const Field list = status.member("podIPs");
  const Field single = status.member("podIP");
  const std::string single_text = single.text();
  std::vector<Field> fields;
  for (const Field& element : list.elements()) fields.push_back(element.member("ip"));
  for (const Field& field : fields) (void)field.text();
  if (!single_text.empty() && (fields.empty() || (status.is_from_folder() && fields.front().text() != single_text)))
    fields = {single};
  std::vector<rules::Family> families;
  for (const Field& field : fields)
    if (const auto address = field.listed_address(Wrong::kLeave)) {
      pod.addresses.push_back(*address);
      families.push_back(address->family);
    }
  check_dual_stack(list, families, "IP");
}

}  // namespace

Pod decode_pod(const Field& root, ObjectKey key) {
  Pod pod;
  pod.key = std::move(key);
  const Field metadata = root.member("metadata");
  pod.labels = metadata.member("labels").labels();
  pod.created = metadata.member("creationTimestamp").time();
  pod.terminating = metadata.member("deletionTimestamp").present();

  const Field spec = root.member("spec");
  const Field node_name = spec.member("nodeName");
  pod.node_name = node_name.text();
  if (const auto wrong = wrong_dns_subdomain(pod.node_name); !pod.node_name.empty() && !wrong.empty())
    node_name.disallow(invalid(pod.node_name, wrong));
  const Field hostname = spec.member("hostname");
  pod.hostname = hostname.text();
  if (const auto wrong = wrong_dns_label(pod.hostname); !pod.hostname.empty() && !wrong.empty())
    hostname.disallow(invalid(pod.hostname, wrong));
  pod.host_network = spec.member("hostNetwork").flag().value_or(false);
  read_ports(spec, pod);

  const Field status = root.member("status");
  pod.phase = read_phase(status.member("phase"));
  pod.ready = read_ready(status.member("conditions"));
  read_addresses(status, pod);
  return pod;
}

}  // namespace kubenatd::agent::objects
