#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <set>

#include "agent/dataplane/model.h"
#include "rules/former_walk/save_text.h"
#include "rules/former_walk/walker.h"
#include "test/kernel/walk/random_packets.h"
#include "test/support/netns.h"
#include "test/support/random_cluster.h"

namespace kubenatd::test {
namespace {

using rules::Family;
using rules::Protocol;
using rules::former_walk::End;
using rules::former_walk::Packet;

std::string must_run(const std::vector<std::string>& arguments, const std::string& input = {}) {
  ProcessOptions options;
  options.input = input;
  const auto result = run(arguments, options);
  INFO(input);
  INFO(result.describe());
  REQUIRE(result.ok());
  return result.out;
}

/// Rules of others: firewalls, Docker's, portmap's, in all their order.
std::string foreign_rules(Dice& dice, bool ipv6) {
  const std::vector<std::string> sources =
      ipv6 ? std::vector<std::string>{"2001:db8:9::/64", "fd00:10:244::/48", "2001:db8:9::7/128"}
           : std::vector<std::string>{"198.51.100.0/24", "10.244.0.0/16", "192.168.77.100/32"};
  const std::vector<std::string> destinations =
      ipv6 ? std::vector<std::string>{"fd00:10:96::/112", "fd00:10:244:1::/64", "fd00:77::2/128"}
           : std::vector<std::string>{"10.96.0.0/16", "10.244.1.0/24", "192.168.77.2/32", "203.0.113.0/24"};
  const std::vector<std::string> verdicts{
      "-j DROP",
      "-j ACCEPT",
      "-j RETURN",
      "-j OTHERS",
      "-g OTHERS",
      ipv6 ? "-j REJECT --reject-with icmp6-port-unreachable" : "-j REJECT --reject-with icmp-port-unreachable"};
  const auto matches = [&](const std::string& hook) {
    std::string text;
    if (dice.one_in(3)) text += (dice.one_in(4) ? " ! -s " : " -s ") + dice.of(sources);
    if (dice.one_in(3)) text += (dice.one_in(4) ? " ! -d " : " -d ") + dice.of(destinations);
    if (dice.one_in(5) && (hook == "INPUT" || hook == "FORWARD")) text += dice.one_in(2) ? " -i pod+" : " ! -i ext0";
    if (dice.one_in(5) && hook == "FORWARD") text += dice.one_in(2) ? " -o pod0" : " ! -o pod+";
    if (dice.one_in(2)) {
      const std::string protocol = dice.one_in(2) ? "tcp" : "udp";
      text += " -p " + protocol;
      const std::vector<std::string> ports{" -m " + protocol + " --dport 8080", " -m " + protocol + " --dport 80:8080",
                                           " -m " + protocol + " ! --dport 80", " -m multiport --dports 80,81,8081",
                                           " -m " + protocol + " --sport 1:25000"};
      text += dice.of(ports);
    }
    if (dice.one_in(6)) text += " -m conntrack --ctstate DNAT";
    if (dice.one_in(6)) text += " -m mark --mark 0x4000/0x4000";
    if (dice.one_in(8)) text += " -m addrtype --dst-type LOCAL";
    return text;
  };

  std::string text = "*filter\n:OTHERS - [0:0]\n";
  const char* sentinel = " -i lo -p udp -m udp --dport 7 -j ACCEPT\n";
  text += std::string("-A INPUT") + sentinel + "-A OUTPUT -o lo -p udp -m udp --dport 7 -j ACCEPT\n";
  for (const std::string hook : {"INPUT", "FORWARD", "OUTPUT"}) {
    text += ":" + hook + (dice.one_in(5) ? " DROP" : " ACCEPT") + " [0:0]\n";
    text += "-A " + hook + " -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
    for (unsigned i = dice.below(4); i > 0; --i)
      text += (dice.one_in(2) ? "-A " : "-I ") + hook + (dice.one_in(2) ? " -m conntrack --ctstate NEW" : "") +
              " -m conntrack ! --ctstate RELATED,ESTABLISHED" + matches(hook) + " " + dice.of(verdicts) + "\n";
  }
  for (const std::string rule : {" -j RETURN", " -j DROP", " -j MARK --set-xmark 0x4000/0x4000", " -j ACCEPT"})
    if (dice.one_in(2)) text += "-A OTHERS" + matches("OTHERS") + rule + "\n";
  // Chain lines have to come before rules, and the sentinel first of all.
  text += std::string("-I INPUT 1") + sentinel + "-I OUTPUT 1 -o lo -p udp -m udp --dport 7 -j ACCEPT\nCOMMIT\n";

  text +=
      "*nat\n:CNI-HOSTPORT-DNAT - [0:0]\n:CNI-DN-0 - [0:0]\n:CNI-HOSTPORT-SETMARK - [0:0]\n"
      ":CNI-HOSTPORT-MASQ - [0:0]\n";
  const std::string pod = ipv6 ? "fd00:10:244:1::5" : "10.244.1.5";
  if (dice.one_in(2)) {
    text +=
        "-A CNI-HOSTPORT-SETMARK -m comment --comment \"CNI portfwd masquerade mark\" -j MARK --set-xmark "
        "0x2000/0x2000\n"
        "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE\n"
        "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
        "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n"
        "-I POSTROUTING -m comment --comment \"CNI portfwd requiring masquerade\" -j CNI-HOSTPORT-MASQ\n"
        "-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"dnat name: \\\"net\\\" id: \\\"0\\\"\" -m multiport "
        "--dports 80,8443 -j CNI-DN-0\n"
        "-A CNI-HOSTPORT-DNAT -p udp -m multiport --dports 80 -j CNI-DN-0\n";
    for (const std::string protocol : {"tcp", "udp"}) {
      const std::string port = " -p " + protocol + " -m " + protocol + " --dport 80 ";
      text += "-A CNI-DN-0 -s " + pod + port + "-j CNI-HOSTPORT-SETMARK\n";
      if (!ipv6) text += "-A CNI-DN-0 -s 127.0.0.1/32" + port + "-j CNI-HOSTPORT-SETMARK\n";
      text += "-A CNI-DN-0" + port + "-j DNAT --to-destination " + (ipv6 ? "[" + pod + "]" : pod) + ":8081\n";
    }
  }
  if (dice.one_in(3)) text += "-A POSTROUTING -s " + dice.of(sources) + " ! -o pod0 -j MASQUERADE\n";
  if (dice.one_in(4)) text += "-I PREROUTING -d " + dice.of(destinations) + " -j RETURN\n";
  if (dice.one_in(6)) text += "-I PREROUTING -p tcp -m tcp --dport 81 -j ACCEPT\n";
  return text + "COMMIT\n";
}

/// Ways as a set of words, so that two sources of the same rules can be compared.
std::multiset<std::string> words_of(const rules::former_walk::Walk& walk) {
  std::multiset<std::string> words;
  for (const auto& outcome : walk.outcomes) words.insert(describe(outcome) + " " + std::to_string(outcome.odds));
  return words;
}

/// Random states, random rules of others, and for each packet: what the walk says is what the kernel does.
void compare_with_kernel(unsigned seed, bool ipv6, unsigned states, unsigned packets) {
  PacketNode node;
  Dice dice(seed);
  unsigned compared = 0;
  std::uint16_t next_port = 20000;
  std::set<std::string> ends;
  RandomCluster cluster(seed, 12);
  for (unsigned state = 0; state < states; ++state) {
    agent::config::Environment environment;
    environment.node_name = "node-1";
    environment.local_addresses = node.surroundings().local;
    environment.has_nfacct = false;
    agent::dataplane::Model model(random_config(dice), environment);
    for (int i = 0; i < 30; ++i) (void)cluster.next();
    (void)model.apply(cluster.all());
    const Family family = ipv6 ? Family::kIpv6 : Family::kIpv4;
    PacketMaker maker(dice, model, ipv6, next_port);
    const std::string prefix = ipv6 ? "ip6tables" : "iptables";
    must_run({prefix + "-restore"}, model.dataplane(family).render());
    must_run({prefix + "-restore", "--noflush"}, foreign_rules(dice, ipv6));

    const std::string text = must_run({prefix + "-save"});
    const auto saved = rules::former_walk::read_save_text(text);
    REQUIRE(saved);
    const auto& ruleset = saved->families[ipv6 ? 1 : 0];
    REQUIRE(ruleset);
    auto kernel = netlink::NfTables::open();
    REQUIRE(kernel);
    const auto read = model.dataplane(family).live_rules(*kernel);
    REQUIRE(read);
    const auto& live = read->rules;
    REQUIRE(live);

    for (unsigned i = 0; i < packets; ++i) {
      const Packet packet = maker.next();
      const auto walk = rules::former_walk::walk(*ruleset, packet, node.surroundings());
      REQUIRE_FALSE(walk.cut);
      const auto again = rules::former_walk::walk(*live, packet, node.surroundings());
      const bool all_judged =
          std::ranges::all_of(again.outcomes, [](const auto& outcome) { return outcome.doubts.empty(); });
      double odds = 0;
      std::string said;
      for (const auto& outcome : walk.outcomes) {
        REQUIRE(outcome.doubts.empty());
        REQUIRE(outcome.end != End::kUnknown);
        if (!outcome.remembered) odds += outcome.odds;
        said += "  " + describe(outcome) + "\n";
      }
      const Fate fate = node.send(packet);
      const bool agreed = std::ranges::any_of(
          walk.outcomes, [&](const auto& outcome) { return agrees(outcome, fate, packet, node.surroundings()); });
      INFO("seed " << seed << ", state " << state << ", packet " << i << ": " << describe(packet));
      INFO("the walk says\n" << said << "the kernel did: " << describe(fate));
      if (!agreed) UNSCOPED_INFO(text);
      REQUIRE(agreed);
      CHECK(odds == Approx(1));
      if (all_judged) CHECK(words_of(again) == words_of(walk));
      ends.insert(describe(fate).substr(0, 5));
      ++compared;
    }
  }
  CHECK(compared == states * packets);
  // All four kinds of an end have come up, or the packets were not worth their while.
  CHECK(ends.size() == 4);
}

bool ready() {
  if (!enter_fresh_namespace()) return false;
  if (const auto missing = tunnels_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return false;
  }
  for (const char* program : {"iptables-restore", "ip6tables-restore", "ip"})
    if (!run({program, "-V"}).ok()) {
      std::printf("SKIPPED: %s is not there\n", program);
      return false;
    }
  return true;
}

}  // namespace

TEST_CASE("the walk says what the kernel does: IPv4") {
  if (!ready()) return;
  compare_with_kernel(1, false, 50, 60);
}

TEST_CASE("the walk says what the kernel does: IPv6") {
  if (!ready()) return;
  compare_with_kernel(2, true, 30, 50);
}

}  // namespace kubenatd::test
