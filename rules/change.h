#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/address.h"
#include "rules/error.h"

/// What is done to nf_tables, and to what, as values. Words for people are made where they are printed.
namespace kubenatd::rules {

/// What a message of a transaction does.
enum class Operation : std::uint8_t {
  kNone,  ///< the transaction as a whole
  kCreateTable,
  kDeleteTable,
  kCreateChain,
  kDeleteChain,
  kAddRule,
  kDeleteRule,  ///< one rule, or all of a chain
  kCreateSet,
  kDeleteSet,
  kAddElement,
  kDeleteElement,
  kCreateFlowtable,  ///< or give it devices
  kDeleteFlowtable,  ///< or take devices from it
};

/// "create table", "add rule", ...; of kNone "commit".
[[nodiscard]] std::string_view name_of(Operation operation);
[[nodiscard]] bool is_delete(Operation operation);

/// A table or something in it, by its name in the kernel.
struct ObjectRef {
  enum class Kind : std::uint8_t { kTable, kChain, kRule, kSet, kElement, kFlowtable };
  Family family = Family::kIpv4;
  Kind kind = Kind::kTable;
  std::string table;         ///< "nat", "kubenatd"
  std::string name;          ///< of the chain, set or flowtable; empty for a table
  std::uint64_t handle = 0;  ///< of a rule, 0: not known

  auto operator<=>(const ObjectRef&) const = default;
};

[[nodiscard]] ObjectRef table_ref(Family family, std::string_view table);
[[nodiscard]] ObjectRef chain_ref(Family family, std::string_view table, std::string_view chain);
[[nodiscard]] ObjectRef set_ref(Family family, std::string_view table, std::string_view set);
[[nodiscard]] ObjectRef flowtable_ref(Family family, std::string_view table, std::string_view flowtable);

/// "ip nat KUBE-SERVICES", as nft writes it; of a table "ip nat".
[[nodiscard]] std::string to_text(const ObjectRef& object);

/// One message that the kernel refused, and why.
struct Refusal {
  Operation operation = Operation::kNone;
  ObjectRef object;
  int code = 0;             ///< positive errno
  std::string explanation;  ///< the kernel's extended ack, often empty
  std::string expression;   ///< of a rule: the expression at fault ("fib", "match recent"), where the kernel says it
  std::string jump;         ///< of a rule: the chain that it leads to
  std::string attributes;   ///< of a rule: NFTA_RULE_EXPRESSIONS, of an element: what NFTA_LIST_ELEM holds; undecoded
};

/// "errno text: explanation (expression fib)".
[[nodiscard]] std::string cause_of(const Refusal& refusal);
[[nodiscard]] Error to_error(const Refusal& refusal);

}  // namespace kubenatd::rules
