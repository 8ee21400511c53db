#pragma once

#include <string_view>

namespace kubenatd::netlink {

/// The chain that a rule jumps or goes to by itself, from its undecoded NFTA_RULE_EXPRESSIONS; empty: none. A verdict
/// out of a map is not among them.
[[nodiscard]] std::string_view jump_of(std::string_view expressions);

}  // namespace kubenatd::netlink
