#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "rules/change.h"
#include "rules/rule.h"

/// What is to be written to iptables' tables, step by step.
namespace kubenatd::rules::iptables {

/// Where a new rule goes in its chain.
struct Placement {
  enum class Where : std::uint8_t { kLast, kFirst, kBefore, kAfter };
  Where where = Where::kLast;
  std::uint64_t handle = 0;  ///< of the neighbour, for kBefore and kAfter

  static constexpr Placement last() { return {}; }
  static constexpr Placement first() { return {Where::kFirst, 0}; }
  static constexpr Placement before(std::uint64_t handle) { return {Where::kBefore, handle}; }
  static constexpr Placement after(std::uint64_t handle) { return {Where::kAfter, handle}; }
  bool operator==(const Placement&) const = default;
};

/// The parts of a plan, in the order in which they are carried out.
enum class Part : std::uint8_t {
  kFresh,    ///< chains that nothing jumps to yet: may go ahead in transactions of their own, no packet sees half of it
  kVisible,  ///< what packets see: one transaction
  kGarbage,  ///< chains that nothing jumps to any more: in the same transaction
};
inline constexpr std::size_t kParts = 3;

/// Receives the steps of a plan one by one; those of one part come in order, the parts in any order.
class PlanSink {
 public:
  virtual ~PlanSink() = default;
  virtual void make_table(Part part, Table table) = 0;
  /// A builtin chain with its hook.
  virtual void make_base_chain(Part part, Table table, std::string_view chain) = 0;
  /// With `only_new` the transaction has to fail when the chain is there already.
  virtual void make_chain(Part part, Table table, std::string_view chain, bool only_new) = 0;
  virtual void flush_chain(Part part, Table table, std::string_view chain) = 0;
  /// With `echo` the handle that the kernel gives to the rule has to be known afterwards.
  virtual void add_rule(Part part, Table table, std::string_view chain, const Rule& rule, Placement place,
                        bool echo) = 0;
  virtual void delete_rule(Part part, Table table, std::string_view chain, std::uint64_t handle) = 0;
  virtual void delete_chain(Part part, Table table, std::string_view chain) = 0;
};

/// One step as a value.
struct Step {
  Operation operation = Operation::kNone;
  ObjectRef object;   ///< of kAddRule the chain; of kDeleteRule one rule, or the chain: all of its rules
  Rule rule;          ///< kAddRule
  Placement place;    ///< kAddRule
  bool echo = false;  ///< kAddRule
  bool only_new = false;
  bool is_base = false;  ///< kCreateChain: with a hook

  bool operator==(const Step&) const = default;
};

/// A whole plan as values, to be looked at.
///
/// Threading: one thread. Failure: none. Cost: keeps every rule; what is large is written from the steps themselves.
class Plan final : public PlanSink {
 public:
  explicit Plan(Family family) : family_(family) {}

  [[nodiscard]] const std::vector<Step>& steps(Part part) const { return parts_[static_cast<std::size_t>(part)]; }
  /// In the order in which they are carried out.
  [[nodiscard]] std::vector<Step> all() const;

  void make_table(Part part, Table table) override;
  void make_base_chain(Part part, Table table, std::string_view chain) override;
  void make_chain(Part part, Table table, std::string_view chain, bool only_new) override;
  void flush_chain(Part part, Table table, std::string_view chain) override;
  void add_rule(Part part, Table table, std::string_view chain, const Rule& rule, Placement place, bool echo) override;
  void delete_rule(Part part, Table table, std::string_view chain, std::uint64_t handle) override;
  void delete_chain(Part part, Table table, std::string_view chain) override;

 private:
  Step& add(Part part, Operation operation, ObjectRef object);

  Family family_;
  std::array<std::vector<Step>, kParts> parts_;
};

/// One line, for tests and logs: "add rule ip nat KUBE-SERVICES before 7: -p tcp ...".
[[nodiscard]] std::string to_text(const Step& step);

}  // namespace kubenatd::rules::iptables
