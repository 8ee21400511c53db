#pragma once

#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include "agent/dataplane/iptables/live_tables.h"
#include "netlink/core/batch.h"
#include "rules/iptables/desired.h"

namespace kubenatd::agent::dataplane::iptables {

/// Turns desired chains into the messages that make the live ones equal, and nothing more.
///
/// Chains that do not exist yet are kept apart (`fresh`): nothing jumps to them, so a large load may send them ahead in
/// transactions of their own, and no packet sees half of it. Everything that a packet can see goes into one
/// transaction.
///
/// Threading: one thread. Failure: none; nothing is sent here. Cost: proportional to what is handed in.
class ChangeWriter final : public rules::iptables::DesiredTables::Sink {
 public:
  /// `undeletable` are chains that others jump to: they are emptied, not removed.
  ChangeWriter(rules::Family family, const rules::iptables::DesiredTables& desired, const LiveTables& live,
               const std::set<rules::ChainId>& undeletable)
      : family_(family), desired_(desired), live_(live), undeletable_(undeletable) {}

  void chain(const rules::ChainRules& chain, const rules::Digest& digest, std::string_view owner) override;
  void shared(const rules::iptables::SharedChain& chain) override;
  void gone(const rules::ChainId& chain) override;
  /// Builtin chains and our jumps in them; a table or chain that is missing is made.
  void jumps();

  /// Chains of host ports are to be changed: their jumps may be missing.
  [[nodiscard]] bool touches_host_ports() const;

  [[nodiscard]] bool empty() const { return fresh_.empty() && visible_.empty() && garbage_.empty(); }

  /// Called with each part of `fresh` that has grown past `kStageBytes`, to be sent ahead.
  using Stage = std::function<void(netlink::Batch&)>;
  void stage_with(Stage stage) { stage_ = std::move(stage); }

  /// All that is left, in one transaction.
  [[nodiscard]] netlink::Batch& finish();

  /// Makes `live` what it is after the commit. `handles` are the kernel's answers to the rules added with echo; fewer
  /// than asked for: the chains concerned are listed in the result and have to be read again.
  [[nodiscard]] std::vector<rules::ChainId> apply_to(LiveTables& live, const std::vector<std::uint64_t>& handles) const;

  /// Everything that is to be changed, for another try. What is handed in a second time is passed over.
  [[nodiscard]] const std::unordered_set<rules::ChainId>& touched() const { return touched_; }
  /// Builtin chains that jumps were put into.
  [[nodiscard]] const std::vector<std::pair<rules::Table, std::string>>& touched_bases() const { return bases_; }
  /// Those of nat that got nothing but jumps of host ports.
  [[nodiscard]] const std::set<std::string>& host_port_bases() const { return host_port_bases_; }

  /// Rules added so far, by table; jumps from builtin chains are not among them.
  [[nodiscard]] std::size_t rules_added(rules::Table table) const {
    return rules_added_[static_cast<std::size_t>(table)];
  }

  static constexpr std::size_t kStageBytes = 4U << 20;

 private:
  struct NewContent {
    rules::ChainId id;
    rules::Digest digest;  ///< chains written as a whole
    bool by_rule = false;
    std::vector<rules::LiveRuleRef> rules;  ///< by rule; handle 0: the next echoed one
    bool unknown_handles = false;           ///< too many were added to ask for each
  };

  void host_port_jumps();
  void write_whole(const rules::ChainId& id, const rules::Digest& digest, auto&& add_rules);
  void ensure_table(netlink::Batch& batch, rules::Table table);
  void stage_if_large();
  void count_added(rules::Table table, std::size_t rules) { rules_added_[static_cast<std::size_t>(table)] += rules; }

  rules::Family family_;
  const rules::iptables::DesiredTables& desired_;
  const LiveTables& live_;
  const std::set<rules::ChainId>& undeletable_;
  netlink::Batch fresh_;
  netlink::Batch visible_;
  netlink::Batch garbage_;
  Stage stage_;
  std::set<rules::Table> ensured_;
  std::vector<NewContent> contents_;
  std::vector<rules::ChainId> removed_;
  std::unordered_set<rules::ChainId> touched_;
  std::vector<std::pair<rules::Table, std::string>> bases_;
  std::array<std::size_t, 3> rules_added_{};
  std::set<std::string> host_port_bases_;
};

}  // namespace kubenatd::agent::dataplane::iptables
