#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <set>

#include "agent/dataplane/reconciler.h"
#include "netlink/walk/ruleset_reader.h"
#include "test/kernel/walk/random_packets.h"
#include "test/support/netns.h"
#include "test/support/random_cluster.h"

namespace kubenatd::test {
namespace {

/// Where the modes differ on purpose, as kube-proxy's do, or because nothing else can be: in nftables mode
/// - a port that a cluster IP does not have is refused;
/// - what the node itself sends to an external address without endpoints is refused or dropped, too;
/// - an endpoint of another node is not masqueraded when it reaches itself: it cannot get here from there.
class Differences {
 public:
  Differences(const agent::dataplane::Model& model, Family family) {
    model.dataplane(family).for_each_view([&](const rules::ServicePortView& view) {
      cluster_ips_.insert(view.cluster_ip);
      served_.insert({view.cluster_ip, view.port, view.protocol});
      for (const auto& all : {view.external_ips, view.load_balancer_ips})
        for (const rules::Address& address : all) {
          served_.insert({address, view.port, view.protocol});
          external_.insert({address, view.port, view.protocol});
        }
      for (const rules::Endpoint& endpoint : view.endpoints)
        if (endpoint.is_local && (endpoint.reachable || endpoint.for_cluster || endpoint.for_local))
          local_.insert(endpoint.address);
    });
  }
  /// Nothing but a refusal will do.
  [[nodiscard]] bool is_unused(const Packet& packet) const {
    return cluster_ips_.contains(packet.destination) && !served_.contains(target_of(packet));
  }
  /// The other mode does something else, and this is right, too.
  [[nodiscard]] bool allow(const Packet& packet, const Fate& fate) const {
    if (fate.kind == Fate::Kind::kForwarded)
      return fate.source == packet.source && fate.destination == packet.source && !local_.contains(packet.source);
    const bool refused = fate.kind == Fate::Kind::kRejected || fate.kind == Fate::Kind::kDropped;
    return refused && packet.origin == Packet::Origin::kLocal && external_.contains(target_of(packet));
  }

 private:
  using Target = std::tuple<rules::Address, std::uint16_t, Protocol>;
  static Target target_of(const Packet& packet) {
    return {packet.destination, packet.destination_port, packet.protocol};
  }

  std::set<rules::Address> cluster_ips_, local_;
  std::set<Target> served_, external_;
};

/// Random states in nftables mode: the kernel does with each packet what the walk through the table says, and what the
/// walk through iptables mode's rules for the same objects says. What differs by design between the modes is left out
/// of the states (NodePorts on loopback) or expected.
void compare_modes(unsigned seed, bool ipv6, unsigned states, unsigned packets) {
  PacketNode node;
  Dice dice(seed);
  std::uint16_t next_port = 20000;
  std::set<std::string> ends;
  RandomCluster cluster(seed, 12);
  const Family family = ipv6 ? Family::kIpv6 : Family::kIpv4;
  for (unsigned state = 0; state < states; ++state) {
    agent::config::Environment environment;
    environment.node_name = "node-1";
    environment.local_addresses = node.surroundings().local;
    environment.has_nfacct = false;
    agent::config::Config config = random_config(dice);
    config.localhost_node_ports = false;
    agent::dataplane::Model chains(config, environment);
    config.mode = agent::config::Config::Mode::kNftables;
    agent::dataplane::Model elements(config, environment);
    for (int i = 0; i < 30; ++i) (void)cluster.next();
    (void)chains.apply(cluster.all());
    agent::dataplane::NetlinkKernel kernel;
    auto reconciler = agent::dataplane::Reconciler::open(elements, kernel);
    REQUIRE(reconciler);
    (*reconciler)->apply(cluster.all());
    REQUIRE_FALSE((*reconciler)->reconcile(true).failed());

    auto opened = netlink::NfTables::open();
    REQUIRE(opened);
    const auto table = netlink::walk::read_ruleset(std::make_shared<netlink::NfTables>(std::move(*opened)));
    REQUIRE(table);
    const auto ruleset = chains.dataplane(family).desired_ruleset(nullptr);
    REQUIRE(ruleset);
    const Differences differences(chains, family);
    PacketMaker maker(dice, chains, ipv6, next_port);
    for (unsigned i = 0; i < packets; ++i) {
      const Packet packet = maker.next();
      if (packet.destination.is_loopback()) continue;
      const auto walk = rules::walk::walk(*ruleset, packet, node.surroundings());
      const Fate fate = node.send(packet);
      std::string said;
      for (const auto& outcome : walk.outcomes) said += "  " + describe(outcome) + "\n";
      const auto table_walk = rules::walk::walk(*table, packet, node.surroundings());
      for (const auto& way : table_walk.outcomes) said += "  table: " + describe(way) + "\n";
      INFO("seed " << seed << ", state " << state << ", packet " << i << ": " << describe(packet));
      INFO("the walk says\n" << said << "the kernel did: " << describe(fate));
      const bool same = std::ranges::any_of(
          walk.outcomes, [&](const auto& outcome) { return agrees(outcome, fate, packet, node.surroundings()); });
      REQUIRE(std::ranges::any_of(table_walk.outcomes,
                                  [&](const auto& way) { return agrees(way, fate, packet, node.surroundings()); }));
      REQUIRE_FALSE(table_walk.cut);
      if (differences.is_unused(packet)) {
        REQUIRE(fate.kind == Fate::Kind::kRejected);
      } else if (!same) {
        REQUIRE(differences.allow(packet, fate));
      }
      ends.insert(describe(fate).substr(0, 5));
    }
  }
  // All four kinds of an end have come up, or the packets were not worth their while.
  CHECK(ends.size() == 4);
}

bool ready() {
  if (!enter_fresh_namespace()) return false;
  if (const auto missing = tunnels_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return false;
  }
  if (!run({"ip", "-V"}).ok()) {
    std::printf("SKIPPED: ip is not there\n");
    return false;
  }
  return true;
}

}  // namespace

TEST_CASE("nftables mode does what its table says, and the rules of iptables mode: IPv4") {
  if (!ready()) return;
  compare_modes(3, false, 40, 60);
}

TEST_CASE("nftables mode does what its table says, and the rules of iptables mode: IPv6") {
  if (!ready()) return;
  compare_modes(4, true, 25, 50);
}

}  // namespace kubenatd::test
