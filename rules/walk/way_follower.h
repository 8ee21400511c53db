#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "rules/walk/judge_rule.h"
#include "rules/walk/routing.h"
#include "rules/walk/way.h"

namespace kubenatd::rules::walk {

inline constexpr std::size_t kMostHops = 1'000'000;
inline constexpr std::size_t kMostOutcomes = 20'000;

/// Follows all ways of one packet, one after the other, each to its end.
///
/// Threading: one thread, one packet. Failure: none. Cost: see walk().
class WayFollower {
 public:
  WayFollower(const Ruleset& ruleset, const Packet& packet, const Surroundings& surroundings);
  [[nodiscard]] Walk walk(const Packet& packet);

 private:
  void tidy();
  /// To the end of this way; ways that split off are put on open_.
  void follow(Way& way);
  /// A way that goes on later. One that waits in the same place already takes its odds.
  void put(Way&& way);

  // Hooks.

  /// Runs what is next at the hook, up to the next chain. False when the way has ended.
  bool next_chain(Way& way);
  /// Connection tracking sees the packet, when no rule has kept it away before.
  static void track(Way& way);
  [[nodiscard]] static bool changes_source(Hook hook);
  /// Whether rules of nat are asked: for a tracked connection that has no mapping of that kind yet.
  [[nodiscard]] static bool nat_looks(const Way& way);
  /// Behind the chains of nat: a connection that no rule translated keeps its addresses for good.
  bool finish_nat(Way& way);
  /// Chains of devices are for their own. When the packet's is not known, or stands on others, nobody can tell.
  bool is_here(Way& way, const AtHook& next);
  [[nodiscard]] bool stands_on_others(const std::string& device) const;
  void note_doubt(Way& way, const AtHook& at, bool assumed);
  /// After all chains of a hook.
  bool leave_hook(Way& way);
  static bool enter(Way& way, Hook hook);
  [[nodiscard]] std::optional<std::string> out_interface(const Way& way) const;
  /// What routing decided. False when the way has ended.
  bool take(Way& way, Routed&& routed);
  /// After a base chain that let the packet through. False when the way has ended.
  bool leave_base(Way& way);

  // Rules.

  /// The next rule of the innermost chain, or its end. False when the way has ended.
  bool step(Way& way);
  /// Follows the branch on which the rule does not count, or the last one; the others go on later.
  bool go(Way& way, const WalkRule& rule, std::vector<Branch>&& branches);
  /// A rule that gives clients who came lately the endpoint they had: which one, later rules of the hook will tell.
  void remember_place(Way& way, const WalkRule& rule, const std::vector<Branch>& branches);
  /// The client that was at this endpoint lately gets it again.
  void give_again(const Way& way, const PacketState& given);
  /// One branch of a rule. False when the way has ended.
  bool apply(Way& way, const WalkRule& rule, Branch&& branch, bool splits);
  bool obey(Way& way, const ToVerdict& verdict);
  bool enter_chain(Way& way, const ToVerdict& verdict);
  bool meet_unread(Way& way, const WalkChain& chain);
  /// A chain without a verdict: back to the caller, or the policy.
  bool leave_chain(Way& way);
  Hop& note(Way& way, const WalkTable* table, const WalkChain* chain, const WalkRule* rule);
  bool finish(Way& way, End end);

  const Ruleset& ruleset_;
  const Surroundings surroundings_;
  const Hooks hooks_;
  SetIndexes indexes_;
  std::vector<Way> open_;
  std::unordered_map<std::string, std::size_t> waiting_;  ///< where in open_, by key
  std::unordered_set<std::string> seen_;                  ///< states of ways of unknown odds
  Walk result_;
};

}  // namespace kubenatd::rules::walk
