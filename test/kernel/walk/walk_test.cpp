#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>

#include "agent/dataplane/reconciler.h"
#include "netlink/walk/ruleset_reader.h"
#include "rules/walk/nft/ruleset_text.h"
#include "rules/walk/xt/save_text.h"
#include "test/kernel/walk/comparer.h"
#include "test/kernel/walk/foreign_rules.h"
#include "test/support/netns.h"
#include "test/support/random_cluster.h"

namespace kubenatd::test {
namespace {

using rules::walk::Ruleset;
using rules::walk::Walk;

std::string must_run(const std::vector<std::string>& arguments, const std::string& input = {}) {
  ProcessOptions options;
  options.input = input;
  const auto result = run(arguments, options);
  INFO(input);
  INFO(result.describe());
  REQUIRE(result.ok());
  return result.out;
}

std::shared_ptr<netlink::NfTables> open_kernel() {
  auto kernel = netlink::NfTables::open();
  REQUIRE(kernel);
  return std::make_shared<netlink::NfTables>(std::move(*kernel));
}

struct Run {
  unsigned seed = 0;
  bool ipv6 = false;
  bool nftables_mode = false;
  unsigned states = 0, packets = 0;
};

/// Random states, random rules of others before, between and behind, and for each packet: what the walk says is what
/// the kernel does.
void compare_with_kernel(const Run& run) {
  PacketNode node;
  Dice dice(run.seed);
  std::uint16_t next_port = 20000;
  Tally live_tally, text_tally, open_tally;  // the last one: states with what cannot be judged
  RandomCluster cluster(run.seed, 12);
  for (unsigned state = 0; state < run.states; ++state) {
    must_run({"nft", "flush", "ruleset"});
    agent::config::Environment environment;
    environment.node_name = "node-1";
    environment.local_addresses = node.surroundings().local;
    environment.has_nfacct = false;
    agent::config::Config config = random_config(dice);
    if (run.nftables_mode) {
      config.localhost_node_ports = false;
      config.mode = agent::config::Config::Mode::kNftables;
    }
    agent::dataplane::Model model(config, environment);
    for (int i = 0; i < 30; ++i) (void)cluster.next();
    agent::dataplane::NetlinkKernel kernel_access;
    auto reconciler = agent::dataplane::Reconciler::open(model, kernel_access);
    REQUIRE(reconciler);
    (*reconciler)->apply(cluster.all());
    REQUIRE_FALSE((*reconciler)->reconcile(true).failed());
    const std::string prefix = run.ipv6 ? "ip6tables" : "iptables";
    const Vocabulary words{.ipv6 = run.ipv6, .unjudged = dice.one_in(4)};
    const std::string foreign = random_xt_rules(dice, words);
    must_run({prefix + "-restore", "--noflush"}, foreign);
    const std::string tables = dice.one_in(2) ? random_nft_tables(dice, words) : std::string();
    must_run({"nft", "-f", "-"}, tables);

    const auto kernel = open_kernel();
    // Every other state is read chain by chain, as the walk comes to them.
    const auto live = netlink::walk::read_ruleset(kernel, state % 2 == 0 ? netlink::walk::kAllAtOnce : 0);
    INFO((live ? "" : live.error().to_string()));
    REQUIRE(live);
    // The same from texts: iptables' tables as iptables-save has them, the others as nft has them.
    Ruleset text;
    const bool has_text = tables.empty() && !run.nftables_mode;
    if (has_text) {
      rules::walk::xt::Remarks remarks;
      const auto saved = rules::walk::xt::read_save_text(must_run({prefix + "-save"}), text, remarks);
      INFO((saved ? "" : saved.error().to_string()));
      REQUIRE(saved);
    }
    const std::string context =
        "seed " + std::to_string(run.seed) + ", state " + std::to_string(state) + "\n" + foreign + tables;
    PacketMaker maker(dice, model, run.ipv6, next_port);
    Comparer by_live(node, words.unjudged ? open_tally : live_tally);
    Comparer by_text(node, words.unjudged ? open_tally : text_tally);
    for (unsigned i = 0; i < run.packets; ++i) {
      const Packet packet = with_all_fields(maker.next());
      if (run.nftables_mode && packet.destination.is_loopback()) continue;
      const Walk walk = rules::walk::walk(*live, packet, node.surroundings());
      const Fate fate = node.send(packet);
      by_live.compare(walk, packet, fate, context);
      if (has_text) by_text.compare(rules::walk::walk(text, packet, node.surroundings()), packet, fate, context);
    }
  }
  std::printf(
      "seed %u: %u packets, %u not known (live); %u packets, %u not known (text); with limit and the like %u packets, "
      "%u not known\n",
      run.seed, live_tally.packets, live_tally.doubts, text_tally.packets, text_tally.doubts, open_tally.packets,
      open_tally.doubts);
  // "I do not know" is no way out.
  CHECK(live_tally.doubts * 20 < live_tally.packets);
  CHECK(text_tally.doubts * 20 <= text_tally.packets);
  // All four kinds of an end have come up, or the packets were not worth their while.
  CHECK(live_tally.ends.size() == 4);
}

bool ready() {
  if (!enter_fresh_namespace()) return false;
  if (const auto missing = tunnels_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return false;
  }
  for (const char* program : {"iptables-restore", "ip6tables-restore", "ip", "nft"})
    if (!run({program, "--version"}).ok() && !run({program, "-V"}).ok()) {
      std::printf("SKIPPED: %s is not there\n", program);
      return false;
    }
  return true;
}

/// KUBENATD_WALK_STATES and KUBENATD_WALK_SEED make a longer run of other cases.
Run of_environment(Run run) {
  if (const char* states = std::getenv("KUBENATD_WALK_STATES")) run.states = static_cast<unsigned>(std::atoi(states));
  if (const char* seed = std::getenv("KUBENATD_WALK_SEED")) run.seed += 10U * static_cast<unsigned>(std::atoi(seed));
  return run;
}

}  // namespace

TEST_CASE("the walk says what the kernel does: iptables mode, IPv4") {
  if (ready()) compare_with_kernel(of_environment({.seed = 1, .states = 60, .packets = 50}));
}

TEST_CASE("the walk says what the kernel does: iptables mode, IPv6") {
  if (ready()) compare_with_kernel(of_environment({.seed = 2, .ipv6 = true, .states = 40, .packets = 50}));
}

TEST_CASE("the walk says what the kernel does: nftables mode, IPv4") {
  if (ready()) compare_with_kernel(of_environment({.seed = 3, .nftables_mode = true, .states = 60, .packets = 50}));
}

TEST_CASE("the walk says what the kernel does: nftables mode, IPv6") {
  if (ready())
    compare_with_kernel(of_environment({.seed = 4, .ipv6 = true, .nftables_mode = true, .states = 40, .packets = 50}));
}

}  // namespace kubenatd::test
