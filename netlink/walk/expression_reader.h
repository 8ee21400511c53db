#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/walk/expression_attributes.h"
#include "netlink/walk/registers.h"
#include "rules/rule.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// Reads a rule's expressions one after the other, as the kernel runs them, but for any packet: loads fill registers
/// with expressions, all else becomes statements of what is in the registers.
///
/// Threading: a value for one rule, one thread. Failure: none; an expression that is not known, or not as it should be,
/// is a statement that cannot be judged, and what follows takes nothing from registers that it may have written. Cost:
/// linear in the bytes.
class ExpressionReader {
 public:
  ExpressionReader(const rules::walk::WalkTable& table, rules::walk::WalkRule& rule);

  /// One element of NFTA_RULE_EXPRESSIONS.
  void read(std::string_view element);
  /// Something was not understood.
  void give_up(std::string cause);
  /// After the last one.
  void finish();

  /// Statements of a match or target of x_tables, and how iptables-save prints it.
  struct XtText {
    std::size_t first = 0, last = 0;  ///< statements of the rule, `last` not included
    std::string text;
  };
  [[nodiscard]] const std::vector<XtText>& xt_texts() const { return xt_texts_; }

 private:
  using Attributes = ExpressionAttributes;
  struct Kind {
    std::string_view name;
    void (ExpressionReader::*read)(const Attributes&);
  };
  static const Kind kKinds[];

  // Loads, and settings by the same expressions (loads.cpp).
  void payload(const Attributes& attributes);
  void meta(const Attributes& attributes);
  void ct(const Attributes& attributes);
  void fib(const Attributes& attributes);
  void socket(const Attributes& attributes);
  void route(const Attributes& attributes);
  void extension_header(const Attributes& attributes);
  void number_generator(const Attributes& attributes);
  void hash(const Attributes& attributes);
  void fingerprint(const Attributes& attributes);
  void ipsec(const Attributes& attributes);
  void tunnel(const Attributes& attributes);
  void immediate(const Attributes& attributes);
  void bitwise(const Attributes& attributes);
  void byte_order(const Attributes& attributes);

  // Conditions (conditions.cpp).
  void compare(const Attributes& attributes);
  void range(const Attributes& attributes);
  void lookup(const Attributes& attributes);
  void limit(const Attributes& attributes);
  void quota(const Attributes& attributes);
  void connection_limit(const Attributes& attributes);
  void object(const Attributes& attributes);
  void flow_offload(const Attributes& attributes);
  void xt_match(const Attributes& attributes);

  // What is done (actions.cpp).
  void counter(const Attributes& attributes);
  void log(const Attributes& attributes);
  void last(const Attributes& attributes);
  void nat(const Attributes& attributes);
  void masquerade(const Attributes& attributes);
  void redirect(const Attributes& attributes);
  void reject(const Attributes& attributes);
  void queue(const Attributes& attributes);
  void transparent_proxy(const Attributes& attributes);
  void no_track(const Attributes& attributes);
  void duplicate(const Attributes& attributes);
  void forward(const Attributes& attributes);
  void syn_proxy(const Attributes& attributes);
  void dynamic_set(const Attributes& attributes);
  void xt_target(const Attributes& attributes);

  template <class What>
  void add(What what) {
    rule_.statements.emplace_back(std::move(what));
  }
  void load(std::uint32_t number, rules::walk::ExpressionPtr value) { registers_.store(number, std::move(value)); }
  void unjudged(std::string text) { add(rules::walk::Unjudged{std::move(text), rules::walk::Part::kOther}); }
  void nothing(std::string text) { add(rules::walk::NoEffect{std::move(text)}); }
  void condition(rules::walk::Condition condition);
  /// For people: what a condition on it is about.
  [[nodiscard]] rules::walk::Part part_about(const rules::walk::ExpressionPtr& expression) const;
  /// Adds a condition for each field that is compared, but for the last one, which is left.
  void split_fields(rules::walk::Condition& condition);
  /// A statement that only packets of that family meet, in a table of both.
  void only_family(std::uint32_t family);
  /// The key for a set; its size is that of the set.
  [[nodiscard]] rules::walk::ExpressionPtr key_for(std::string_view set, std::uint32_t number);
  /// Ports of masq and redir, which are alike but for their attributes' numbers.
  void add_ports(rules::walk::Nat& nat, const Attributes& attributes, std::uint16_t first, std::uint16_t last);
  void add_synproxy();
  [[nodiscard]] rules::Family xt_family() const;
  void add_xt(std::vector<rules::walk::Statement> statements, std::string text);

  const rules::walk::WalkTable& table_;
  rules::walk::WalkRule& rule_;
  bool of_iptables_;
  Registers registers_;
  /// NFPROTO_* of all packets that come this far; none: of both.
  std::optional<std::uint8_t> family_;
  const rules::walk::Expression* last_bound_ = nullptr;  ///< the value that the last condition gave a bound
  bool ended_ = false;                                   ///< a verdict was given: the kernel goes no further
  std::string given_up_;
  std::vector<XtText> xt_texts_;
};

/// "limit rate 10/second burst 5 packets", or as iptables has it; `kind` is "limit", "quota" or "connlimit". Empty for
/// another one, which decides nothing.
[[nodiscard]] std::string condition_text(std::string_view kind, const ExpressionAttributes& attributes,
                                         bool of_iptables);

}  // namespace kubenatd::netlink::walk
