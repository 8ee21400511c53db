#pragma once

#include <cstdint>
#include <string>

#include "rules/address.h"

/// The rules of the table that traces, as nf_tables' expressions. Pure.
namespace kubenatd::netlink::trace {

/// The set of what is traced.
inline constexpr char kTracedSet[] = "traced";
inline constexpr std::uint32_t kTracedSetId = 1;

/// Packets a second.
struct Limit {
  std::uint64_t rate;
  std::uint32_t burst;
};
inline constexpr Limit kFirstPackets{20, 20};
inline constexpr Limit kOtherPackets{2, 4};

[[nodiscard]] constexpr std::uint32_t address_size(rules::Family family) {
  return rules::bits_of(family) / 8U;
}

// Both of them load a key as the elements have it: destination . protocol . port, and source where one was given.

/// Marks packets that begin a way; `only_syn`: those of TCP that begin a connection.
[[nodiscard]] std::string start_rule(rules::Family family, bool has_source, bool only_syn, Limit limit);
/// Marks answers, by the connection that they belong to.
[[nodiscard]] std::string reply_rule(rules::Family family, bool has_source);

/// Room for the expressions of a rule.
inline constexpr std::size_t kExpressionsBound = 2048;

}  // namespace kubenatd::netlink::trace
