#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rules/walk/nft/loader.h"

namespace kubenatd::rules::walk::nft {

/// Turns the clauses of one rule into statements.
///
/// Threading: for one rule, one thread. Failure: what is not understood is a statement that cannot be judged. Cost:
/// linear.
class Compiler {
 public:
  explicit Compiler(WalkTable& table) : table_(table), loader_(table, statements_) {}
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  std::vector<Statement> rule(const std::vector<Clause>& clauses);

 private:
  template <class What>
  void add(What what) {
    statements_.emplace_back(std::move(what));
  }
  void unjudged(const Clause& clause, Part part = Part::kOther) { add(Unjudged{clause.text, part}); }
  /// The kernel goes no further.
  void end(Statement statement) {
    statements_.push_back(std::move(statement));
    ended_ = true;
  }

  void clause(const Clause& clause, bool is_last);

  // Conditions.
  void condition(Condition condition);
  void match(const Clause& clause);
  void in_set(const Clause& clause, Load left, const Term& right, bool negate);
  /// A key that the map does not have ends the rule (nft_objref_map_eval).
  void object_map(const Clause& clause);
  void concatenation(const Clause& clause, const Load& left, const Term& right, bool negate);
  /// "ct state new,established", "tcp flags ! syn": whether one of the bits is there.
  bool bits_test(const Clause& clause, const Load& left, const Term& right, Part part);
  void bound(const Clause& clause, const Load& left, const Term& right, Part part);
  void range(const Clause& clause, const Load& left, const Term& right, Part part);

  // Verdicts out of maps, changes.
  void verdict_map(const Clause& clause);
  void change(const Clause& clause);
  void change_payload(const Clause& clause);
  void update(const Clause& clause);

  // Translation.
  [[nodiscard]] bool is_six(const Clause& clause) const;
  void nat(const Clause& clause);
  void address(const Clause& clause, Nat& nat, bool six);
  void address_from_map(const Term& term, Nat& nat, const Place& place);
  void port(const Term& term, ExpressionPtr& first, ExpressionPtr& last);
  void tproxy(const Clause& clause);
  void reject(const Clause& clause);

  WalkTable& table_;
  std::vector<Statement> statements_;
  Loader loader_;
  bool ended_ = false;
};

}  // namespace kubenatd::rules::walk::nft
