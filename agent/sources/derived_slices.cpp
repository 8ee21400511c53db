#include "agent/sources/derived_slices.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

namespace kubenatd::agent::sources {
namespace {

constexpr std::size_t kMostMirrored = 1000;  // mirroring-max-endpoints-per-subset of kube-controller-manager

using Slices = std::map<std::string, objects::EndpointSlice>;

std::vector<rules::Family> families_of(const objects::Service& service) {
  if (!service.ip_families.empty()) return service.ip_families;
  std::vector<rules::Family> families;
  for (const rules::Address& address : service.cluster_ips) families.push_back(address.family);
  return families;
}

/// The number behind a target port in this pod; none when the pod has no port of that name and protocol.
std::optional<std::uint16_t> find_port(const objects::ServicePort& port, const objects::Pod& pod) {
  if (port.target_port.empty()) return port.port;
  const std::string& target = port.target_port;
  std::uint16_t number = 0;
  const auto [end, failure] = std::from_chars(target.data(), target.data() + target.size(), number);
  if (failure == std::errc{} && end == target.data() + target.size()) return number;
  for (const objects::ContainerPort& container : pod.ports)
    if (container.name == target && container.protocol == port.protocol) return container.container_port;
  return std::nullopt;
}

std::vector<objects::SlicePort> ports_in(const objects::Service& service, const objects::Pod& pod) {
  std::vector<objects::SlicePort> ports;
  for (const objects::ServicePort& port : service.ports)
    if (const auto number = find_port(port, pod)) ports.push_back({port.name, *number, port.protocol});
  return ports;
}

std::string name_begin(const std::string& service, rules::Family family) {
  return service + (family == rules::Family::kIpv4 ? "~ipv4~" : "~ipv6~");
}

/// "SERVICE~ipv4~8080,,9153": the numbers of the Service's ports by their places, nothing for a port that the pod
/// lacks, so that two sets of ports never share a name.
std::string slice_name(const objects::Service& service, rules::Family family,
                       const std::vector<objects::SlicePort>& ports) {
  std::string name = name_begin(service.key.name, family);
  std::size_t next = 0;
  for (const objects::ServicePort& port : service.ports) {
    if (&port != service.ports.data()) name += ',';
    if (next < ports.size() && ports[next].name == port.name && ports[next].protocol == port.protocol)
      name += std::to_string(ports[next++].port);
  }
  return name;
}

/// The slice of that name, made when it is not there yet.
objects::EndpointSlice& slice_in(Slices& slices, const objects::ObjectKey& service, rules::Family family,
                                 std::string name, const std::vector<objects::SlicePort>& ports) {
  objects::EndpointSlice& slice = slices[name];
  if (slice.endpoints.empty()) {
    slice.key = {service.ns, std::move(name)};
    slice.service = service.name;
    slice.family = family;
    slice.ports = ports;
  }
  return slice;
}

std::vector<objects::EndpointSlice> in_order(Slices&& slices) {
  std::vector<objects::EndpointSlice> sorted;
  sorted.reserve(slices.size());
  for (auto& [name, slice] : slices) {
    slice.endpoints.shrink_to_fit();
    sorted.push_back(std::move(slice));
  }
  return sorted;
}

/// The address that a proxy uses when a Pod has several of a family: the controller sorts them as text.
std::optional<rules::Address> address_of(const objects::Pod& pod, rules::Family family) {
  std::optional<rules::Address> first;
  for (const rules::Address& address : pod.addresses)
    if (address.family == family && (!first || address.to_string() < first->to_string())) first = address;
  return first;
}

void add_pod(const objects::Service& service, const objects::Pod& pod, Slices& slices) {
  if (pod.phase == objects::Pod::Phase::kSucceeded || pod.phase == objects::Pod::Phase::kFailed) return;
  const std::vector<objects::SlicePort> ports = ports_in(service, pod);
  for (const rules::Family family : families_of(service)) {
    const auto address = address_of(pod, family);
    if (!address) continue;
    objects::SliceEndpoint endpoint;
    endpoint.address = *address;
    endpoint.ready = service.publish_not_ready || (pod.ready && !pod.terminating);
    endpoint.serving = pod.ready;
    endpoint.terminating = pod.terminating;
    endpoint.place = objects::on_node(pod.node_name);
    slice_in(slices, service.key, family, slice_name(service, family, ports), ports)
        .endpoints.push_back(std::move(endpoint));
  }
}

struct PortLess {
  bool operator()(const objects::SlicePort& one, const objects::SlicePort& other) const {
    return std::tie(one.name, one.port, one.protocol) < std::tie(other.name, other.port, other.protocol);
  }
};

/// Endpoints in the canonical form (RepackSubsets of pkg/api/v1/endpoints, v1.36). Addresses are numbered in the order
/// in which they count when there are too many: as text, then by the uid of their target. What else is known of an
/// address comes from where it stands first.
class Subsets {
 public:
  using Member = std::pair<std::size_t, bool>;  ///< an address by number; whether it is ready

  explicit Subsets(const objects::Endpoints& endpoints) {
    for (const objects::EndpointsSubset& subset : endpoints.subsets)
      for (const objects::EndpointsAddress& address : subset.addresses) numbers_.try_emplace(id_of(address), 0);
    for (auto& [id, number] : numbers_) {
      number = addresses_.size();
      addresses_.push_back(nullptr);
    }
    std::map<objects::SlicePort, std::map<std::size_t, bool>, PortLess> by_port;
    for (const objects::EndpointsSubset& subset : endpoints.subsets)
      for (const objects::EndpointsAddress& address : subset.addresses) {
        const std::size_t number = numbers_.at(id_of(address));
        if (addresses_[number] == nullptr) addresses_[number] = &address;
        for (const objects::SlicePort& port : subset.ports) {
          const auto [member, is_new] = by_port[port].try_emplace(number, address.ready);
          member->second = member->second && address.ready;
        }
      }
    for (const auto& [port, members] : by_port)
      groups_[std::vector<Member>(members.begin(), members.end())].push_back(port);
  }

  [[nodiscard]] const objects::EndpointsAddress& address(std::size_t number) const { return *addresses_[number]; }
  /// Ports by the addresses that they have.
  [[nodiscard]] const std::map<std::vector<Member>, std::vector<objects::SlicePort>>& groups() const { return groups_; }

 private:
  using Id = std::pair<std::string, std::string>;
  static Id id_of(const objects::EndpointsAddress& address) {
    return {address.address.to_string(), address.target_uid};
  }

  std::map<Id, std::size_t> numbers_;
  std::vector<const objects::EndpointsAddress*> addresses_;
  std::map<std::vector<Member>, std::vector<objects::SlicePort>> groups_;
};

std::string ports_text(const std::vector<objects::SlicePort>& ports) {
  std::string text;
  for (const objects::SlicePort& port : ports)
    text += fmt::format("{}{}:{}/{}", text.empty() ? "" : ",", port.name, port.port, name_of(port.protocol));
  return text;
}

}  // namespace

bool selects(const objects::Labels& selector, const objects::Labels& labels) {
  return !selector.empty() && std::all_of(selector.begin(), selector.end(), [&](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
}

std::vector<objects::EndpointSlice> slices_of_pods(const objects::Service& service,
                                                   const std::vector<const objects::Pod*>& pods) {
  Slices slices;
  for (const objects::Pod* pod : pods) add_pod(service, *pod, slices);
  return in_order(std::move(slices));
}

Mirrored mirror(const objects::Endpoints& endpoints) {
  const Subsets subsets(endpoints);
  Mirrored mirrored;
  Slices slices;
  for (const auto& [members, ports] : subsets.groups()) {
    mirrored.left_out += members.size() - std::min(members.size(), kMostMirrored);
    std::size_t taken = 0;
    for (const bool ready : {true, false})
      for (const auto& [number, is_ready] : members) {
        if (is_ready != ready || taken == kMostMirrored) continue;
        ++taken;
        const objects::EndpointsAddress& address = subsets.address(number);
        objects::SliceEndpoint endpoint;
        endpoint.address = address.address;
        endpoint.ready = ready;
        endpoint.place = objects::on_node(address.node_name);
        const rules::Family family = address.address.family;
        slice_in(slices, endpoints.key, family, name_begin(endpoints.key.name, family) + ports_text(ports), ports)
            .endpoints.push_back(std::move(endpoint));
      }
  }
  mirrored.slices = in_order(std::move(slices));
  for (objects::EndpointSlice& slice : mirrored.slices) slice.is_mirrored = true;
  return mirrored;
}

}  // namespace kubenatd::agent::sources
