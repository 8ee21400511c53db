#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "rules/walk/conditions.h"
#include "rules/walk/rule_judge.h"
#include "rules/walk/state_key.h"

/// Numbers that a rule draws.
namespace kubenatd::rules::walk {

namespace {

constexpr std::uint64_t kTooMany = 65536;  ///< no need to count further

/// What a statement puts into the packet's priority; null: nothing.
const ExpressionPtr* to_priority(const Statement& statement) {
  const auto* set = std::get_if<SetMeta>(&statement);
  return set != nullptr && set->key == NFT_META_PRIORITY ? &set->value : nullptr;
}

const Draw* as_draw(const ExpressionPtr& expression) {
  return expression == nullptr ? nullptr : std::get_if<Draw>(&expression->what);
}

}  // namespace

const Draw* RuleJudge::carried(std::size_t at) const {
  while (at-- > 0)
    if (const ExpressionPtr* value = to_priority(rule_.statements[at])) return as_draw(*value);
  return nullptr;
}

bool RuleJudge::only_carries(std::size_t at) const {
  const ExpressionPtr* value = to_priority(rule_.statements[at]);
  const Draw* draw = value == nullptr ? nullptr : as_draw(*value);
  return draw != nullptr && used_later(draw, at);
}

std::vector<const Draw*> RuleJudge::draws_of(std::size_t at, const Drawn& drawn) const {
  std::vector<const Draw*> draws;
  const Draw* in_priority = carried(at);
  const auto add = [&](const ExpressionPtr& expression) {
    if (expression != nullptr) Evaluator::collect_draws(expression, drawn, in_priority, draws);
  };
  std::visit(
      [&](const auto& one) {
        using One = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<One, Condition>) add(one.left);
        if constexpr (std::is_same_v<One, AnyOf>)
          for (const Condition& condition : one.conditions) add(condition.left);
        if constexpr (std::is_same_v<One, InSet> || std::is_same_v<One, VerdictMap>) add(one.key);
        if constexpr (std::is_same_v<One, SetMeta> || std::is_same_v<One, SetCt> || std::is_same_v<One, SetPayload>)
          add(one.value);
        if constexpr (std::is_same_v<One, Nat>)
          add(one.address), add(one.last_address), add(one.port), add(one.last_port);
        if constexpr (std::is_same_v<One, Tproxy>) add(one.address), add(one.port);
      },
      rule_.statements[at]);
  return draws;
}

std::uint64_t RuleJudge::count(const std::vector<const Draw*>& draws) {
  std::uint64_t values = 1;
  for (const Draw* draw : draws) {
    values *= std::max<std::uint32_t>(draw->modulus, 1);
    if (values > kTooMany) break;
  }
  return values;
}

bool RuleJudge::used_later(const Draw* draw, std::size_t at) const {
  for (std::size_t later = at + 1; later < rule_.statements.size(); ++later)
    if (std::ranges::count(draws_of(later, {}), draw) != 0) return true;
  return false;
}

std::optional<double> RuleJudge::certain_odds(std::size_t at, const std::vector<const Draw*>& draws) const {
  const auto* condition = std::get_if<Condition>(&rule_.statements[at]);
  if (condition == nullptr || draws.size() != 1) return std::nullopt;
  if (used_later(draws.front(), at)) return std::nullopt;
  return odds_of(*condition, *draws.front());
}

void RuleJudge::draw(Run& run, const Statement& statement, const std::vector<const Draw*>& draws,
                     std::uint64_t values) {
  const std::size_t at = run.at;
  const bool needed = std::ranges::any_of(draws, [&](const Draw* draw) { return used_later(draw, at); });
  std::unordered_map<std::string, Run> ways;
  std::vector<std::string> order;
  const std::vector<Branch> before = std::exchange(results_, {});
  const auto keep = [&](Run&& way, char kind) {
    std::string key = key_of(way.branch.after);
    key += kind;
    key += static_cast<char>((way.branch.remembered ? 1 : 0) | (way.branch.nat_done ? 2 : 0) |
                             (way.branch.anything ? 4 : 0) | (way.branch.assumed ? 8 : 0) | (way.doubted ? 16 : 0) |
                             (way.branch.destination_from_memory ? 32 : 0));
    key += static_cast<char>(way.branch.verdict.verdict);
    key += way.branch.verdict.chain;
    if (needed)
      for (const auto& [draw, number] : way.drawn) key += '/' + std::to_string(number);
    const auto [place, is_new] = ways.try_emplace(key, std::move(way));
    if (is_new) {
      order.push_back(std::move(key));
    } else if (!place->second.branch.remembered) {
      place->second.branch.odds += way.branch.odds;
    }
  };
  for (std::uint64_t value = 0; value < values; ++value) {
    Run way = run;
    way.branch.odds /= static_cast<double>(values);
    std::uint64_t rest = value;
    for (const Draw* draw : draws) {
      const std::uint32_t modulus = std::max<std::uint32_t>(draw->modulus, 1);
      way.drawn.emplace_back(draw, draw->offset + static_cast<std::uint32_t>(rest % modulus));
      rest /= modulus;
    }
    if (values > 1 && way.branch.fit == Fit::kYes) way.branch.fit = Fit::kByChance;
    const std::size_t forked = open_.size();
    switch (step(way, statement)) {
      case Step::kNext: way.at = at + 1, keep(std::move(way), 'n'); break;
      case Step::kDoubt: doubt(way), way.at = at + 1, keep(std::move(way), 'n'); break;
      case Step::kDone: keep(std::move(way), 'd'); break;
      case Step::kFails:
        if (way.branch.fit != Fit::kUnknown) {
          way.branch.fit = Fit::kNo;
          way.branch.part = part_;
        }
        keep(std::move(way), 'f');
        break;
    }
    while (open_.size() > forked) {
      Run other = std::move(open_.back());
      open_.pop_back();
      keep(std::move(other), 'n');
    }
    for (Branch& branch : std::exchange(results_, {})) {
      Run other;
      other.branch = std::move(branch);
      keep(std::move(other), 'd');
    }
  }
  results_ = before;
  for (const std::string& key : order) {
    Run& way = ways.at(key);
    if (key[key_of(way.branch.after).size()] == 'n') {
      open_.push_back(std::move(way));
    } else {
      results_.push_back(std::move(way.branch));
    }
  }
}

}  // namespace kubenatd::rules::walk
