#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kubenatd::test {

/// Compares two iptables-save texts by what a packet can notice; one line for each difference, none when equal.
///
/// Not compared: counters, comment lines, the mangle table, canary chains, nfacct counters and the 127.0.0.0/8 rules of
/// KUBE-NODEPORTS (they count, and only where the kernel has nfacct). In dispatch chains the order of rules is free,
/// but for the jumps to KUBE-NODEPORTS, which come last. In a chain that spreads over endpoints the endpoints may stand
/// in any order, their probabilities not. Everything else must be the same to the letter.
[[nodiscard]] std::vector<std::string> differences(std::string_view expected, std::string_view actual);

}  // namespace kubenatd::test
