#pragma once

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "test/kernel/walk/random_packets.h"

/// What a walk says of a packet against what the kernel did with it.
namespace kubenatd::test {

/// Whether it says what happens: no doubt is left about the end.
[[nodiscard]] inline bool is_certain(const rules::walk::Walk& walk) {
  return !walk.cut && std::ranges::all_of(walk.outcomes, [](const auto& outcome) {
    return outcome.odds_known && outcome.end != End::kUnknown;
  });
}

struct Tally {
  unsigned packets = 0, doubts = 0;
  std::set<std::string> ends;
};

/// What one source of rules says of a packet is what the kernel did with it, or it says that it does not know.
///
/// Threading: one thread. Failure: a REQUIRE of the running test, with the rules that the packet met.
class Comparer {
 public:
  Comparer(const PacketNode& node, Tally& tally) : node_(node), tally_(tally) {}

  void compare(const rules::walk::Walk& walk, const Packet& packet, const Fate& fate, const std::string& context) {
    std::string said;
    double odds = 0;
    for (const auto& outcome : walk.outcomes) {
      said += "  " + describe(outcome) + "\n";
      if (!outcome.remembered) odds += outcome.odds;
    }
    const bool agreed = std::ranges::any_of(
        walk.outcomes, [&](const auto& outcome) { return agrees(outcome, fate, packet, node_.surroundings()); });
    const bool certain = is_certain(walk);
    if (!agreed) {
      INFO(context << describe(packet) << "\nthe walk says\n" << said << "the kernel did: " << describe(fate));
      for (const auto& outcome : walk.outcomes)
        for (const std::uint32_t at : walk.path(outcome)) {
          const auto& hop = walk.hops[at];
          if (hop.fit == rules::walk::Fit::kNo) continue;
          UNSCOPED_INFO(hop.table->name << " " << hop.chain->name << ": "
                                        << (hop.rule != nullptr ? hop.rule->text : "policy"));
        }
      REQUIRE(agreed);
    }
    if (certain) CHECK(odds == Approx(1));
    ++tally_.packets;
    tally_.doubts += certain ? 0 : 1;
    tally_.ends.insert(describe(fate).substr(0, 5));
  }

 private:
  const PacketNode& node_;
  Tally& tally_;
};

/// What the test's packets have besides addresses and ports.
[[nodiscard]] inline Packet with_all_fields(Packet packet) {
  packet.ttl = 64;
  packet.tos = 0;
  const bool tcp = packet.protocol == Protocol::kTcp;
  const bool ipv6 = packet.destination.family == Family::kIpv6;
  packet.length = static_cast<std::uint16_t>((ipv6 ? 40 : 20) + (tcp ? 20 : 12));
  if (packet.origin == Packet::Origin::kLocal) packet.user = packet.group = 0;
  return packet;
}

}  // namespace kubenatd::test
