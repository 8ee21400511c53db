#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "netlink/core/batch.h"
#include "rules/nftables/element.h"
#include "rules/nftables/ruleset.h"
#include "rules/rule.h"

namespace kubenatd::test {

/// Transactions of random messages over a few names, so that most of what can meet does meet: chains that are there or
/// not, jumps to them, neighbours, sets in use, elements that are there with other data, refusals in the middle.
class RandomTransactions {
 public:
  explicit RandomTransactions(std::uint32_t seed) : random_(seed) {}

  /// Fills the batch with up to `most` messages.
  void fill(netlink::Batch& batch, int most);
  [[nodiscard]] int below(int end) { return static_cast<int>(random_() % static_cast<std::uint32_t>(end)); }

  static constexpr int kChains = 5;
  [[nodiscard]] static std::string chain_name(int number) { return "KUBE-" + std::to_string(number); }
  [[nodiscard]] static std::vector<rules::nftables::SetSpec> sets();

 private:
  void iptables_message(netlink::Batch& batch);
  void nftables_message(netlink::Batch& batch);
  void elements(netlink::Batch& batch, rules::Family family);
  [[nodiscard]] rules::Rule rule(rules::Family family);
  [[nodiscard]] rules::nftables::NftRule nft_rule();
  [[nodiscard]] rules::nftables::ElementKey key(const rules::nftables::SetSpec& set, rules::Family family);
  [[nodiscard]] rules::Family family() { return below(4) == 0 ? rules::Family::kIpv6 : rules::Family::kIpv4; }

  std::mt19937 random_;
};

}  // namespace kubenatd::test
