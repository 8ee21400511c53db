#include "rules/iptables/address_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "rules/iptables/names.h"

namespace kubenatd::rules::iptables {
namespace {

constexpr std::string_view kTreePrefix = "KUBE-SVC-IP-";
constexpr std::uint8_t kStride = 4;

std::uint8_t nibble_at(const Address& address, std::uint8_t bit) {
  const std::uint8_t byte = address.bytes[bit / 8];
  return (bit % 8 == 0) ? byte >> 4 : byte & 0x0f;
}

/// Leading bits that both have in common.
std::uint8_t common_bits(const Address& a, const Address& b) {
  const std::uint8_t all = bits_of(a.family);
  for (std::uint8_t byte = 0; byte < all / 8; ++byte) {
    const auto differing = static_cast<std::uint8_t>(a.bytes[byte] ^ b.bytes[byte]);
    if (differing != 0) return static_cast<std::uint8_t>(byte * 8 + std::countl_zero(differing));
  }
  return all;
}

class Arranger {
 public:
  explicit Arranger(std::span<const Address> addresses) : addresses_(addresses) {}

  std::vector<TreeChain> run(ChainName root) {
    arrange(root, 0, addresses_.size(), 0);
    return std::move(chains_);
  }

 private:
  void arrange(const ChainName& name, std::size_t begin, std::size_t end, std::size_t level) {
    const std::size_t self = chains_.size();
    chains_.push_back({name, {}, {}});
    if (end - begin <= kLeafAddresses || level == kMaxLevels) {
      for (std::size_t i = begin; i < end; ++i) chains_[self].exact.push_back(i);
      return;
    }
    // Sorted, so the first and the last address have in common what all have. Distinct, so a bit is left to split at.
    const std::uint8_t shared = common_bits(addresses_[begin], addresses_[end - 1]);
    const auto split = static_cast<std::uint8_t>(shared / kStride * kStride);
    for (std::size_t i = begin; i < end;) {
      std::size_t group = i;
      while (group < end && nibble_at(addresses_[group], split) == nibble_at(addresses_[i], split)) ++group;
      if (group - i <= kInlineAddresses) {
        for (std::size_t k = i; k < group; ++k) chains_[self].exact.push_back(k);
      } else {
        const std::uint8_t deep = common_bits(addresses_[i], addresses_[group - 1]);
        const Prefix prefix = Prefix::of(addresses_[i], static_cast<std::uint8_t>(deep / kStride * kStride));
        const ChainName child = tree_chain_name(prefix);
        chains_[self].branches.push_back({prefix, child});
        arrange(child, i, group, level + 1);
      }
      i = group;
    }
  }

  std::span<const Address> addresses_;
  std::vector<TreeChain> chains_;
};

}  // namespace

std::vector<TreeChain> arrange_tree(std::span<const Address> addresses) {
  return Arranger(addresses).run(ChainName("KUBE-SERVICES"));
}

ChainName tree_chain_name(const Prefix& prefix) {
  if (prefix.address.family == Family::kIpv6) {
    return ChainName(std::string(kTreePrefix) + hash16(prefix.to_string()));
  }
  const auto& bytes = prefix.address.bytes;
  return ChainName(
      fmt::format("{}{:02X}{:02X}{:02X}{:02X}-{}", kTreePrefix, bytes[0], bytes[1], bytes[2], bytes[3], prefix.length));
}

bool is_tree_chain(std::string_view name) {
  return name.starts_with(kTreePrefix);
}

}  // namespace kubenatd::rules::iptables
