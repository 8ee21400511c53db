#pragma once

#include <string>

#include "test/kernel/walk/random_packets.h"

/// Random rules of others, of the whole vocabulary that explain reads.
namespace kubenatd::test {

/// For iptables-restore --noflush (ip6tables-restore): some rules in every table, before and behind those that are
/// there, and some chains of their own. In each builtin chain the first rule lets the sentinel pass.
[[nodiscard]] std::string random_xt_rules(Dice& dice, bool ipv6);

/// For `nft -f`: tables of ip, ip6 and inet with base chains at random priorities, named and anonymous sets, maps,
/// verdict maps. The sentinel passes all of them.
[[nodiscard]] std::string random_nft_tables(Dice& dice, bool ipv6);

/// One match of iptables alone, and one of nft, by number, for tests that go through all of them; empty past the last.
struct SingleMatch {
  std::string text;
  bool only_output = false;  ///< iptables takes it in OUTPUT and POSTROUTING only
  bool judged = true;        ///< explain says that it can judge it
};
[[nodiscard]] SingleMatch xt_match(std::size_t number, bool ipv6);

}  // namespace kubenatd::test
