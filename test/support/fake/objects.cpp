#include "test/support/fake/objects.h"

#include <linux/netfilter/nf_tables.h>

namespace kubenatd::test::fake {
namespace {

bool is_there(const Life& life, bool next) {
  return next ? life.next : life.now;
}

}  // namespace

bool Set::has_ranges() const {
  constexpr std::uint32_t kBoth = NFT_SET_CONCAT | NFT_SET_INTERVAL;
  return (flags & kBoth) == kBoth;
}

Chain* Table::find_chain(std::string_view wanted, bool next) const {
  const auto [first, last] = chains_by_name.equal_range(std::string(wanted));
  for (auto at = first; at != last; ++at)
    if (is_there(at->second->life, next)) return at->second;
  return nullptr;
}

Set* Table::find_set(std::string_view wanted, bool next) const {
  for (const auto& set : sets)
    if (set->name == wanted && is_there(set->life, next)) return set.get();
  return nullptr;
}

Table* Ruleset::find_table(std::uint8_t family, std::string_view wanted, bool next) const {
  for (const auto& table : tables)
    if (table->family == family && table->name == wanted && is_there(table->life, next)) return table.get();
  return nullptr;
}

}  // namespace kubenatd::test::fake
