#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "test/kernel/walk/random_packets.h"

/// Random rules of others, of the whole vocabulary that explain reads.
namespace kubenatd::test {

struct Vocabulary {
  bool ipv6 = false;
  bool unjudged = false;  ///< also what explain says it cannot judge (limit, u32, ...)
};

/// For iptables-restore --noflush (ip6tables-restore): some rules in every table, before and behind those that are
/// there, and some chains of their own. In each builtin chain the first rules let the sentinel pass, and
/// the answers by which the test hears of a packet (ICMP errors, TCP resets).
[[nodiscard]] std::string random_xt_rules(Dice& dice, const Vocabulary& words);

/// For `nft -f`: tables of ip, ip6 and inet with base chains at random priorities, named and anonymous sets, maps,
/// verdict maps. The sentinel and answers pass all of them.
[[nodiscard]] std::string random_nft_tables(Dice& dice, const Vocabulary& words);

/// A part of a rule alone, for tests that go through all of them.
struct SinglePart {
  std::string text;
  bool judged = true;           ///< explain says that it can judge it
  bool may_be_refused = false;  ///< some kernels refuse it
};
/// All matches of iptables that are known here, negated where that can be.
[[nodiscard]] std::vector<SinglePart> xt_matches(bool ipv6);
/// All conditions of nft for a table of that family and hook.
[[nodiscard]] std::vector<SinglePart> nft_conditions(bool ipv6, std::string_view hook);
/// The sets that they look up.
[[nodiscard]] std::string nft_sets(bool ipv6);

}  // namespace kubenatd::test
