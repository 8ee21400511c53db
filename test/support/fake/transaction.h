#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "test/support/fake/objects.h"
#include "test/support/fake/request.h"

namespace kubenatd::test::fake {

/// One step of a transaction: an object that comes, goes or is changed.
struct Change {
  std::uint16_t type = 0;  ///< NFT_MSG_NEW... or NFT_MSG_DEL...
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  Table* table = nullptr;
  Chain* chain = nullptr;
  Rule* rule = nullptr;
  Set* set = nullptr;
  Element* element = nullptr;
  bool is_update = false;                      ///< the object was there before
  std::optional<std::uint32_t> policy;         ///< of a base chain that is changed
  std::uint32_t old_flags = 0, old_owner = 0;  ///< of a table that is changed
};

/// Changes a ruleset as nf_tables of Linux 6.18 does it: every message is applied to the state that the ones before it
/// leave, also after a refusal, and in the end all of it counts or nothing.
///
/// Threading: none. Failure: apply() gives what the kernel would answer; the owner then calls abort(). What expressions
/// hold is not checked, but for their names, jumps and sets. Cost: as the number of objects touched, and at commit one
/// walk over the rules of the tables in which jumps were added.
class Transaction {
 public:
  /// `validating`: the depth of jumps is checked at each rule, not at the end (the kernel's second try).
  /// `port_id`: of the socket that sends it.
  Transaction(Ruleset& ruleset, std::uint32_t port_id, bool validating)
      : ruleset_(ruleset), port_id_(port_id), validating_(validating) {}

  [[nodiscard]] Outcome apply(const Request& request);
  [[nodiscard]] bool empty() const { return changes_.empty(); }
  /// Whether packets can get through what the transaction leaves: at most sixteen chains deep.
  [[nodiscard]] bool is_valid() const;
  /// Everything counts. `tell` hears of each change while its object is still there, in the new generation.
  void commit(const std::function<void(const Change&)>& tell);
  void abort();

 private:
  [[nodiscard]] Outcome new_table(const Request& request);
  [[nodiscard]] Outcome update_table(const Request& request, Table& table);
  [[nodiscard]] Outcome delete_table(const Request& request);
  [[nodiscard]] Outcome delete_tables(const Request& request);
  void remove_table(const Request& request, Table& table);
  [[nodiscard]] Outcome new_chain(const Request& request);
  [[nodiscard]] Outcome update_chain(const Request& request, Table& table, Chain& chain);
  [[nodiscard]] Outcome delete_chain(const Request& request);
  [[nodiscard]] Outcome new_rule(const Request& request);
  [[nodiscard]] Outcome delete_rules(const Request& request);
  [[nodiscard]] Outcome new_set(const Request& request);
  [[nodiscard]] Outcome delete_set(const Request& request);
  [[nodiscard]] Outcome new_elements(const Request& request);
  [[nodiscard]] Outcome delete_elements(const Request& request);

  [[nodiscard]] Outcome read_expressions(const Request& request, Table& table, Rule& rule);
  [[nodiscard]] Outcome read_expression(const Request& request, const netlink::Attribute& expression, Table& table,
                                        Rule& rule);
  [[nodiscard]] Outcome add_element(const Request& request, const netlink::Attribute& entry, Table& table, Set& set);
  [[nodiscard]] Outcome remove_element(const Request& request, const netlink::Attribute& entry, Table& table, Set& set);
  [[nodiscard]] std::expected<Chain*, int> read_verdict(std::string_view data, const Table& table) const;

  [[nodiscard]] bool is_owned_by_another(const Table& table) const {
    return table.owner != 0 && table.owner != port_id_;
  }
  /// The table that an attribute names, or a refusal that points at it: ENOENT, or EPERM when another socket owns it.
  [[nodiscard]] std::expected<Table*, Problem> table_of(const Request& request, std::uint16_t attribute) const;

  void remove_rule(const Request& request, Table& table, Chain& chain, Rule& rule);
  void remove_rules(const Request& request, Table& table, Chain& chain);
  void remove_chain(const Request& request, Table& table, Chain& chain);
  void remove_set(const Request& request, Table& table, Set& set);
  void remove_element(const Request& request, Table& table, Set& set, Element& element);
  Change& note(const Request& request, std::uint16_t type, Table& table);

  static void use(Rule& rule, int change);
  void erase(const Change& change);
  void undo(const Change& change);

  Ruleset& ruleset_;
  std::uint32_t port_id_;
  bool validating_;
  std::vector<Change> changes_;
};

}  // namespace kubenatd::test::fake
