#pragma once

#include <expected>
#include <functional>
#include <optional>

#include "netlink/core/batch.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/rule_encoder.h"
#include "rules/iptables/plan.h"

namespace kubenatd::agent::dataplane::iptables {

/// Writes the steps of a plan as messages.
///
/// Chains that nothing jumps to yet are sent ahead in transactions of their own when they have grown large; all else
/// goes into one transaction. Threading: one thread. Failure: of a part that was sent ahead, see failure(); nothing
/// more is written after it. Cost: one encoding of each rule; memory of the messages.
class PlanEncoder final : public rules::iptables::PlanSink {
 public:
  using Stage = std::function<std::expected<void, netlink::CommitFailure>(netlink::Batch&)>;

  /// `batch` must be empty and outlive this: after finish() it is the transaction.
  PlanEncoder(rules::Family family, netlink::iptables::RuleForm form, netlink::Batch& batch, Stage stage)
      : family_(family), form_(form), fresh_(batch), stage_(std::move(stage)) {}

  void make_table(rules::iptables::Part part, rules::Table table) override;
  void make_base_chain(rules::iptables::Part part, rules::Table table, std::string_view chain) override;
  void make_chain(rules::iptables::Part part, rules::Table table, std::string_view chain, bool only_new) override;
  void flush_chain(rules::iptables::Part part, rules::Table table, std::string_view chain) override;
  void add_rule(rules::iptables::Part part, rules::Table table, std::string_view chain, const rules::Rule& rule,
                rules::iptables::Placement place, bool echo) override;
  void delete_rule(rules::iptables::Part part, rules::Table table, std::string_view chain,
                   std::uint64_t handle) override;
  void delete_chain(rules::iptables::Part part, rules::Table table, std::string_view chain) override;

  /// Puts the parts together.
  void finish();
  /// Why a part could not be sent ahead.
  [[nodiscard]] const std::optional<netlink::CommitFailure>& failure() const { return failure_; }

  static constexpr std::size_t kStageBytes = 4U << 20;

 private:
  [[nodiscard]] netlink::Batch& batch_of(rules::iptables::Part part);

  rules::Family family_;
  netlink::iptables::RuleForm form_;
  netlink::Batch& fresh_;
  netlink::Batch visible_;
  netlink::Batch garbage_;
  Stage stage_;
  std::optional<netlink::CommitFailure> failure_;
};

}  // namespace kubenatd::agent::dataplane::iptables
