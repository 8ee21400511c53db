#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "rules/walk/judge.h"
#include "rules/walk/sets.h"

namespace kubenatd::rules::walk {

/// Values of Draw nodes, by identity: one node is one number, wherever the rule uses it.
using Drawn = std::vector<std::pair<const Draw*, std::uint32_t>>;

/// Evaluates the expressions of one rule for one packet.
///
/// Threading: one thread. Failure: what cannot be known is a value without known bits. Cost: linear in the tree, of
/// which at most some 10 000 nodes are looked at; trees of hostile rules can share branches without end.
class Evaluator {
 public:
  Evaluator(const Ruleset& ruleset, const WalkTable& table, const Surroundings& surroundings, SetIndexes& indexes)
      : ruleset_(ruleset), table_(table), surroundings_(surroundings), indexes_(indexes) {}

  /// What the last evaluations met besides their value.
  struct Notes {
    bool maybe_absent = false;  ///< a map may have no such key: the value is absent, or what it is
    bool from_memory = false;   ///< a map that packets fill was asked: a client that came lately may be there
    bool refreshed = false;     ///< what is remembered of the client in a map was put there again by this packet
    std::vector<LookedUp> looked_up;
    /// A map may have answered with any of these, and with nothing else.
    const WalkSet* asked = nullptr;
    std::vector<const SetElement*> candidates;
  };
  Notes notes;
  /// A map that is taken to answer with this element.
  std::pair<const WalkSet*, const SetElement*> assumed{};
  /// The number that the rule has put into the packet's priority; none: the priority is what the state says.
  const Draw* carried = nullptr;

  [[nodiscard]] Value evaluate(const ExpressionPtr& expression, const PacketState& state, const Drawn& drawn) {
    steps_ = 0;
    return value_of(expression, state, drawn);
  }
  /// Of a key in a set of the rule's table, noted.
  [[nodiscard]] LookUp look_up(const std::string& set, const Value& key, const PacketState& state);
  [[nodiscard]] const WalkSet* set(const std::string& name) const { return table_.set(name); }

  /// The nodes whose number is not drawn yet. `in_priority`: as `carried`.
  static void collect_draws(const ExpressionPtr& expression, const Drawn& drawn, const Draw* in_priority,
                            std::vector<const Draw*>& into);

 private:
  [[nodiscard]] Value value_of(const ExpressionPtr& expression, const PacketState& state, const Drawn& drawn);
  [[nodiscard]] Value map_value(const MapLookup& lookup, const Value& key, const PacketState& state);

  const Ruleset& ruleset_;
  const WalkTable& table_;
  const Surroundings& surroundings_;
  SetIndexes& indexes_;
  std::size_t steps_ = 0;  ///< of this evaluation
  std::size_t all_steps_ = 0;
};

[[nodiscard]] Value masked(Value value, const Bits& operation);

/// Whether a value is in one of the ranges, whatever its unknown bits are.
enum class Holds : std::uint8_t { kNo, kMaybe, kYes };
[[nodiscard]] Holds holds(const Value& value, const std::vector<std::pair<Bytes, Bytes>>& ranges);

}  // namespace kubenatd::rules::walk
