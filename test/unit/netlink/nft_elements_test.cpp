#include <linux/netfilter/nf_tables.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "netlink/nftables/codec.h"
#include "test/unit/netlink/rule_bytes.h"

using namespace kubenatd;
using netlink::nftables::LiveElement;
using netlink::nftables::read_nft_element;
using rules::nftables::SetId;
using rules::nftables::SetRef;
using test::attribute;
using test::from_hex;

namespace {

std::string key(std::uint16_t type, std::string_view hex) {
  return attribute(type, attribute(NFTA_DATA_VALUE, from_hex(hex)));
}
LiveElement range(std::string_view first, std::string_view last) {
  return read_nft_element(key(NFTA_SET_ELEM_KEY, first) + key(NFTA_SET_ELEM_KEY_END, last),
                          SetRef{SetId::kSourceRanges});
}

}  // namespace

TEST_CASE("a range of an element counts as ours only when it is a prefix") {
  const LiveElement prefix = range("c0000200", "c000020f");
  CHECK(prefix.plain);
  CHECK(prefix.key.range == 4);
  CHECK(range("c0000200", "c0000200").plain);
  CHECK(range("00000000", "ffffffff").key.range == 32);
  // Of as many bits, and yet others.
  CHECK_FALSE(range("c0000200", "c0000209").plain);
  CHECK_FALSE(range("c000020f", "c0000200").plain);
  CHECK_FALSE(range("c0000200", "c000020f00000000").plain);
}

TEST_CASE("an element without a key is none of ours") {
  CHECK_FALSE(read_nft_element({}, SetRef{SetId::kLocalEndpoints}).plain);
  CHECK_FALSE(read_nft_element(attribute(NFTA_SET_ELEM_KEY, "x"), SetRef{SetId::kLocalEndpoints}).plain);
}

TEST_CASE("of a key that comes twice the last one counts as a whole") {
  const std::string twice = key(NFTA_SET_ELEM_KEY, "c0000201ffffffff") + key(NFTA_SET_ELEM_KEY, "c0000202");
  CHECK(read_nft_element(twice, SetRef{SetId::kLocalEndpoints}).key ==
        read_nft_element(key(NFTA_SET_ELEM_KEY, "c0000202"), SetRef{SetId::kLocalEndpoints}).key);
}

TEST_CASE("a longer range than the key has bits ends with the key") {
  rules::nftables::ElementKey wide;
  wide.key.size = 4;
  wide.range = 255;
  CHECK(netlink::nftables::last_of(wide).view() == from_hex("ffffffff"));
}
