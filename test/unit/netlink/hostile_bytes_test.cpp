#include <linux/netlink.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "netlink/core/messages.h"
#include "netlink/iptables/rule_decoder.h"
#include "test/unit/netlink/expressions.h"
#include "test/unit/netlink/sample_rules.h"

using namespace kubenatd;
using rules::Family;

namespace {

constexpr std::uint32_t kSeed = 20240131;

/// Decodes a copy in memory of exactly that size, so that a sanitizer sees every step outside.
rules::Rule decode_exactly(const std::string& bytes, Family family) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  return test::decoded({exact.data(), exact.size()}, family);
}

/// What holds for every rule, whatever it was decoded from.
void check_sane(const rules::Rule& rule, Family family) {
  if (!rule.opaque.empty()) {
    CHECK(rule.opaque.size() < 512);
    CHECK(rule.matches.empty());
    return;
  }
  // All that is not opaque is within the model: it can be written again and comes back equal, but for marks of
  // states and probabilities, which are kept as they are.
  const std::string again = test::encoded(rule, family);
  CHECK(test::decoded(again, family) == rule);
}

}  // namespace

TEST_CASE("A rule that is cut anywhere is opaque or whole, never something else") {
  for (const Family family : rules::kFamilies)
    for (const auto& sample : test::sample_rules(family)) {
      const std::string whole = test::encoded(sample.rule, family);
      for (std::size_t size = 0; size < whole.size(); ++size) {
        const rules::Rule rule = decode_exactly(whole.substr(0, size), family);
        // A list that ends between two expressions is another, shorter rule.
        if (rule.opaque.empty()) check_sane(rule, family);
        CHECK_FALSE((rule.opaque.empty() && rule == sample.rule && sample.rule.target.index() != 0));
      }
    }
}

TEST_CASE("Changed bytes never crash the decoder and never give a rule outside the model") {
  std::mt19937 random(kSeed);
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  for (const Family family : rules::kFamilies) {
    const auto samples = test::sample_rules(family);
    for (int round = 0; round < 20'000; ++round) {
      std::string bytes = test::encoded(samples[below(samples.size())].rule, family);
      const std::size_t changes = 1 + below(4);
      for (std::size_t i = 0; i < changes && !bytes.empty(); ++i) {
        const std::size_t at = below(bytes.size());
        switch (below(5)) {
          case 0: bytes[at] = static_cast<char>(random()); break;
          case 1: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
          case 2: bytes.erase(at, 1 + below(8)); break;
          case 3: bytes.insert(at, 1 + below(8), static_cast<char>(random())); break;
          default: bytes += bytes.substr(at, 64); break;
        }
      }
      const rules::Rule rule = decode_exactly(bytes, family);
      check_sane(rule, family);
    }
  }
}

TEST_CASE("Random bytes are opaque or empty") {
  std::mt19937 random(kSeed);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 200, '\0');
    std::ranges::generate(bytes, [&] { return static_cast<char>(random()); });
    const rules::Rule rule = decode_exactly(bytes, Family::kIpv6);
    CHECK(rule.opaque.empty() == bytes.empty());
  }
}

TEST_CASE("Messages that are cut or lie about their length end the datagram") {
  std::string datagram;
  const auto add = [&](std::uint32_t size, std::uint16_t type, const std::string& payload) {
    const nlmsghdr header{size, type, 0, 9, 3};
    datagram += test::bytes_of(header) + payload;
  };
  add(20, 0x0a06, "abcd");
  add(200, 0x0a06, "abcd");
  netlink::MessageReader reader(datagram);
  netlink::Message message;
  REQUIRE(reader.next(message));
  CHECK(message.payload == "abcd");
  CHECK(message.sequence == 9);
  CHECK(message.port_id == 3);
  CHECK(message.table_type() == 6);
  CHECK(message.attributes().empty());
  CHECK_FALSE(reader.next(message));
  datagram.clear();
  add(15, 0, "abcd");
  CHECK_FALSE(netlink::MessageReader(datagram).next(message));
  CHECK_FALSE(netlink::MessageReader("abc").next(message));
}

TEST_CASE("What the kernel explains becomes a part of a line, whatever bytes it has") {
  std::string payload = test::bytes_of(nlmsgerr{-EINVAL, {20, 0x0a06, 0, 77, 0}});
  const std::string said = "s\xa7\n\x1b[2J level=error" + std::string(400, 'x');
  payload += test::bytes_of(nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + said.size()), NLMSGERR_ATTR_MSG}) + said;
  const netlink::Message message{NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 77, 0, payload};
  const std::string explanation = netlink::read_acknowledgement(message).explanation;
  CHECK(explanation.starts_with("s???[2J level=error"));
  CHECK(explanation.size() == 256);
}

TEST_CASE("An error that is the negation of no number is told as a bad message") {
  const std::string payload = test::bytes_of(nlmsgerr{std::numeric_limits<int>::min(), {20, 0x0a06, 0, 77, 0}});
  CHECK(netlink::read_acknowledgement({NLMSG_ERROR, 0, 77, 0, payload}).code == EBADMSG);
  const std::string end = test::bytes_of(std::numeric_limits<std::int32_t>::min());
  CHECK(netlink::read_end_of_dump({NLMSG_DONE, 0, 77, 0, end}).code == EBADMSG);
}

TEST_CASE("Acknowledgements are read with their explanation, and short ones are refusals") {
  nlmsgerr error{-ENOENT, {20, 0x0a06, 0, 77, 0}};
  std::string payload = test::bytes_of(error);
  const auto attribute = [&](std::uint16_t type, std::string value) {
    const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), type};
    value.resize((value.size() + 3) / 4 * 4);
    payload += test::bytes_of(header) + value;
  };
  attribute(NLMSGERR_ATTR_MSG, std::string("no such thing\0", 14));
  attribute(NLMSGERR_ATTR_OFFS, test::bytes_of(std::uint32_t{44}));
  netlink::Message message{NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 77, 0, payload};
  auto read = netlink::read_acknowledgement(message);
  CHECK(read.code == ENOENT);
  CHECK(read.sequence == 77);
  CHECK(read.explanation == "no such thing");
  CHECK(read.offset == 44);

  // Not capped: the refused message stands before the attributes.
  payload.insert(sizeof error, std::string(4, 'x'));
  message = {NLMSG_ERROR, NLM_F_ACK_TLVS, 77, 0, payload};
  CHECK(netlink::read_acknowledgement(message).explanation == "no such thing");
  // One that claims more than there is.
  payload[4] = '\xff';
  message.payload = payload;
  CHECK(netlink::read_acknowledgement(message).explanation.empty());
  message.payload = "ab";
  CHECK(netlink::read_acknowledgement(message).code == EBADMSG);
}
