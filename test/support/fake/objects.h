#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

/// What the fake kernel keeps: tables and what is in them, as nf_tables keeps them (include/net/netfilter/nf_tables.h).
/// Plain data; test/support/fake/transaction.h changes it.
namespace kubenatd::test::fake {

/// Whether an object is there for readers now, and whether it will be once the running transaction is committed. An
/// object that the transaction deletes keeps its place until then: a rule can still be put before or after it.
struct Life {
  bool now = false;
  bool next = true;
};

struct Chain;
struct Set;

struct Rule {
  std::uint64_t handle = 0;
  std::string expressions;  ///< content of NFTA_RULE_EXPRESSIONS, as it was sent
  std::string user_data;
  std::vector<Chain*> jumps;
  std::vector<Set*> sets;
  Life life;
  std::list<std::unique_ptr<Rule>>::iterator place;
};

struct Hook {
  std::uint32_t number = 0;
  std::int32_t priority = 0;
  std::string type;
  bool operator==(const Hook&) const = default;
};

struct Chain {
  std::string name;
  std::uint64_t handle = 0;
  std::optional<Hook> hook;  ///< of a base chain
  std::uint32_t policy = 1;  ///< NF_ACCEPT
  std::uint32_t use = 0;     ///< rules in it and jumps to it, as the running transaction leaves them
  std::list<std::unique_ptr<Rule>> rules;
  std::unordered_map<std::uint64_t, Rule*> by_handle;
  Life life;
  std::list<std::unique_ptr<Chain>>::iterator place;
};

struct Element {
  std::string key, key_end;  ///< values
  std::string data;          ///< content of NFTA_SET_ELEM_DATA
  std::string user_data;
  Chain* jump = nullptr;
  std::uint64_t order = 0;  ///< of adding
  Life life;
};

struct Set {
  std::string name;
  std::uint64_t handle = 0;
  std::uint32_t flags = 0;
  std::uint32_t key_type = 0, key_length = 0, data_type = 0, data_length = 0;
  std::uint32_t size = 0;
  std::vector<std::uint32_t> fields;  ///< lengths of the parts of a concatenation
  std::string user_data;
  bool counted = false;   ///< each element has a counter, which stays at 0: no packets pass here
  std::uint32_t use = 0;  ///< rules that look into it
  std::uint64_t last_order = 0;
  std::size_t filled = 0;  ///< elements, as the running transaction leaves them
  std::multimap<std::string, std::unique_ptr<Element>> elements;
  Life life;
  std::list<std::unique_ptr<Set>>::iterator place;

  [[nodiscard]] bool has_ranges() const;
};

struct Table {
  std::uint8_t family = 0;
  std::string name;
  std::uint64_t handle = 0;
  std::uint64_t last_handle = 0;  ///< of chains, rules and sets; a refused transaction does not give its numbers back
  std::string user_data;
  std::uint32_t flags = 0;  ///< NFT_TABLE_F_*
  std::uint32_t owner = 0;  ///< port of the socket that owns it; 0: none does
  bool in_change = false;   ///< the running transaction has changed its flags
  std::list<std::unique_ptr<Chain>> chains;
  std::unordered_multimap<std::string, Chain*> chains_by_name;
  std::list<std::unique_ptr<Set>> sets;
  Life life;
  std::list<std::unique_ptr<Table>>::iterator place;

  /// By name, as the running transaction leaves it (`next`) or as readers see it.
  [[nodiscard]] Chain* find_chain(std::string_view wanted, bool next) const;
  [[nodiscard]] Set* find_set(std::string_view wanted, bool next) const;
};

struct Ruleset {
  std::uint32_t table_flags = 0x7;  ///< those that this kernel knows: Linux 5.10 0x1, 6.1 0x3, 6.9 0x7
  std::uint32_t generation = 1;
  std::uint64_t last_table_handle = 0;
  std::list<std::unique_ptr<Table>> tables;

  [[nodiscard]] Table* find_table(std::uint8_t family, std::string_view wanted, bool next) const;
};

}  // namespace kubenatd::test::fake
