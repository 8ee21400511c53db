#include <algorithm>
#include <iterator>
#include <utility>

#include "rules/walk/way_follower.h"

/// What happens to a way between rules: hooks, tracking, nat, routing.
namespace kubenatd::rules::walk {

namespace {

constexpr std::int32_t kConntrack = -200;  // NF_IP_PRI_CONNTRACK

}  // namespace

bool WayFollower::next_chain(Way& way) {
  for (;;) {
    if (way.running != nullptr && !leave_base(way)) return false;
    const std::vector<AtHook>& all = hooks_.at(way.state.hook);
    if (way.entry == all.size()) {
      track(way);
      if (!leave_hook(way)) return false;
      continue;
    }
    const AtHook& next = all[way.entry++];
    if (next.priority >= kConntrack) track(way);
    if (next.chain == nullptr) {
      if (!finish_nat(way)) return false;
      continue;
    }
    if (next.is_nat && !nat_looks(way)) continue;
    if (!is_here(way, next)) continue;
    way.running = &next;
    way.routed_by = next.chain->base->type == Base::Type::kRoute ? routing_key(way.state) : std::string();
    if (next.chain->unread) return meet_unread(way, *next.chain);
    way.stack.push_back({next.chain, 0});
    way.is_new_here = true;
    return true;
  }
}

void WayFollower::track(Way& way) {
  const Hook hook = way.state.hook;
  if (hook != Hook::kPrerouting && hook != Hook::kOutput) return;
  if (way.state.tracking == PacketState::Tracking::kNotYet) way.state.tracking = PacketState::Tracking::kTracked;
}

bool WayFollower::changes_source(Hook hook) {
  return hook == Hook::kPostrouting || hook == Hook::kInput;
}

bool WayFollower::nat_looks(const Way& way) {
  if (way.state.tracking != PacketState::Tracking::kTracked || way.nat_done) return false;
  return changes_source(way.state.hook) ? !way.state.source_done : !way.state.destination_done;
}

bool WayFollower::finish_nat(Way& way) {
  PacketState& state = way.state;
  if (state.tracking != PacketState::Tracking::kTracked) return true;
  (changes_source(state.hook) ? state.source_done : state.destination_done) = true;
  way.memory.reset();
  const bool moved = state.packet.destination != state.original.destination || state.last_destination;
  if (state.hook != Hook::kOutput || !way.nat_done || !moved) return true;
  return take(way, route_sent(state, surroundings_, true));
}

bool WayFollower::is_here(Way& way, const AtHook& next) {
  const Base& base = *next.chain->base;
  if (base.hook != Hook::kIngress && base.hook != Hook::kEgress) return true;
  const bool ingress = base.hook == Hook::kIngress;
  const std::optional<std::string>& device = ingress ? way.state.in_interface : way.state.out_interface;
  if (device && is_for_device(base, *device)) return true;
  if (device && !stands_on_others(*device)) return false;
  if (next.chain->rules.empty() && !base.policy_drop && !next.chain->unread) return false;
  way.outcome.odds_known = false;
  way.outcome.odds /= 2;
  Way other = way;
  note_doubt(other, next, true);
  other.running = &next;
  other.stack.push_back({next.chain, 0});
  put(std::move(other));
  note_doubt(way, next, false);
  return false;
}

bool WayFollower::stands_on_others(const std::string& device) const {
  if (device.empty() || device == "lo" || !surroundings_.interface_facts) return false;
  const auto facts = surroundings_.interface_facts(device);
  if (!facts) return false;
  constexpr std::string_view kKinds[] = {"bridge", "vlan", "bond", "team", "macvlan", "ipvlan", "vrf"};
  return std::ranges::find(kKinds, facts->kind) != std::end(kKinds);
}

void WayFollower::note_doubt(Way& way, const AtHook& at, bool assumed) {
  Hop& hop = note(way, at.table, at.chain, nullptr);
  hop.fit = Fit::kUnknown;
  hop.part = Part::kInInterface;
  hop.assumed = assumed;
  way.outcome.doubts.push_back(way.outcome.last);
}

bool WayFollower::leave_hook(Way& way) {
  PacketState& state = way.state;
  way.entry = 0;
  way.nat_done = false;
  way.memory.reset();
  switch (state.hook) {
    case Hook::kIngress: return enter(way, Hook::kPrerouting);
    case Hook::kPrerouting:
      if (state.looped) return enter(way, Hook::kInput);  // where it goes was decided when it was sent
      if (!take(way, route_arrived(state, surroundings_))) return false;
      if (way.local) return enter(way, Hook::kInput);
      state.out_interface = out_interface(way);
      return enter(way, Hook::kForward);
    case Hook::kForward: return enter(way, Hook::kPostrouting);
    case Hook::kOutput: state.out_interface = out_interface(way); return enter(way, Hook::kPostrouting);
    case Hook::kPostrouting: return enter(way, Hook::kEgress);
    case Hook::kEgress:
      if (!way.local) return finish(way, End::kForwarded);
      state.looped = true;
      state.in_interface = "lo";
      state.out_interface = "";
      return enter(way, Hook::kIngress);
    case Hook::kInput: return finish(way, End::kLocal);
  }
  return false;
}

bool WayFollower::enter(Way& way, Hook hook) {
  way.state.hook = hook;
  if (hook == Hook::kInput) way.state.out_interface = "";
  return true;
}

std::optional<std::string> WayFollower::out_interface(const Way& way) const {
  if (way.local) return "lo";
  if (way.route.interface.empty()) return std::nullopt;
  return way.route.interface;
}

bool WayFollower::take(Way& way, Routed&& routed) {
  way.route = std::move(routed.answer);
  way.local = routed.local;
  if (routed.uncertain) way.uncertain = routed.uncertain;
  if (!routed.end) return true;
  way.outcome.cause = routed.end->second;
  return finish(way, routed.end->first);
}

bool WayFollower::leave_base(Way& way) {
  const AtHook& left = *way.running;
  way.running = nullptr;
  const std::string before = std::exchange(way.routed_by, {});
  if (left.chain->base->type != Base::Type::kRoute || way.state.hook != Hook::kOutput) return true;
  if (routing_key(way.state) == before) return true;
  return take(way, route_sent(way.state, surroundings_, true));
}

}  // namespace kubenatd::rules::walk
