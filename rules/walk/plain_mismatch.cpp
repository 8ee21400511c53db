#include "rules/walk/conditions.h"
#include "rules/walk/fields.h"
#include "rules/walk/headers.h"
#include "rules/walk/rule_judge.h"

namespace kubenatd::rules::walk {

std::optional<Part> plain_mismatch(const WalkRule& rule, const PacketState& state, const Surroundings& surroundings) {
  for (const Statement& statement : rule.statements) {
    const auto* condition = std::get_if<Condition>(&statement);
    if (condition == nullptr) {
      if (has_effect(statement)) return std::nullopt;
      continue;
    }
    const Expression* left = condition->left.get();
    if (left == nullptr) continue;
    const auto* bits = std::get_if<Bits>(&left->what);
    const Expression* leaf = bits != nullptr ? bits->of.get() : left;
    if (leaf == nullptr) continue;
    Value value;
    if (const auto* payload = std::get_if<Payload>(&leaf->what)) {
      value = load(*payload, state);
    } else if (const auto* meta = std::get_if<Meta>(&leaf->what)) {
      value = load(*meta, state, surroundings);
    } else {
      continue;
    }
    if (!value.absent && bits != nullptr) value = masked(value, *bits);
    if (value.absent) return condition->part;
    const Holds fits = holds(value, condition->ranges);
    if (fits == (condition->negate ? Holds::kYes : Holds::kNo)) return condition->part;
  }
  return std::nullopt;
}

}  // namespace kubenatd::rules::walk
