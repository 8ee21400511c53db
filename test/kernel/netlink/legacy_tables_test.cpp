#include "netlink/walk/legacy_tables.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <variant>

#include "test/kernel/netlink/raw_rules.h"
#include "test/support/netns.h"
#include "test/support/process.h"

// Tables of iptables-legacy are made by iptables-legacy(8).
namespace kubenatd::netlink::walk {
namespace {

using rules::walk::TableFamily;
using rules::walk::ToVerdict;
using rules::walk::Verdict;
using rules::walk::WalkChain;
using rules::walk::WalkRule;

bool enter_with_legacy() {
  if (!test::enter_fresh_namespace()) return false;
  if (test::run({"iptables-legacy", "-S"}).ok()) return true;
  std::printf("SKIPPED: no iptables-legacy, or no tables for it in this kernel\n");
  return false;
}

void legacy(const std::string& words, const std::string& program = "iptables-legacy") {
  test::must_run({"sh", "-ec", program + " " + words});
}

rules::walk::Ruleset read() {
  rules::walk::Ruleset ruleset;
  read_legacy_tables(ruleset);
  for (const auto& one : ruleset.not_looked_at) FAIL_CHECK(one.what << ": " << one.why);
  return ruleset;
}

std::string names_file() {
  std::ifstream file("/proc/thread-self/net/ip_tables_names");
  return {std::istreambuf_iterator<char>(file), {}};
}

const ToVerdict* verdict_of(const WalkRule& rule) {
  return rule.statements.empty() ? nullptr : std::get_if<ToVerdict>(&rule.statements.back());
}

}  // namespace

TEST_CASE("iptables-legacy: to look makes no table, and tables that decide nothing are none") {
  if (!test::enter_fresh_namespace()) return;
  CHECK(read().tables().empty());
  CHECK(names_file().empty());
  if (!test::run({"iptables-legacy", "-S"}).ok()) return;
  CHECK(names_file() == "filter\n");
  CHECK(read().tables().empty());
  // A chain that no rule leads to decides nothing.
  legacy("-N LOST; iptables-legacy -A LOST -j DROP");
  CHECK(read().tables().empty());
  CHECK(names_file() == "filter\n");
}

TEST_CASE("iptables-legacy: a policy that drops is a table that decides") {
  if (!enter_with_legacy()) return;
  legacy("-P FORWARD DROP");
  const auto ruleset = read();
  const auto* filter = ruleset.find(TableFamily::kIp, "filter", true);
  REQUIRE(filter != nullptr);
  CHECK(filter->legacy);
  REQUIRE(filter->chain("FORWARD") != nullptr);
  REQUIRE(filter->chain("FORWARD")->base);
  CHECK(filter->chain("FORWARD")->base->policy_drop);
  CHECK(filter->chain("FORWARD")->base->hook == rules::walk::Hook::kForward);
  CHECK_FALSE(filter->chain("INPUT")->base->policy_drop);
  CHECK(filter->chain("OUTPUT")->rules.empty());
  CHECK_FALSE(filter->chain("INPUT")->unread);
  CHECK(ruleset.find(TableFamily::kIp, "filter") == nullptr);
}

TEST_CASE("iptables-legacy: chains, jumps and verdicts of both families") {
  if (!enter_with_legacy()) return;
  for (const auto& [program, family] :
       {std::pair("iptables-legacy", TableFamily::kIp), std::pair("ip6tables-legacy", TableFamily::kIp6)}) {
    const bool is_v4 = family == TableFamily::kIp;
    const std::string source = is_v4 ? "10.1.0.0/16" : "fd00:1::/64";
    test::must_run({std::string(program) + "-restore"},
                   "*raw\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n-A PREROUTING -s " + source +
                       " -j DROP\nCOMMIT\n"
                       "*filter\n:INPUT DROP\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n:FIRST -\n:SECOND -\n:EMPTY -\n"
                       "-A INPUT ! -i eth+ -p tcp -j FIRST\n-A INPUT -g SECOND\n-A INPUT -j EMPTY\n"
                       "-A FIRST -p tcp -m tcp --dport 80 -j RETURN\n-A FIRST -m comment --comment none\n"
                       "-A SECOND ! -s " +
                       source + " -j ACCEPT\n-A SECOND -j LOG\nCOMMIT\n");
    const auto ruleset = read();
    const auto* raw = ruleset.find(family, "raw", true);
    REQUIRE(raw != nullptr);
    REQUIRE(raw->chain("PREROUTING")->rules.size() == 1);
    const WalkRule& drop = raw->chain("PREROUTING")->rules[0];
    CHECK(verdict_of(drop)->verdict == Verdict::kDrop);
    CHECK(drop.text.find("-j DROP") != std::string::npos);
    CHECK(raw->chain("PREROUTING")->base->priority == -300);

    const auto* filter = ruleset.find(family, "filter", true);
    REQUIRE(filter != nullptr);
    const WalkChain& input = *filter->chain("INPUT");
    REQUIRE(input.rules.size() == 3);
    CHECK(input.base->policy_drop);
    CHECK(*verdict_of(input.rules[0]) == ToVerdict{Verdict::kJump, "FIRST"});
    INFO(input.rules[0].text);
    CHECK(input.rules[0].text.starts_with("! -i eth+ -p "));
    CHECK(*verdict_of(input.rules[1]) == ToVerdict{Verdict::kGoto, "SECOND"});
    CHECK(*verdict_of(input.rules[2]) == ToVerdict{Verdict::kJump, "EMPTY"});
    // Each chain of the user's ends with the rule that the kernel has for its end.
    const WalkChain& first = *filter->chain("FIRST");
    REQUIRE(first.rules.size() == 3);
    CHECK(verdict_of(first.rules[0])->verdict == Verdict::kReturn);
    CHECK(verdict_of(first.rules[1]) == nullptr);
    CHECK(verdict_of(first.rules[2])->verdict == Verdict::kReturn);
    const WalkChain& second = *filter->chain("SECOND");
    REQUIRE(second.rules.size() == 3);
    CHECK(verdict_of(second.rules[0])->verdict == Verdict::kAccept);
    CHECK(second.rules[0].statements.size() == 2);
    REQUIRE(filter->chain("EMPTY")->rules.size() == 1);
    CHECK(filter->chain("FORWARD")->rules.empty());
    for (const auto& [name, chain] : filter->chains) CHECK_FALSE(chain.unread);
    REQUIRE(drop.counters);
    CHECK(drop.counters->packets == 0);
  }
}

TEST_CASE("iptables-legacy: bytes that are no rules leave chains unread, and never more") {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    LegacyTable table{.family = round % 2 == 0 ? rules::Family::kIpv4 : rules::Family::kIpv6,
                      .name = "filter",
                      .hooks = 0x0e,
                      .first = {0, 0, static_cast<std::uint32_t>(random() % 2000), 4000},
                      .policy = {0, 0, static_cast<std::uint32_t>(random() % 2000), 4000000},
                      .entries = std::string(random() % 4000, '\0')};
    // Small numbers, so that offsets and sizes are often near to right ones.
    for (char& byte : table.entries) byte = static_cast<char>(random() % 8 == 0 ? random() % 200 : 0);
    (void)table.is_idle();
    rules::walk::Ruleset ruleset;
    add_legacy_table(ruleset, table);
    CHECK(ruleset.tables().size() == 1);
    CHECK(ruleset.find(table.family == rules::Family::kIpv4 ? TableFamily::kIp : TableFamily::kIp6, "filter", true)
              ->chain("OUTPUT")
              ->unread);
  }
}

}  // namespace kubenatd::netlink::walk
