#pragma once

#include <array>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "rules/iptables/chain_sink.h"
#include "rules/iptables/compiler.h"
#include "rules/iptables/live.h"
#include "rules/iptables/plan.h"

namespace kubenatd::rules::iptables {

/// Compares desired chains with what is there, and gives the steps that make both equal, and nothing more.
///
/// Purpose: takes desired chains one by one and writes steps at once, so that a large load is never held as a whole.
/// What is handed in a second time is passed over. finish() ends it. Threading: one thread. Failure: none. Cost:
/// proportional to what is handed in; rules are compiled only for what has to be written.
class Diff final : public ChainSink {
 public:
  /// All must outlive this. `undeletable` are chains that others jump to: they are emptied, not removed.
  Diff(const CompileOptions& options, const LiveChains& live, const std::set<ChainId>& undeletable, PlanSink& plan)
      : options_(options), live_(live), undeletable_(undeletable), plan_(plan) {}

  /// Asked for each chain, builtin ones too, that differs, before anything is written: with false it is left as it is.
  using Gate = std::function<bool(Table table, std::string_view chain)>;
  void set_gate(Gate gate) { gate_ = std::move(gate); }
  /// Chains that are missing and that the gate held back, but a rule that was written jumps to them: they were made
  /// empty, and are to be handed in again with the gate open.
  [[nodiscard]] std::set<ChainId> take_needed() { return std::exchange(needed_, {}); }

  void chain(const ChainRules& chain, const Digest& digest) override;
  void shared(const SharedChain& chain) override;
  void gone(const ChainId& chain) override;
  /// Builtin chains and our jumps in them: a table or chain that is missing is made, a jump that is there twice is made
  /// one again.
  void jumps();
  /// After jumps(): those to the chains of host ports.
  void host_port_jumps();
  void finish();

  [[nodiscard]] bool empty() const { return touched_.empty() && bases_.empty(); }
  /// Chains of host ports are to be changed: their jumps may be missing.
  [[nodiscard]] bool touches_host_ports() const;
  /// Every chain that is to be changed, builtin ones apart.
  [[nodiscard]] const std::unordered_set<ChainId>& touched() const { return touched_; }
  /// Builtin chains whose jumps are changed.
  [[nodiscard]] const std::vector<std::pair<Table, std::string>>& touched_bases() const { return bases_; }
  /// Those of nat where nothing is changed but jumps of host ports.
  [[nodiscard]] const std::set<std::string>& host_port_bases() const { return host_port_bases_; }
  /// Rules added so far, by table; jumps from builtin chains are not among them.
  [[nodiscard]] std::size_t rules_added(Table table) const { return rules_added_[static_cast<std::size_t>(table)]; }
  [[nodiscard]] const AfterPlan& after() const { return after_; }

  /// Past this many new rules in one chain it is cheaper to list the chain afterwards than to have each one reported.
  static constexpr std::size_t kMaxEchoes = 256;

 private:
  void write_whole(const ChainId& id, const Digest& digest, auto&& add_rules);
  void edit(const SharedChain& chain, const SequenceEdit& edit);
  /// Notes that the chain is to be changed. False: it is already, or must not be.
  [[nodiscard]] bool take(const ChainId& chain);
  [[nodiscard]] bool may_change(Table table, std::string_view chain) const { return !gate_ || gate_(table, chain); }
  [[nodiscard]] bool is_there(const ChainId& chain) const { return live_.has(chain) || made_.contains(chain); }
  /// Handles of our jumps in a builtin chain that stand there once too often.
  [[nodiscard]] std::vector<std::uint64_t> surplus_of(Table table, std::string_view chain,
                                                      std::span<const Digest> wanted) const;
  void ensure_table(Table table);
  void put_rule(Part part, Table table, std::string_view chain, const Rule& rule, Placement place = {},
                bool echo = false);
  void count_added(Table table, std::size_t rules) { rules_added_[static_cast<std::size_t>(table)] += rules; }

  const CompileOptions& options_;
  const LiveChains& live_;
  const std::set<ChainId>& undeletable_;
  PlanSink& plan_;
  Gate gate_;
  AfterPlan after_;
  std::unordered_set<ChainId> touched_;
  std::vector<std::pair<Table, std::string>> bases_;
  std::set<std::string> host_port_bases_;
  std::array<std::size_t, 3> rules_added_{};
  std::set<ChainId> held_missing_;
  std::set<ChainId> made_;  ///< empty, as others jump there
  std::set<ChainId> needed_;
  std::optional<Table> flush_first_;  ///< the first visible step is a flush, of a chain of this table
  bool any_fresh_ = false;
  bool any_visible_ = false;
};

}  // namespace kubenatd::rules::iptables
