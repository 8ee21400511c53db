#include "rules/iptables/plan.h"

#include <fmt/format.h>

#include <utility>

#include "rules/text.h"

namespace kubenatd::rules::iptables {

Step& Plan::add(Part part, Operation operation, ObjectRef object) {
  Step& step = parts_[static_cast<std::size_t>(part)].emplace_back();
  step.operation = operation;
  step.object = std::move(object);
  return step;
}

std::vector<Step> Plan::all() const {
  std::vector<Step> steps;
  for (const auto& part : parts_) steps.insert(steps.end(), part.begin(), part.end());
  return steps;
}

void Plan::make_table(Part part, Table table) {
  add(part, Operation::kCreateTable, table_ref(family_, name_of(table)));
}

void Plan::make_base_chain(Part part, Table table, std::string_view chain) {
  add(part, Operation::kCreateChain, chain_ref(family_, name_of(table), chain)).is_base = true;
}

void Plan::make_chain(Part part, Table table, std::string_view chain, bool only_new) {
  add(part, Operation::kCreateChain, chain_ref(family_, name_of(table), chain)).only_new = only_new;
}

void Plan::flush_chain(Part part, Table table, std::string_view chain) {
  add(part, Operation::kDeleteRule, chain_ref(family_, name_of(table), chain));
}

void Plan::add_rule(Part part, Table table, std::string_view chain, const Rule& rule, Placement place, bool echo) {
  Step& step = add(part, Operation::kAddRule, chain_ref(family_, name_of(table), chain));
  step.rule = rule;
  step.place = place;
  step.echo = echo;
}

void Plan::delete_rule(Part part, Table table, std::string_view chain, std::uint64_t handle) {
  ObjectRef object = chain_ref(family_, name_of(table), chain);
  object.kind = ObjectRef::Kind::kRule;
  object.handle = handle;
  add(part, Operation::kDeleteRule, std::move(object));
}

void Plan::delete_chain(Part part, Table table, std::string_view chain) {
  add(part, Operation::kDeleteChain, chain_ref(family_, name_of(table), chain));
}

std::string to_text(const Step& step) {
  const bool flush = step.operation == Operation::kDeleteRule && step.object.kind == ObjectRef::Kind::kChain;
  std::string text =
      fmt::format("{} {}", flush ? "flush" : name_of(step.operation),
                  step.object.handle != 0 ? to_text(chain_ref(step.object.family, step.object.table, step.object.name))
                                          : to_text(step.object));
  if (step.object.handle != 0) text += fmt::format(" handle {}", step.object.handle);
  if (step.is_base) text += " with a hook";
  switch (step.place.where) {
    case Placement::Where::kLast: break;
    case Placement::Where::kFirst: text += " first"; break;
    case Placement::Where::kBefore: text += fmt::format(" before {}", step.place.handle); break;
    case Placement::Where::kAfter: text += fmt::format(" after {}", step.place.handle); break;
  }
  if (step.operation == Operation::kAddRule) text += ": " + rules::to_text(step.rule, step.object.family);
  return text;
}

}  // namespace kubenatd::rules::iptables
