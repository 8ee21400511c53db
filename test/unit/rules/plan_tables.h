#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rules/hostport/compiler.h"
#include "rules/iptables/compiler.h"
#include "rules/iptables/live.h"
#include "rules/iptables/plan.h"

/// Tables in memory for the tests of the comparison.
namespace kubenatd::rules::iptables::test {

/// Carries plans out as strictly as nf_tables does: nothing jumps to a chain that is not there, no chain goes that is
/// not empty or that something jumps to, and a handle names one rule.
class PlanTables final : public LiveChains {
 public:
  struct LiveRule {
    std::uint64_t handle = 0;
    Rule rule;
  };
  using Key = std::pair<Table, std::string>;

  /// Checks each step. Returns the handles of the rules with echo.
  std::vector<std::uint64_t> carry_out(const std::vector<Step>& steps) {
    std::vector<std::uint64_t> echoed;
    for (const Step& step : steps) {
      INFO(to_text(step));
      carry_out(step, echoed);
    }
    return echoed;
  }
  void put(Table table, const std::string& chain, Rule rule) {
    tables.insert(table);
    chains[{table, chain}].push_back({next_++, std::move(rule)});
  }
  [[nodiscard]] std::vector<Rule> rules(Table table, const std::string& chain) const {
    std::vector<Rule> all;
    if (const auto found = chains.find({table, chain}); found != chains.end())
      for (const LiveRule& one : found->second) all.push_back(one.rule);
    return all;
  }

  // What is read of them, as of now.
  [[nodiscard]] bool has_table(Table table) const override { return tables.contains(table); }
  [[nodiscard]] bool has_base(Table table, std::string_view chain) const override {
    return bases.contains({table, std::string(chain)});
  }
  [[nodiscard]] const std::vector<LiveRuleRef>& jumps(Table table, std::string_view chain) const override {
    static thread_local std::vector<LiveRuleRef> ours;
    ours.clear();
    if (const auto found = chains.find({table, std::string(chain)}); found != chains.end())
      for (const LiveRule& one : found->second)
        if (find_builtin_jump(table, chain, one.rule) != nullptr || hostport::is_entry_jump(chain, one.rule))
          ours.push_back({one.handle, digest_of(one.rule)});
    return ours;
  }
  [[nodiscard]] bool has(const ChainId& chain) const override { return chains.contains(key(chain)); }
  [[nodiscard]] Digest digest(const ChainId& chain) const override {
    ListDigest digest;
    for (const LiveRuleRef& one : list(key(chain))) digest.add(one.digest);
    return digest.value();
  }
  [[nodiscard]] const std::vector<LiveRuleRef>& rules_in(const ChainId& chain) const override {
    return list(key(chain));
  }

  std::set<Table> tables;
  std::set<Key> bases;
  std::map<Key, std::vector<LiveRule>> chains;  ///< builtin ones, too

 private:
  static Key key(const ChainId& chain) { return {chain.table, std::string(chain.name.view())}; }
  static Table table_of(const ObjectRef& object) {
    for (const Table table : {Table::kFilter, Table::kNat})
      if (name_of(table) == object.table) return table;
    throw std::runtime_error("no such table");
  }
  const std::vector<LiveRuleRef>& list(const Key& key) const {
    static thread_local std::vector<LiveRuleRef> listed;
    listed.clear();
    if (const auto found = chains.find(key); found != chains.end())
      for (const LiveRule& one : found->second) listed.push_back({one.handle, digest_of(one.rule)});
    return listed;
  }
  [[nodiscard]] bool is_jumped_to(const Key& key) const {
    return std::ranges::any_of(chains, [&](const auto& one) {
      return one.first.first == key.first && std::ranges::any_of(one.second, [&](const LiveRule& rule) {
               return jump_target(rule.rule) == key.second;
             });
    });
  }

  void carry_out(const Step& step, std::vector<std::uint64_t>& echoed) {
    const Table table = table_of(step.object);
    const Key key{table, step.object.name};
    const auto place_of = [&](std::uint64_t handle) {
      auto& all = chains.at(key);
      const auto found = std::ranges::find(all, handle, &LiveRule::handle);
      REQUIRE(found != all.end());
      return found;
    };
    if (step.operation != Operation::kCreateTable) REQUIRE(tables.contains(table));
    switch (step.operation) {
      case Operation::kCreateTable: tables.insert(table); break;
      case Operation::kCreateChain:
        if (step.only_new || step.is_base) REQUIRE_FALSE(chains.contains(key));
        chains[key];
        if (step.is_base) bases.insert(key);
        break;
      case Operation::kDeleteChain:
        REQUIRE(chains.contains(key));
        REQUIRE(chains.at(key).empty());
        REQUIRE_FALSE(is_jumped_to(key));
        chains.erase(key);
        break;
      case Operation::kDeleteRule:
        REQUIRE(chains.contains(key));
        if (step.object.kind == ObjectRef::Kind::kChain) {
          chains.at(key).clear();
        } else {
          chains.at(key).erase(place_of(step.object.handle));
        }
        break;
      case Operation::kAddRule: {
        REQUIRE(chains.contains(key));
        if (const auto target = jump_target(step.rule); !target.empty())
          REQUIRE(chains.contains({table, std::string(target)}));
        auto& all = chains.at(key);
        auto at = all.end();
        if (step.place.where == Placement::Where::kFirst) at = all.begin();
        if (step.place.where == Placement::Where::kBefore) at = place_of(step.place.handle);
        if (step.place.where == Placement::Where::kAfter) at = place_of(step.place.handle) + 1;
        all.insert(at, {next_, step.rule});
        if (step.echo) echoed.push_back(next_);
        ++next_;
        break;
      }
      default: FAIL("no step of a plan");
    }
  }

  std::uint64_t next_ = 1;
};

}  // namespace kubenatd::rules::iptables::test
