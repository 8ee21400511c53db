#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "test/packet/fast_path.h"

/// The devices of the fast path: tunnels, ports of a VRF, those that come and go.
namespace kubenatd::test {
namespace {

/// A tunnel between the node (10.99.0.1) and the client (10.99.0.2), on both as tun0, with an MTU that every kind has.
void lay_tunnel(const Lab& lab, const std::string& kind) {
  struct End {
    const Namespace& where;
    std::string own, other, address, key;
  };
  std::vector<End> ends{{lab.node, kNode, kClient, "10.99.0.1", {}}, {lab.client, kClient, kNode, "10.99.0.2", {}}};
  const bool encrypted = kind == "wireguard";
  for (End& end : ends) {
    std::string rest;
    if (!encrypted) rest = fmt::format("local {} remote {}", end.own, end.other);
    if (kind == "vxlan") rest += " id 7 dstport 4789 dev eth0";
    must_run_in(end.where, {"ip", "-batch", "-"},
                fmt::format("link add tun0 type {} {}\nlink set tun0 mtu 1400 up\naddr add {}/24 dev tun0\n", kind,
                            rest, end.address));
    if (encrypted) end.key = must_run_in(end.where, {"wg", "genkey"});
  }
  if (!encrypted) return;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const End& own = ends.at(i);
    std::string peer = must_run_in(own.where, {"wg", "pubkey"}, ends.at(1 - i).key);
    peer.pop_back();
    must_run_in(own.where,
                {"wg", "set", "tun0", "private-key", "/dev/stdin", "listen-port", "51820", "peer", peer, "allowed-ips",
                 "10.0.0.0/8", "endpoint", own.other + ":51820"},
                own.key);
  }
}

TEST_CASE("What a tunnel carries takes the fast path", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  const std::string kind = GENERATE("vxlan", "ipip", "gre", "wireguard");
  const bool inwards = GENERATE(true, false);
  INFO(kind << (inwards ? " from the tunnel to a pod" : " from a pod into the tunnel"));
  lay_tunnel(lab, kind);
  must_run_in(lab.client, {"ip", "route", "replace", "10.96.0.0/16", "via", "10.99.0.1"});
  must_run_in(lab.client, {"ip", "route", "add", "10.244.1.0/24", "via", "10.99.0.1"});
  const EchoServer beyond(lab.client, "beyond", kPodPorts, "10.99.0.2");
  manifests.put(kWeb, ready({inwards ? kPodA : "10.99.0.2"}));
  const FastAgent agent(lab, manifests, {"--fast-path", "auto"});
  agent.apply();
  CHECK(table_of(lab.node).find("devices = eth0 tun0 vetha vethb\n") != std::string::npos);
  const Witness witness(lab.node);
  Conversation conversation(inwards ? lab.client : lab.pod_b, Transport::kTcp, kClusterIp, 80);
  const std::string by = inwards ? "pod-a" : "beyond";
  ask_many(conversation, by);
  CHECK(offloaded(lab.node) == 1);
  const std::string before = witness.seen();
  ask_many(conversation, by, 40);
  CHECK(conversation.ask().source == (inwards ? kPodGateway : kPodB));
  CHECK(witness.seen() == before);
  // The tunnel goes, and comes again: the connection goes on.
  must_run_in(lab.node, {"ip", "link", "set", "tun0", "down"});
  agent.apply();
  CHECK(table_of(lab.node).find("tun0") == std::string::npos);
  must_run_in(lab.node, {"ip", "link", "set", "tun0", "up"});
  agent.apply();
  ask_many(conversation, by);
  CHECK(offloaded(lab.node) == 1);
}

/// Answers bytes one by one, then takes a megabyte and sends one.
constexpr const char* kLargeServer = R"(
import socket
server = socket.create_server(('', 8099))
print('listens', flush=True)
peer, _ = server.accept()
for _ in range(30): peer.sendall(peer.recv(1))
left = 1000000
while left > 0:
    got = len(peer.recv(65536))
    if got == 0: raise SystemExit('cut')
    left -= got
peer.sendall(bytes(1000000))
peer.recv(1)
)";
constexpr const char* kLargeClient = R"(
import socket, time
peer = socket.create_connection(('10.96.0.10', 80), 30)
for _ in range(30):
    peer.sendall(b'x')
    peer.recv(1)
peer.sendall(bytes(1000000))
left = 1000000
while left > 0:
    got = len(peer.recv(65536))
    if got == 0: raise SystemExit('cut')
    left -= got
print('all', flush=True)
time.sleep(60)
)";

TEST_CASE("On the fast path a sender is told what is too large for a tunnel", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  const std::string kind = GENERATE("vxlan", "ipip", "wireguard");
  INFO(kind);
  lay_tunnel(lab, kind);
  must_run_in(lab.client, {"ip", "route", "add", "10.244.1.0/24", "via", "10.99.0.1"});
  ServiceSpec large = kWeb;
  large.ports = {PortSpec{.target = 8099}};
  manifests.put(large, ready({"10.99.0.2"}));
  FastAgent(lab, manifests, {"--fast-path", "auto"}).apply();
  Child server({"python3", "-c", kLargeServer}, {.namespace_fd = lab.client.fd(), .input = {}, .uid = {}});
  REQUIRE(eventually([&] { return server.out().find("listens") != std::string::npos; }));
  Child client({"python3", "-c", kLargeClient}, {.namespace_fd = lab.pod_b.fd(), .input = {}, .uid = {}});
  const bool came = eventually([&] { return client.out().find("all") != std::string::npos; });
  INFO(server.err() << client.err());
  CHECK(came);
  CHECK(offloaded(lab.node) == 1);
}

TEST_CASE("Between the ports of a VRF connections take the fast path", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  must_run_in(
      lab.node, {"ip", "-batch", "-"},
      fmt::format("link add red0 type vrf table 10\nlink set red0 up\nlink set vetha master red0\n"
                  "link set vethb master red0\nroute replace {0}/32 dev vetha src {2} table 10\n"
                  "route replace {1}/32 dev vethb src {2} table 10\nroute add default via 192.168.77.1 dev eth0 "
                  "table 10\n",
                  kPodA, kPodB, kPodGateway));
  REQUIRE(ask(lab.pod_b, Transport::kTcp, kPodA, 8080).by == "pod-a");
  FastAgent(lab, manifests, {"--fast-path", "auto"}).apply();
  CHECK(table_of(lab.node).find("devices = eth0 red0 vetha vethb\n") != std::string::npos);
  const Witness witness(lab.node);
  Conversation conversation(lab.pod_b, Transport::kTcp, kClusterIp, 80);
  ask_many(conversation, "pod-a");
  CHECK(offloaded(lab.node) == 1);
  const std::string before = witness.seen();
  ask_many(conversation, "pod-a", 40);
  CHECK(conversation.ask().source == kPodB);
  CHECK(witness.seen() == before);
}

TEST_CASE("Devices of the fast path are followed, and what others do to it is healed", "[nftables][flowtable]") {
  KUBENATD_NEEDS_NAMESPACES();
  KUBENATD_NEEDS_FLOWTABLES();
  const Lab lab;
  const Manifests manifests;
  manifests.put(kWeb, ready({kPodA}));
  const FastAgent agent(lab, manifests, {"--fast-path", "auto", "--own-table", "off"});
  agent.apply();
  const std::string first = table_of(lab.node);
  CHECK(first.find("devices = eth0 vetha vethb\n") != std::string::npos);
  auto daemon = agent.start();
  const auto has = [&](const std::string& text) { return table_of(lab.node).find(text) != std::string::npos; };
  must_run_in(lab.node, {"ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1"});
  must_run_in(lab.node, {"ip", "link", "set", "late0", "up"});
  CHECK(eventually([&] { return has("late0"); }));
  CHECK_FALSE(has("late1"));  // is down
  // Ports of a bridge do not route; their bridge does.
  must_run_in(lab.node, {"ip", "link", "add", "cni0", "type", "bridge"});
  must_run_in(lab.node, {"ip", "link", "set", "cni0", "up"});
  must_run_in(lab.node, {"ip", "link", "set", "late0", "master", "cni0"});
  CHECK(eventually([&] { return has("cni0") && !has("late0"); }));
  for (int i = 0; i < 5; ++i) {
    must_run_in(lab.node, {"ip", "link", "del", "late0"});
    must_run_in(lab.node, {"ip", "link", "add", "late0", "type", "veth", "peer", "name", "late1"});
    must_run_in(lab.node, {"ip", "link", "set", "late0", "up"});
  }
  CHECK(eventually([&] { return has("late0"); }));
  must_run_in(lab.node, {"ip", "link", "del", "late0"});
  must_run_in(lab.node, {"ip", "link", "del", "cni0"});
  CHECK(eventually([&] { return table_of(lab.node) == first; }));

  const auto damage = [&](const std::string& command) {
    INFO("after: nft " << command);
    must_run_in(lab.node, {"nft", "-f", "-"}, command + "\n");
    CHECK(eventually([&] { return table_of(lab.node) == first; }));
    CHECK(agent.invoke(agent.command("diff")).status == 0);
  };
  damage("delete flowtable ip kubenatd fast-path { hook ingress priority 0; devices = { vetha }; }");
  damage("flush chain ip kubenatd fast-path\ndelete flowtable ip kubenatd fast-path");
  damage("flush chain ip kubenatd filter-forward-fast-path");
  damage("add flowtable ip kubenatd more { hook ingress priority 0; }");
  damage("flush ruleset");
  CHECK(daemon.running());

  Conversation conversation(lab.pod_b, Transport::kTcp, kClusterIp, 80);
  ask_many(conversation, "pod-a");
  CHECK(offloaded(lab.node) == 1);
}

}  // namespace
}  // namespace kubenatd::test
