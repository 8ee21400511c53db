#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/walk/nft/language.h"
#include "rules/walk/nft/lexer.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk::nft {

/// Reads rules and the parts of set definitions from tokens.
///
/// Threading: a value for one text, one thread. Failure: what is not understood is a clause that says so; what follows
/// it is read again from the next word that begins a statement. Cost: linear, but for the few statements of a rule that
/// are tried again.
class RuleParser {
 public:
  RuleParser(std::string_view text, const std::vector<Token>& tokens) : text_(text), tokens_(tokens) {}

  struct Rule {
    std::vector<Clause> clauses;
    std::string comment;
    std::uint64_t handle = 0;
    std::optional<Counters> counters;
  };
  /// From `at` to the end of the line, or a ";" or "}" that ends it; `at` is left there.
  [[nodiscard]] Rule rule(std::size_t& at);
  /// What is looked at ("ip saddr . tcp dport"), as behind "typeof".
  [[nodiscard]] std::optional<Term> typeof_expression(std::size_t& at);
  /// "{ ... }" with all elements; the parts that are not understood have kUnknown keys.
  [[nodiscard]] Term elements(std::size_t& at);
  /// A limit, quota or the like: its text; `at` stays when there is none.
  [[nodiscard]] std::string condition(std::size_t& at);

 private:
  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const;
  [[nodiscard]] bool at_end() const;
  bool accept(std::string_view word);
  void skip_newlines();
  [[nodiscard]] std::string text_between(std::size_t first, std::size_t last) const;
  [[nodiscard]] std::string quoted_or_word();

  [[nodiscard]] std::optional<Clause> statement();
  [[nodiscard]] std::optional<Clause> verdict();
  [[nodiscard]] std::optional<Clause> expression_statement();
  [[nodiscard]] std::optional<Clause> counter();
  [[nodiscard]] std::optional<Clause> log();
  [[nodiscard]] std::optional<Clause> limit_or_quota();
  [[nodiscard]] std::optional<Clause> connection_object();
  [[nodiscard]] std::optional<Clause> object(Clause::Kind kind, std::string_view name);
  [[nodiscard]] std::optional<Clause> nat();
  [[nodiscard]] std::optional<Clause> reject();
  [[nodiscard]] std::optional<Clause> tproxy();
  [[nodiscard]] std::optional<Clause> duplicate();
  [[nodiscard]] std::optional<Clause> synproxy();
  [[nodiscard]] std::optional<Clause> update();
  [[nodiscard]] std::optional<Clause> xt();
  [[nodiscard]] bool endpoint(Clause& clause);
  void nat_flags(Clause& clause);
  void recover();

  // What is looked at.
  [[nodiscard]] bool is_load_start() const;
  [[nodiscard]] std::optional<Term> load_concat();
  [[nodiscard]] std::optional<Term> binary(int level);
  [[nodiscard]] std::optional<Term> primary();
  [[nodiscard]] std::optional<Term> payload();
  [[nodiscard]] std::optional<Term> raw_payload();
  [[nodiscard]] std::optional<Term> option(std::string text);
  [[nodiscard]] std::optional<Term> connection();
  [[nodiscard]] std::optional<Term> fib();
  [[nodiscard]] std::optional<Term> draw();
  [[nodiscard]] std::optional<Term> others();
  /// The right side of "set" and "to": what is looked at, a map, or a constant.
  [[nodiscard]] std::optional<Term> operand();

  // Constants.
  [[nodiscard]] std::optional<Term> value(bool lists);
  [[nodiscard]] std::optional<Term> value_binary();
  [[nodiscard]] std::optional<Term> value_one();
  [[nodiscard]] Term element();
  [[nodiscard]] std::optional<ToVerdict> verdict_value();

  std::string_view text_;
  const std::vector<Token>& tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  // A word of which the first part was read already: what is left of it.
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  Token cut_;
  std::size_t cut_at_ = kNowhere;
};

}  // namespace kubenatd::rules::walk::nft
