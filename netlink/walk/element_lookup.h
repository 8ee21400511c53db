#pragma once

#include <memory>
#include <set>
#include <string>
#include <tuple>

#include "netlink/core/nf_tables.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// NFPROTO_* of a table.
[[nodiscard]] std::uint8_t number_of(rules::walk::TableFamily family);

/// Asks the kernel for single elements of sets that were not read.
///
/// Threading, failure: as of NfTables; what the kernel does not answer is Found::Answer::kUnknown. Cost: one question,
/// two for a set of intervals, three where Linux 6.12 is asked for its first value.
class ElementLookup {
 public:
  explicit ElementLookup(std::shared_ptr<NfTables> kernel) : kernel_(std::move(kernel)) {}

  /// The elements of this set are objects that may end a rule.
  void add_deciding(const rules::walk::WalkTable& table, const std::string& set) {
    deciding_.emplace(table.family, table.name, set);
  }
  [[nodiscard]] rules::walk::Found operator()(const rules::walk::WalkTable& table, const rules::walk::WalkSet& set,
                                              const rules::walk::Bytes& key) const;
  /// The element "*", if the set has one.
  [[nodiscard]] rules::walk::Found catch_all(const rules::walk::WalkTable& table,
                                             const rules::walk::WalkSet& set) const;

 private:
  [[nodiscard]] rules::walk::Found ask(const rules::walk::WalkTable& table, const rules::walk::WalkSet& set,
                                       std::string_view key, std::uint32_t flags) const;

  std::shared_ptr<NfTables> kernel_;
  std::set<std::tuple<rules::walk::TableFamily, std::string, std::string>> deciding_;
};

}  // namespace kubenatd::netlink::walk
