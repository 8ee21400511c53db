#include "rules/nftables/emit.h"

#include <algorithm>
#include <set>

#include "rules/nftables/endpoint_id.h"
#include "rules/nftables/ways.h"

namespace kubenatd::rules::nftables {
namespace {

Bytes<kKeyCapacity> key_of(const Frontend& frontend) {
  Bytes<kKeyCapacity> key;
  if (frontend.address) key.address(*frontend.address);
  key.protocol(frontend.protocol).port(frontend.port);
  return key;
}

class FrontendEmitter {
 public:
  FrontendEmitter(const FrontendInput& input, const DesiredElements::ElementVisitor& visit)
      : in_(input), view_(input.view), key_(key_of(input.frontend)), visit_(visit) {}

  void emit() {
    const Reach reach{.cluster = !in_.cluster.backends.empty(), .local = !in_.local.backends.empty()};
    const bool usable = usability_of(view_, in_.frontend, reach) == Usability::kUsable;
    if (is_internal(view_, in_.frontend)) {
      if (usable) {
        endpoints(view_.internal_policy_local ? in_.local : in_.cluster, kCluster);
      } else {
        none(SetId::kNoEndpoints, SetId::kNoLocalEndpoints);
      }
      return;
    }
    const bool node_port = !in_.frontend.address;
    const bool keeps_local = view_.external_policy_local;
    if (view_.has_endpoints) {
      const SetId plain = node_port ? SetId::kNodePorts : SetId::kExternal;
      const SetId local = node_port ? SetId::kNodePortsLocal : SetId::kExternalLocal;
      named(keeps_local ? local : plain);
      endpoints(in_.cluster, node_port ? kNodePort : nftables::kCluster);
      if (keeps_local) endpoints(in_.local, node_port ? kNodePortLocal : kLocal);
      firewall();
    }
    if (usable) return;
    if (node_port) {
      none(SetId::kNodePortsNoEndpoints, SetId::kNodePortsNoLocalEndpoints);
    } else {
      none(SetId::kNoEndpoints, SetId::kNoLocalEndpoints);
    }
  }

 private:
  void named(SetId set) { visit_({{set}, key_, 0}, {{}, in_.comment}); }

  /// Refused when there is no endpoint anywhere, dropped when only other nodes have them.
  void none(SetId anywhere, SetId here) { named(view_.has_endpoints ? here : anywhere); }

  void endpoint(const Way& way, const Backend& backend, std::uint32_t number) {
    ElementKey element{{way.endpoints}, key_, 0};
    element.key.number(first_number(way.endpoints) + number);
    visit_(element, {endpoint_value(backend), number == 0 ? in_.comment : nullptr});
  }

  void endpoints(const BackendList& list, const Way& way) {
    const auto size = static_cast<std::uint32_t>(list.backends.size());
    if (list.only == nullptr) {
      for (std::uint32_t i = 0; i < size; ++i) endpoint(way, list.backends[i], i);
    } else {
      for (const std::uint32_t i : *list.only)
        if (i < size) endpoint(way, list.backends[i], i);
    }
    for (const std::uint32_t limit : kSizes) {
      if (size <= limit) break;
      visit_({{way.larger, limit}, key_, 0}, {});
    }
    if (!view_.affinity_seconds || size == 0) return;
    // A list that stands behind the cluster IP by policy Local is the local one, whatever set it is in.
    ElementValue id;
    id.data.number(list.sticky_id);
    visit_({{way.sticky}, key_, 0}, id);
    identities(list, way);
  }

  /// By which remembered clients find the endpoint. Of all of the list: one that has gone may have hidden another.
  void identities(const BackendList& list, const Way& way) {
    std::set<std::uint32_t> taken;
    for (const Backend& backend : list.backends) {
      const std::uint32_t id = endpoint_id(backend.address, backend.port);
      if (!taken.insert(id).second) continue;
      ElementKey element{{way.endpoints}, key_, 0};
      element.key.number(id);
      visit_(element, {endpoint_value(backend), nullptr});
    }
  }

  void firewall() {
    if (view_.source_ranges.empty() || !in_.frontend.address) return;
    if (std::ranges::find(view_.load_balancer_ips, *in_.frontend.address) == view_.load_balancer_ips.end()) return;
    named(SetId::kFirewalled);
    std::vector<Prefix> allowed = view_.source_ranges;
    const auto& node = in_.options.node.node_address;
    const bool node_allowed =
        node && std::ranges::any_of(allowed, [&](const Prefix& range) { return range.contains(*node); });
    // A packet from this node to the address may carry that address as its source.
    if (node_allowed)
      for (const Address& address : view_.load_balancer_ips) allowed.push_back(Prefix::host(address));
    for (const Prefix& range : without_overlaps(std::move(allowed))) {
      ElementKey element{{SetId::kSourceRanges}, key_, 0};
      element.key.address(range.address);
      element.range = static_cast<std::uint8_t>(bits_of(range.address.family) - range.length);
      visit_(element, {});
    }
  }

  const FrontendInput& in_;
  const ServicePortView& view_;
  Bytes<kKeyCapacity> key_;
  const DesiredElements::ElementVisitor& visit_;
};

}  // namespace

void emit(const FrontendInput& input, const DesiredElements::ElementVisitor& visit) {
  FrontendEmitter(input, visit).emit();
}

ElementKey hairpin(const Address& address) {
  ElementKey element{{SetId::kHairpin}, {}, 0};
  element.key.address(address).address(address);
  return element;
}

Bytes<kDataCapacity> endpoint_value(const Backend& backend) {
  Bytes<kDataCapacity> value;
  value.address(backend.address).port(backend.port);
  return value;
}

std::optional<ElementKey> endpoint_element(const ServicePortView& view, bool local,
                                           const std::function<bool(const Frontend&)>& has) {
  for (const Frontend& frontend : frontends_of(view)) {
    const bool internal = is_internal(view, frontend);
    const bool listed = internal ? local == view.internal_policy_local : !local || view.external_policy_local;
    if (!listed || !has(frontend)) continue;
    const bool node_port = !frontend.address;
    const Way& way = local && !internal ? (node_port ? kNodePortLocal : kLocal) : (node_port ? kNodePort : kCluster);
    return ElementKey{{way.endpoints}, key_of(frontend), 0};
  }
  return std::nullopt;
}

std::string_view endpoint_frontend(const ElementKey& key) {
  constexpr std::size_t kNumber = 4;
  const std::string_view whole = key.key.view();
  return whole.size() < kNumber ? std::string_view() : whole.substr(0, whole.size() - kNumber);
}

std::optional<Protocol> endpoint_protocol(std::string_view frontend) {
  constexpr std::size_t kFromEnd = 8;  // protocol and port, four bytes each
  if (frontend.size() < kFromEnd) return std::nullopt;
  const auto number = static_cast<std::uint8_t>(frontend[frontend.size() - kFromEnd]);
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp})
    if (number == static_cast<std::uint8_t>(protocol)) return protocol;
  return std::nullopt;
}

std::vector<Prefix> without_overlaps(std::vector<Prefix> prefixes) {
  std::ranges::sort(prefixes, {}, [](const Prefix& prefix) { return std::pair(prefix.length, prefix.address); });
  std::vector<Prefix> kept;
  for (const Prefix& prefix : prefixes) {
    const auto contains = [&](const Prefix& wider) { return wider.contains(prefix.address); };
    if (std::ranges::none_of(kept, contains)) kept.push_back(prefix);
  }
  return kept;
}

}  // namespace kubenatd::rules::nftables
