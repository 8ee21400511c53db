#include "agent/state/host_port_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "agent/objects/special_addresses.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::state {
namespace {

using rules::Family;
using rules::hostport::Mapping;
using rules::hostport::PodPorts;

const objects::Pod& pod_of(const objects::ObjectPtr& object) {
  return std::get<objects::Pod>(*object);
}

bool may_run(const objects::Pod& pod) {
  return pod.phase != objects::Pod::Phase::kSucceeded && pod.phase != objects::Pod::Phase::kFailed;
}

bool counts(const objects::Pod& pod, const std::string& node_name) {
  return pod.node_name == node_name && !pod.host_network && may_run(pod) &&
         std::ranges::any_of(pod.ports, [](const objects::ContainerPort& port) { return port.host_port != 0; });
}

/// A mapping of this family. 0.0.0.0 and :: are every address of their own family.
std::optional<Mapping> mapping_of(const objects::ContainerPort& port, Family family) {
  if (port.host_port == 0 || (port.host_ip && port.host_ip->family != family)) return std::nullopt;
  Mapping mapping{port.protocol, port.host_port, port.container_port, port.host_ip};
  if (mapping.host_ip && mapping.host_ip->is_unspecified()) mapping.host_ip.reset();
  return mapping;
}

void add_known(const objects::Pod& pod, Family family, rules::hostport::KnownPods& known) {
  for (const objects::ContainerPort& port : pod.ports) {
    const auto mapping = mapping_of(port, family);
    if (!mapping) continue;
    if (pod.addresses.empty()) known.unsettled.push_back(*mapping);
    for (const rules::Address& address : pod.addresses)
      if (address.family == family) known.holders.push_back({*mapping, address});
  }
}

struct Taken {
  Mapping mapping;
  const std::string* id = nullptr;
};

}  // namespace

void HostPortState::apply(const objects::ObjectEvent& event) {
  if (event.kind != objects::Kind::kPod) return;
  const auto found = pods_.find(event.key);
  const bool wanted = event.object != nullptr && counts(pod_of(event.object), node_name_);
  if (!wanted) {
    if (found == pods_.end()) return;
    pods_.erase(found);
    changed_ = true;
    return;
  }
  if (found == pods_.end()) {
    pods_.emplace(event.key, Known{event.object, next_order_++});
    changed_ = true;
    return;
  }
  const objects::Pod& before = pod_of(found->second.pod);
  const objects::Pod& now = pod_of(event.object);
  // Most updates of a pod are about its conditions.
  changed_ =
      changed_ || before.ports != now.ports || before.addresses != now.addresses || before.created != now.created;
  found->second.pod = event.object;
}

std::optional<HostPortState::Wanted> HostPortState::take_changes(const FrontendGuard& guard) {
  if (!std::exchange(changed_, false)) return std::nullopt;
  std::vector<const Known*> by_age;
  for (const auto& [key, known] : pods_) by_age.push_back(&known);
  std::ranges::stable_sort(by_age, {},
                           [](const Known* known) { return std::tuple(pod_of(known->pod).created, known->order); });

  Wanted wanted;
  std::map<std::string, std::string> conflicts;
  for (const Family family : rules::kFamilies) {
    std::multimap<std::uint16_t, Taken> taken;
    std::vector<PodPorts>& all = wanted.pods[static_cast<std::size_t>(family)];
    all.reserve(by_age.size());  // `taken` points into it
    for (const Known* known : by_age) {
      const objects::Pod& pod = pod_of(known->pod);
      add_known(pod, family, wanted.known[static_cast<std::size_t>(family)]);
      const auto address = std::ranges::find(pod.addresses, family, &rules::Address::family);
      if (address == pod.addresses.end() || !objects::can_be_pods(*address)) continue;
      PodPorts& ports = all.emplace_back(
          PodPorts{.id = rules::hostport::container_id(pod.key.ns, pod.key.name), .address = *address, .mappings = {}});
      for (const objects::ContainerPort& port : pod.ports) {
        const auto mapping = mapping_of(port, family);
        if (!mapping) continue;
        if (const auto why = guard.node_port_refusal(mapping->protocol, mapping->host_port, mapping->host_ip)) {
          conflicts.emplace(fmt::format("Pod {}: hostPort {}", ports.id, to_text(*mapping)), *why);
          continue;
        }
        const auto [first, last] = taken.equal_range(mapping->host_port);
        const auto rival = std::find_if(first, last, [&](const auto& other) {
          const Mapping& theirs = other.second.mapping;
          return overlap(*mapping, theirs.protocol, theirs.host_port, theirs.host_ip);
        });
        if (rival == last) {
          taken.emplace(mapping->host_port, Taken{*mapping, &ports.id});
          ports.mappings.push_back(*mapping);
        } else {
          const std::string& owner = *rival->second.id;
          conflicts.emplace(
              fmt::format("Pod {}: hostPort {}", ports.id, to_text(*mapping)),
              owner == ports.id ? "it has that port already" : fmt::format("Pod {}, which is older, has it", owner));
        }
      }
      if (ports.mappings.empty()) all.pop_back();
    }
  }
  for (const auto& [port, why] : conflicts) {
    const auto before = conflicts_.find(port);
    if (before == conflicts_.end() || before->second != why)
      wanted.remarks.push_back(fmt::format("{} is left out: {}", port, why));
  }
  conflicts_ = std::move(conflicts);
  return wanted;
}

}  // namespace kubenatd::agent::state
