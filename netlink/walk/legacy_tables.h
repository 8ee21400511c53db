#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rules/error.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// A table of iptables-legacy as the kernel gives it (IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES).
struct LegacyTable {
  rules::Family family = rules::Family::kIpv4;
  std::string name;
  std::uint32_t hooks = 0;                         ///< bits NF_INET_*
  std::array<std::uint32_t, 5> first{}, policy{};  ///< by hook: offsets of the first rule and of the policy
  std::string entries;

  /// No rule in a chain that a hook starts at, and no policy that drops: it decides nothing.
  [[nodiscard]] bool is_idle() const;
};

/// Adds the table, marked as legacy. Whatever the bytes are, no rule is lost or taken for another one: one that cannot
/// be read cannot be judged. Pure. Cost: linear.
void add_legacy_table(rules::walk::Ruleset& into, const LegacyTable& table);

/// Reads the tables of iptables-legacy and ip6tables-legacy that are there in this network namespace, and adds those
/// that could decide. Nothing is made: a table that nobody has used is not asked for, as asking would create it.
/// What cannot be read is in `not_looked_at`. Needs CAP_NET_ADMIN, and root for the lists of names. Cost: everything is
/// read, once.
void read_legacy_tables(rules::walk::Ruleset& into);

}  // namespace kubenatd::netlink::walk
