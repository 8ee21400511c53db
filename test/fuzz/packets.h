#pragma once

#include "rules/walk/nft/rule_print.h"
#include "rules/walk/walker.h"
#include "test/fuzz/fuzz.h"

namespace kubenatd::fuzz {

/// A packet, sent and arriving, of that family.
[[nodiscard]] inline std::vector<rules::walk::Packet> packets_of(rules::Family family) {
  const bool v4 = family == rules::Family::kIpv4;
  rules::walk::Packet packet;
  packet.source = rules::Address::parse(v4 ? "10.244.1.7" : "fd00:244::7").value();
  packet.destination = rules::Address::parse(v4 ? "10.96.0.10" : "fd00:96::10").value();
  packet.destination_port = 80;
  packet.in_interface = "eth0";
  rules::walk::Packet sent = packet;
  sent.origin = rules::walk::Packet::Origin::kLocal;
  sent.in_interface.clear();
  sent.protocol = rules::Protocol::kUdp;
  sent.destination_port = 53;
  return {packet, sent};
}

/// Prints all rules and walks packets through them, as `explain` does with rules of anybody.
inline void walk_all(const rules::walk::Ruleset& ruleset) {
  for (const auto& table : ruleset.tables()) {
    for (const auto& [name, chain] : table.chains)
      for (const auto& rule : chain.rules) (void)rules::walk::nft::to_text(rule.statements, table);
    for (const auto& [name, set] : table.sets)
      for (const auto& element : set.elements) (void)rules::walk::nft::to_text(element, set);
  }
  // A walk takes long, and what is found by one is found in few rules.
  constexpr std::size_t kMostRules = 40;
  std::size_t rules = 0;
  for (const auto& table : ruleset.tables())
    for (const auto& [name, chain] : table.chains) rules += chain.rules.size();
  if (rules > kMostRules) return;
  constexpr double kMostOdds = 1.0001;
  for (const rules::Family family : rules::kFamilies) {
    if (!ruleset.has(family)) continue;
    for (const auto& packet : packets_of(family)) {
      const auto walk = rules::walk::walk(ruleset, packet, {});
      require(walk.cut || !walk.outcomes.empty(), "something becomes of a packet");
      for (const auto& outcome : walk.outcomes) {
        require(outcome.odds >= 0 && outcome.odds <= kMostOdds, "odds are between 0 and 1");
        require(walk.path(outcome).size() <= walk.hops.size(), "a way has an end");
      }
    }
  }
}

}  // namespace kubenatd::fuzz
