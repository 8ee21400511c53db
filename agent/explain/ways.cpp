#include "agent/explain/ways.h"

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "agent/explain/masquerade.h"

namespace kubenatd::agent::explain {
namespace {

using rules::walk::Cause;
using rules::walk::End;
using rules::walk::Hop;
using rules::walk::Outcome;
using rules::walk::Walk;

constexpr double kNothing = 1e-6;

bool arrives(const Outcome& outcome) {
  return outcome.end == End::kForwarded || outcome.end == End::kLocal;
}

/// What becomes of the packet, as its sender may notice it.
using Fate = std::tuple<End, Cause, rules::Address, std::uint16_t, std::optional<rules::Address>,
                        std::optional<std::uint16_t>, std::optional<std::uint16_t>>;

Fate fate_of(const Outcome& outcome) {
  if (!arrives(outcome)) return {outcome.end, outcome.cause, {}, 0, {}, {}, {}};
  const auto& state = outcome.state;
  return {outcome.end,
          outcome.cause,
          state.packet.destination,
          state.packet.destination_port,
          state.last_destination,
          state.last_destination_port,
          state.tproxy_port};
}

/// And as it is told.
using Key = std::tuple<bool, Fate, bool, bool, const void*>;

/// The rule of a hop; of a policy, its chain.
const void* place_of(const Hop& hop) {
  return hop.rule != nullptr ? static_cast<const void*>(hop.rule) : static_cast<const void*>(hop.chain);
}

Key key_of(const Walk& walk, const Outcome& outcome) {
  const bool decided = !arrives(outcome) && outcome.last < walk.hops.size();
  return {outcome.remembered, fate_of(outcome), outcome.state.destination_changed, is_source_replaced(outcome.state),
          decided ? place_of(walk.hops[outcome.last]) : nullptr};
}

/// To what one rule that cannot be judged leads.
struct Doubt {
  std::set<Fate> fates_if_fit, fates_if_not;
  std::set<Key> keys_if_fit, keys_if_not;
  [[nodiscard]] bool decides() const {
    return !keys_if_fit.empty() && !keys_if_not.empty() && keys_if_fit != keys_if_not;
  }
  /// Both sides were followed, and came to the same.
  [[nodiscard]] bool is_idle() const { return !keys_if_fit.empty() && keys_if_fit == keys_if_not; }
  [[nodiscard]] bool decides_fate() const { return decides() && fates_if_fit != fates_if_not; }
};

}  // namespace

Ways join_ways(const Walk& walk) {
  Ways joined;
  std::map<Key, std::size_t> known;
  std::map<const void*, Doubt> doubts;
  std::vector<std::uint32_t> all_doubts;
  double total = 0;
  bool all_known = true;
  bool doubts_told = true;
  std::size_t usual = 0;
  for (const Outcome& outcome : walk.outcomes) {
    const Key key = key_of(walk, outcome);
    const auto [found, is_new] = known.try_emplace(key, joined.ways.size());
    if (is_new) {
      joined.ways.push_back({&outcome, outcome.odds, outcome.odds_known, outcome.odds_known});
      usual += outcome.remembered ? 0 : 1;
    } else {
      Way& way = joined.ways[found->second];
      if (outcome.odds > way.outcome->odds) way.outcome = &outcome;
      way.odds += outcome.odds;
      way.odds_known = way.odds_known && outcome.odds_known;
      way.is_sure = way.is_sure || outcome.odds_known;
    }
    if (!outcome.remembered) total += outcome.odds;
    all_known = all_known && outcome.odds_known;
    doubts_told = doubts_told && (outcome.odds_known || !outcome.doubts.empty());
    for (const std::uint32_t index : outcome.doubts) {
      if (index >= walk.hops.size()) continue;
      const Hop& hop = walk.hops[index];
      const auto [doubt, first] = doubts.try_emplace(place_of(hop));
      if (first) all_doubts.push_back(index);
      (hop.assumed ? doubt->second.fates_if_fit : doubt->second.fates_if_not).insert(fate_of(outcome));
      (hop.assumed ? doubt->second.keys_if_fit : doubt->second.keys_if_not).insert(key);
    }
  }
  bool decides = false;
  bool all_idle = true;
  for (const auto& [place, doubt] : doubts) {
    decides = decides || doubt.decides();
    all_idle = all_idle && doubt.is_idle();
    joined.is_doubtful = joined.is_doubtful || doubt.decides_fate();
  }
  // Of a doubt whose other side is not there, that was joined on the way to a state that both come to: nothing new is
  // behind it, but how likely each end is then, nobody can tell.
  const bool certain = usual == 1 && !walk.cut;
  const bool adds_up = all_idle && doubts_told && !walk.cut && std::abs(total - 1) < kNothing;
  for (Way& way : joined.ways) {
    if (way.outcome->remembered || all_known) continue;
    if (certain) {
      way.odds = 1;
      way.odds_known = true;
    } else if (adds_up) {
      way.odds_known = true;
    }
    way.is_sure = way.is_sure || way.odds_known;
  }
  if (decides) joined.doubts = std::move(all_doubts);
  return joined;
}

}  // namespace kubenatd::agent::explain
