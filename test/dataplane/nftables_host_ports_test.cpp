#include "test/dataplane/sync_support.h"

// Host ports in nftables mode: elements, beside those of the portmap plugin.
namespace kubenatd::agent::test {
namespace {

objects::ObjectEvent put_pod(const std::string& name, const std::string& address, std::uint16_t host_port,
                             const std::string& host_ip = {}) {
  objects::Pod pod;
  pod.key = {"demo", name};
  pod.node_name = "node-1";
  pod.phase = objects::Pod::Phase::kRunning;
  pod.addresses = {ip(address)};
  pod.ports = {{"", rules::Protocol::kTcp, 80, host_port, {}}};
  if (!host_ip.empty()) pod.ports.front().host_ip = ip(host_ip);
  return {objects::Kind::kPod, pod.key, std::make_shared<const objects::Object>(pod)};
}

std::string listed(const std::string& set) {
  return must_run({"nft", "list", "map", "ip", "kubenatd", set});
}

dataplane::RoundReport follow(Agent& agent) {
  REQUIRE(agent.reconciler().handle_events());
  return agent.sync();
}

}  // namespace

TEST_CASE("host ports come, change and go as elements in nftables mode") {
  SYNC_TEST_WORLD();
  Agent agent(nftables_config());
  agent.apply({put_pod("web", "10.244.1.5", 8080), put_pod("api", "10.244.1.6", 8443, "192.168.77.2")});
  CHECK(has_line(listed("hostports"), "tcp . 8080 comment \"Pod demo/web\" : 10.244.1.5 . 80"));
  CHECK(has_line(listed("hostip-hostports"), "192.168.77.2 . tcp . 8443 comment \"Pod demo/api\" : 10.244.1.6 . 80"));
  CHECK_FALSE(agent.audit().wrote());
  {
    Agent again(nftables_config());
    CHECK_FALSE(
        again.apply({put_pod("web", "10.244.1.5", 8080), put_pod("api", "10.244.1.6", 8443, "192.168.77.2")}).wrote());
  }
  must_run("nft delete element ip kubenatd hostports { tcp . 8080 }");
  CHECK(follow(agent).wrote());
  agent.apply({put_pod("web", "10.244.1.7", 8081)});
  CHECK(has_line(listed("hostports"), "tcp . 8081 comment \"Pod demo/web\" : 10.244.1.7 . 80"));
  CHECK_FALSE(has_line(listed("hostports"), "8080"));
  agent.apply({{objects::Kind::kPod, {"demo", "web"}, nullptr}, {objects::Kind::kPod, {"demo", "api"}, nullptr}});
  CHECK_FALSE(has_line(must_run("nft list ruleset"), "10.244.1."));
}

TEST_CASE("a host port that others serve is withheld in nftables mode until they let go of it") {
  SYNC_TEST_WORLD();
  SECTION("in the portmap plugin's own table") {
    must_run("nft add table ip cni_hostport");
    must_run("nft add chain ip cni_hostport hostports");
    Agent agent(nftables_config());
    agent.apply({put_pod("web", "10.244.1.5", 8080)});
    CHECK(has_line(listed("hostports"), "8080"));
    must_run("nft add rule ip cni_hostport hostports tcp dport 8080 dnat to 10.244.9.9:80");
    const auto said = remarks_of(follow(agent));
    REQUIRE(said.size() == 1);
    CHECK(said.front() == "Pod demo/web: hostPort 8080/tcp is withheld: table cni_hostport serves it already");
    CHECK_FALSE(has_line(listed("hostports"), "8080"));
    must_run("nft delete table ip cni_hostport");
    CHECK(remarks_of(follow(agent)).size() == 1);
    CHECK(has_line(listed("hostports"), "8080"));
  }
  SECTION("in its chains of iptables") {
    must_run("iptables -t nat -N CNI-HOSTPORT-DNAT");
    must_run("iptables -t nat -N CNI-DN-1");
    must_run("iptables -t nat -A CNI-DN-1 -p tcp --dport 8080 -j DNAT --to-destination 10.244.9.9:80");
    must_run("iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080 -j CNI-DN-1");
    Agent agent(nftables_config());
    CHECK(remarks_of(agent.apply({put_pod("web", "10.244.1.5", 8080)})).size() == 1);
    CHECK_FALSE(has_line(listed("hostports"), "8080"));
    must_run("iptables -t nat -F CNI-HOSTPORT-DNAT");
    CHECK(remarks_of(follow(agent)).size() == 1);
    CHECK(has_line(listed("hostports"), "8080"));
  }
}

}  // namespace kubenatd::agent::test
