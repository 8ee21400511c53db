#include "rules/address.h"

#include <arpa/inet.h>

#include <catch2/catch.hpp>
#include <random>
#include <unordered_set>

using namespace kubenatd::rules;

namespace {

std::string parsed(std::string_view text) {
  const auto address = Address::parse(text);
  return address ? address->to_string() : "refused";
}

std::string parsed_prefix(std::string_view text) {
  const auto prefix = Prefix::parse(text);
  return prefix ? prefix->to_string() : "refused";
}

}  // namespace

TEST_CASE("an IPv4 address is read as Kubernetes reads it") {
  CHECK(parsed("10.96.0.1") == "10.96.0.1");
  CHECK(parsed("0.0.0.0") == "0.0.0.0");
  CHECK(parsed("255.255.255.255") == "255.255.255.255");
  // Leading zeros are decimal, never octal.
  CHECK(parsed("010.096.000.010") == "10.96.0.10");
  CHECK(parsed("00000000010.1.1.1") == "10.1.1.1");
}

TEST_CASE("an IPv6 address is read and written in its shortest form") {
  CHECK(parsed("::") == "::");
  CHECK(parsed("::1") == "::1");
  CHECK(parsed("fd00:0010:0244:0001:0:0:0:5") == "fd00:10:244:1::5");
  CHECK(parsed("FD00::ABCD") == "fd00::abcd");
  CHECK(parsed("1:0:0:2:0:0:0:3") == "1:0:0:2::3");
  CHECK(parsed("1:0:2:3:4:5:6:7") == "1:0:2:3:4:5:6:7");
  CHECK(parsed("1:2:3:4:5:6:0:0") == "1:2:3:4:5:6::");
  CHECK(parsed("::2:3:4:5:6:7") == "::2:3:4:5:6:7");
}

TEST_CASE("an IPv4-mapped address is the IPv4 address") {
  const auto address = Address::parse("::ffff:10.0.0.1");
  REQUIRE(address);
  CHECK(address->family == Family::kIpv4);
  CHECK(*address == *Address::parse("10.0.0.1"));
  CHECK(parsed("::ffff:a00:1") == "10.0.0.1");
}

TEST_CASE("text that is not an address is refused") {
  for (const std::string_view text : {"",
                                      " ",
                                      "10.0.0",
                                      "10.0.0.1.2",
                                      "10.0.0.256",
                                      "10.0.0.",
                                      ".10.0.0.1",
                                      "10..0.1",
                                      "10.0.0.1 ",
                                      " 10.0.0.1",
                                      "-1.0.0.1",
                                      "+1.0.0.1",
                                      "0x10.0.0.1",
                                      "10.0.0.1/32",
                                      "10.0.0.1:80",
                                      "localhost",
                                      "fe80::1%eth0",
                                      ":",
                                      ":::",
                                      "1::2::3",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "12345::",
                                      "g::",
                                      "[::1]",
                                      "::1 ",
                                      "99999999999999999999.1.1.1"}) {
    INFO(text);
    CHECK(parsed(text) == "refused");
  }
  CHECK(parsed(std::string_view("::1\0", 4)) == "refused");
  CHECK(parsed(std::string_view("10.0.0.1\0", 9)) == "refused");
  CHECK(parsed(std::string(100'000, '1') + ":") == "refused");
}

TEST_CASE("addresses are written as inet_ntop writes them") {
  std::mt19937 random(1);  // a fixed seed: the same addresses in every run
  for (int round = 0; round < 20'000; ++round) {
    Address address{Family::kIpv6, {}};
    for (std::size_t word = 0; word < 8; ++word) {
      if (random() % 2 == 0) continue;  // many runs of zeros
      address.bytes[2 * word] = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : 0);
      address.bytes[2 * word + 1] = static_cast<std::uint8_t>(random());
    }
    char expected[INET6_ADDRSTRLEN];
    REQUIRE(inet_ntop(AF_INET6, address.bytes.data(), expected, sizeof expected) != nullptr);
    REQUIRE(address.to_string() == expected);
  }
}

TEST_CASE("an endpoint string is what Go's JoinHostPort makes") {
  CHECK(join_host_port(*Address::parse("10.180.0.1"), 80) == "10.180.0.1:80");
  CHECK(join_host_port(*Address::parse("fd00::7"), 65535) == "[fd00::7]:65535");
  // Go never writes a dotted tail; inet_ntop does.
  const Address compatible = *Address::parse("::10.0.0.1");
  CHECK(compatible.to_string() == "::10.0.0.1");
  CHECK(join_host_port(compatible, 1) == "[::a00:1]:1");
  // The longest one fits its buffer.
  CHECK(join_host_port(*Address::parse("1111:2222:3333:4444:5555:6666:7777:8888"), 65535) ==
        "[1111:2222:3333:4444:5555:6666:7777:8888]:65535");
}

TEST_CASE("loopback and unspecified addresses are known") {
  CHECK(Address::parse("127.0.0.1")->is_loopback());
  CHECK(Address::parse("127.255.1.2")->is_loopback());
  CHECK(Address::parse("::1")->is_loopback());
  CHECK_FALSE(Address::parse("128.0.0.1")->is_loopback());
  CHECK_FALSE(Address::parse("::2")->is_loopback());
  CHECK_FALSE(Address::parse("1::1")->is_loopback());
  CHECK(Address::parse("0.0.0.0")->is_unspecified());
  CHECK(Address::parse("::")->is_unspecified());
  CHECK_FALSE(Address::parse("0.0.0.1")->is_unspecified());
  CHECK_FALSE(Address::parse("::1")->is_unspecified());
}

TEST_CASE("a block loses its host bits") {
  CHECK(parsed_prefix("10.244.1.77/16") == "10.244.0.0/16");
  CHECK(parsed_prefix("10.244.255.77/20") == "10.244.240.0/20");
  CHECK(parsed_prefix("10.0.0.1/32") == "10.0.0.1/32");
  CHECK(parsed_prefix("10.0.0.1/0") == "0.0.0.0/0");
  CHECK(parsed_prefix("fd00:10:244:1ff::5/57") == "fd00:10:244:180::/57");
  CHECK(parsed_prefix("::1/128") == "::1/128");
  CHECK(parsed_prefix("::ffff:10.1.2.3/104") == "10.0.0.0/8");
}

TEST_CASE("text that is not a block is refused") {
  for (const std::string_view text : {"", "/", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1",
                                      "10.0.0.0/+8", "10.0.0.0/8 ", "10.0.0.0/ 8", "10.0.0.0/8/8", "10.0.0/8", "::/129",
                                      "::/1000", "::ffff:0:0/95", "10.0.0.0/99999999999", "10.0.0.0/0x8"}) {
    INFO(text);
    CHECK(parsed_prefix(text) == "refused");
  }
}

TEST_CASE("a block contains its own addresses only") {
  const Prefix block = *Prefix::parse("203.0.113.0/25");
  CHECK(block.contains(*Address::parse("203.0.113.0")));
  CHECK(block.contains(*Address::parse("203.0.113.127")));
  CHECK_FALSE(block.contains(*Address::parse("203.0.113.128")));
  CHECK(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("8.8.8.8")));
  CHECK_FALSE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("::1")));
  CHECK(Prefix::parse("fd00::/8")->contains(*Address::parse("fd12::1")));
  CHECK_FALSE(Prefix::parse("fd00::/8")->contains(*Address::parse("fe80::1")));
  CHECK(Prefix::host(*Address::parse("::1")).length == 128);
}

TEST_CASE("equal addresses have equal hashes, and others hardly ever") {
  std::unordered_set<Address> seen;
  for (int i = 0; i < 256; ++i) seen.insert(*Address::parse("10.0.0." + std::to_string(i)));
  for (int i = 0; i < 256; ++i) seen.insert(*Address::parse("10.0.0." + std::to_string(i)));
  CHECK(seen.size() == 256);
}
