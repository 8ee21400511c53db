#include "rules/iptables/address_tree.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <set>
#include <vector>

namespace {

using kubenatd::rules::Address;
using kubenatd::rules::ChainName;
using kubenatd::rules::Family;
using kubenatd::rules::iptables::arrange_tree;
using kubenatd::rules::iptables::is_tree_chain;
using kubenatd::rules::iptables::kMaxLevels;
using kubenatd::rules::iptables::TreeChain;

/// Rules that a packet to `address` is compared with until its own rule, and the levels it descends; follows jumps and
/// returns as the kernel does.
struct Walk {
  bool found = false;
  std::size_t compared = 0;
  std::size_t deepest = 0;
};

/// The chains of a tree by name, as jumps find them.
class Tree {
 public:
  explicit Tree(const std::vector<Address>& addresses) : addresses_(addresses), chains_(arrange_tree(addresses)) {
    for (const TreeChain& chain : chains_) REQUIRE(by_name_.emplace(chain.name, &chain).second);
  }

  Walk look_up(const Address& address) const {
    Walk result;
    walk(chains_.front(), address, 0, result);
    return result;
  }

 private:
  void walk(const TreeChain& chain, const Address& address, std::size_t level, Walk& result) const {
    result.deepest = std::max(result.deepest, level);
    for (const auto& branch : chain.branches) {
      ++result.compared;
      if (branch.prefix.contains(address)) walk(*by_name_.at(branch.chain), address, level + 1, result);
      if (result.found) return;
    }
    for (const std::size_t position : chain.exact) {
      ++result.compared;
      if (addresses_[position] == address) {
        result.found = true;
        return;
      }
    }
  }

  const std::vector<Address>& addresses_;
  std::vector<TreeChain> chains_;
  std::map<ChainName, const TreeChain*> by_name_;
};

std::vector<Address> random_addresses(Family family, std::size_t count, unsigned common_bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::set<Address> all;
  while (all.size() < count) {
    Address address;
    address.family = family;
    const std::size_t size = family == Family::kIpv4 ? 4 : 16;
    for (std::size_t i = 0; i < size; ++i)
      address.bytes[i] = i < common_bytes ? 0x0a : static_cast<std::uint8_t>(random());
    all.insert(address);
  }
  return {all.begin(), all.end()};
}

}  // namespace

TEST_CASE("every address is found, in few comparisons") {
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const auto addresses = random_addresses(family, 10'000, family == Family::kIpv4 ? 1 : 14, 3);
    const Tree tree(addresses);
    std::size_t most = 0;
    std::size_t all = 0;
    for (const Address& address : addresses) {
      const Walk result = tree.look_up(address);
      REQUIRE(result.found);
      most = std::max(most, result.compared);
      all += result.compared;
      REQUIRE(result.deepest <= kMaxLevels);
    }
    CHECK(most <= 90);
    CHECK(all / addresses.size() <= 45);
  }
}

TEST_CASE("an address that is no service's is not found") {
  const auto addresses = random_addresses(Family::kIpv4, 500, 2, 5);
  CHECK_FALSE(Tree(addresses).look_up(*Address::parse("192.0.2.1")).found);
}

TEST_CASE("few addresses stay in one chain") {
  const auto addresses = random_addresses(Family::kIpv4, 8, 2, 1);
  const auto tree = arrange_tree(addresses);
  REQUIRE(tree.size() == 1);
  CHECK(tree.front().name.view() == "KUBE-SERVICES");
  CHECK(tree.front().exact.size() == 8);
  CHECK(arrange_tree({}).size() == 1);
}

TEST_CASE("addresses made to be deep stay within the kernel's jump limit") {
  // Each one differs from the last one in one more bit: a chain a nibble, if nothing stopped it.
  std::set<Address> all;
  Address address;
  address.family = Family::kIpv6;
  for (std::size_t bit = 0; bit < 128; ++bit) {
    Address one = address;
    one.bytes[bit / 8] = static_cast<std::uint8_t>(one.bytes[bit / 8] | (0x80U >> (bit % 8)));
    all.insert(one);
    for (std::uint8_t low = 1; low < 4; ++low) {
      one.bytes[15] = static_cast<std::uint8_t>(one.bytes[15] ^ low);
      all.insert(one);
    }
  }
  const std::vector<Address> addresses(all.begin(), all.end());
  const Tree tree(addresses);
  for (const Address& one : addresses) {
    const Walk result = tree.look_up(one);
    REQUIRE(result.found);
    REQUIRE(result.deepest <= kMaxLevels);
  }
}

TEST_CASE("chain names fit iptables and say where they are") {
  const auto tree = arrange_tree(random_addresses(Family::kIpv6, 2000, 13, 9));
  for (const TreeChain& chain : tree) {
    CHECK(chain.name.view().size() <= 28);
    if (&chain != &tree.front()) CHECK(is_tree_chain(chain.name));
  }
  CHECK(kubenatd::rules::iptables::tree_chain_name(*kubenatd::rules::Prefix::parse("10.96.16.0/20")).view() ==
        "KUBE-SVC-IP-0A601000-20");
}

TEST_CASE("one address more changes only the chains on its way") {
  auto addresses = random_addresses(Family::kIpv4, 5000, 1, 11);
  const auto content = [&](const std::vector<Address>& all) {
    std::map<ChainName, std::vector<Address>> exact;
    for (const TreeChain& chain : arrange_tree(all)) {
      auto& list = exact[chain.name];
      for (const std::size_t position : chain.exact) list.push_back(all[position]);
      for (const auto& branch : chain.branches) list.push_back(branch.prefix.address);
    }
    return exact;
  };
  const auto before = content(addresses);
  addresses.push_back(*Address::parse("10.123.45.67"));
  std::ranges::sort(addresses);
  std::size_t differing = 0;
  for (const auto& [name, list] : content(addresses)) {
    const auto found = before.find(name);
    differing += found == before.end() || found->second != list ? 1 : 0;
  }
  CHECK(differing >= 1);
  CHECK(differing <= 4);
}
