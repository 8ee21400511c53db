#include <unistd.h>

#include "rules/hostport/names.h"
#include "test/dataplane/sync_support.h"

// Host ports against the real nf_tables, beside others who write the same chains: iptables(8), nft(8), and the portmap
// plugin itself.
namespace kubenatd::agent::test {
namespace {

using kubenatd::test::lines_of;

objects::Pod pod(const std::string& name, const std::vector<std::string>& addresses, std::uint16_t host_port = 8080,
                 rules::Protocol protocol = rules::Protocol::kTcp) {
  objects::Pod pod;
  pod.key = {"demo", name};
  pod.node_name = "node-1";
  pod.phase = objects::Pod::Phase::kRunning;
  for (const std::string& address : addresses) pod.addresses.push_back(ip(address));
  pod.ports = {{"", protocol, 80, host_port, {}}};
  return pod;
}

objects::ObjectEvent put(const objects::Pod& pod) {
  return {objects::Kind::kPod, pod.key, std::make_shared<const objects::Object>(pod)};
}

objects::ObjectEvent remove_pod(const std::string& name) {
  return {objects::Kind::kPod, {"demo", name}, nullptr};
}

/// Lines of saved() about host ports.
std::string host_ports() {
  std::string text;
  for (const std::string& line : lines_of(saved()))
    if (has_line(line, "CNI-")) text += line + "\n";
  return text;
}

/// Takes in what the kernel announced and reconciles.
dataplane::RoundReport follow(Agent& agent) {
  REQUIRE(agent.reconciler().handle_events());
  return agent.sync();
}

constexpr const char* kPortmap = "/usr/lib/cni/portmap";

/// Runs the portmap plugin for a container, as a runtime does.
void portmap(const std::string& command, const std::string& container, const std::string& address,
             const std::string& mappings) {
  const std::string config =
      R"({"cniVersion": "0.4.0", "name": "lab", "type": "portmap", "capabilities": {"portMappings": true},)"
      R"( "runtimeConfig": {"portMappings": [)" +
      mappings +
      R"(]}, "prevResult": {"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": "/proc/self/ns/net"}],)"
      R"( "ips": [{"version": "4", "interface": 0, "address": ")" +
      address + R"("}]}})";
  must_run({"env", "CNI_COMMAND=" + command, "CNI_CONTAINERID=" + container, "CNI_NETNS=/proc/self/ns/net",
            "CNI_IFNAME=eth0", "CNI_PATH=/usr/lib/cni", kPortmap},
           config);
}

constexpr const char* kWebMapping = R"({"hostPort": 8080, "containerPort": 80, "protocol": "tcp"})";

}  // namespace

#define PORTMAP_TEST_WORLD()                                                             \
  REAL_WORLD_ONLY("the plugin itself writes");                                           \
  do {                                                                                   \
    if (::access(kPortmap, X_OK) != 0) {                                                 \
      std::printf("SKIPPED: %s is not there (containernetworking-plugins)\n", kPortmap); \
      return;                                                                            \
    }                                                                                    \
  } while (false)

TEST_CASE("host ports come, change and go with their pods") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply({});
  CHECK(host_ports().empty());

  agent.apply({put(pod("web", {"10.244.1.5", "fd00::5"}))});
  CHECK(has_line(host_ports(), "--dport 8080 -j DNAT --to-destination 10.244.1.5:80"));
  CHECK(has_line(host_ports(), "--dport 8080 -j DNAT --to-destination [fd00::5]:80"));
  check_no_difference(config(), {put(pod("web", {"10.244.1.5", "fd00::5"}))});
  const auto written = generation();
  agent.audit();
  CHECK(generation() == written);

  agent.apply({put(pod("web", {"10.244.1.6"}, 8081))});
  CHECK_FALSE(has_line(host_ports(), "8080"));
  CHECK_FALSE(has_line(host_ports(), "fd00::5"));
  check_no_difference(config(), {put(pod("web", {"10.244.1.6"}, 8081))});

  agent.apply({remove_pod("web")});
  CHECK_FALSE(has_line(host_ports(), "CNI-DN-"));
  check_no_difference(config(), {});
}

TEST_CASE("a restart takes host ports over, and takes away what is left of pods that went meanwhile") {
  SYNC_TEST_WORLD();
  const std::vector<objects::ObjectEvent> both{put(pod("web", {"10.244.1.5"})), put(pod("api", {"10.244.1.6"}, 8081))};
  {
    Agent agent;
    agent.apply(both);
  }
  const auto written = generation();
  {
    Agent agent;
    agent.apply(both);
    CHECK(generation() == written);
  }
  Agent agent;
  agent.apply({both[1]});
  CHECK_FALSE(has_line(host_ports(), "10.244.1.5"));
  CHECK(has_line(host_ports(), "10.244.1.6"));
  check_no_difference(config(), {both[1]});
}

TEST_CASE("host ports can be left to others") {
  SYNC_TEST_WORLD();
  {
    Agent agent;
    agent.apply({put(pod("web", {"10.244.1.5"}))});
  }
  config::Config off = config();
  off.host_ports = config::Config::HostPorts::kOff;
  Agent agent(off);
  agent.apply({put(pod("web", {"10.244.1.5"}))});
  CHECK_FALSE(has_line(host_ports(), "CNI-DN-"));
}

TEST_CASE("host ports are healed like everything else") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply({put(pod("web", {"10.244.1.5"}))});
  const std::string before = saved();
  const std::string chain(rules::hostport::container_chain(rules::hostport::kNetwork, "demo/web").view());
  const std::vector<std::string> damage{
      "iptables -t nat -F CNI-HOSTPORT-DNAT",
      "iptables -t nat -F CNI-HOSTPORT-SETMARK",
      "iptables -t nat -F CNI-HOSTPORT-MASQ",
      "iptables -t nat -F " + chain,
      "iptables -t nat -D " + chain + " 1",
      "iptables -t nat -A " + chain + " -j RETURN",
      "iptables -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      "iptables -t nat -D OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
      "nft flush chain ip nat POSTROUTING",
      "nft flush chain ip nat PREROUTING",
      "nft delete table ip nat",
      "nft flush ruleset",
  };
  for (const std::string& command : damage) {
    INFO(command);
    must_run(command);
    CHECK(saved() != before);
    follow(agent);
    // KUBE-POSTROUTING and the jump for masquerading have no order between them.
    CHECK(changed(before, saved()).find("CNI-DN") == std::string::npos);
    check_no_difference(config(), {put(pod("web", {"10.244.1.5"}))});
  }
}

TEST_CASE("a chain whose entry somebody took away is still known as ours") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply({put(pod("web", {"10.244.1.5"}))});
  must_run("iptables -t nat -F CNI-HOSTPORT-DNAT");
  REQUIRE(agent.reconciler().handle_events());
  agent.apply({remove_pod("web")});
  CHECK_FALSE(has_line(host_ports(), "CNI-DN-"));
}

TEST_CASE("chains and rules of others stay, whatever happens to ours") {
  SYNC_TEST_WORLD();
  for (const char* command :
       {"iptables -t nat -N CNI-HOSTPORT-DNAT", "iptables -t nat -N CNI-DN-67e92b96e692a494b6b85",
        "iptables -t nat -A CNI-DN-67e92b96e692a494b6b85 -p tcp --dport 9000 -j DNAT --to-destination 10.9.9.9:80",
        "iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 9000 -j CNI-DN-67e92b96e692a494b6b85",
        "iptables -t nat -N CNI-DN-aaaaaaaaaaaaaaaaaaaaa", "iptables -t nat -N CNI-HOSTPORT-SETMARK",
        "iptables -t nat -A CNI-HOSTPORT-SETMARK -j MARK --set-xmark 0x8000/0x8000"})
    must_run(command);
  const std::string foreign = host_ports();
  const auto check_foreign = [&] {
    const std::string now = host_ports();
    for (const std::string& line : lines_of(foreign)) {
      INFO(line);
      CHECK(has_line(now, line));
    }
  };
  Agent agent;
  agent.apply({put(pod("web", {"10.244.1.5"}))});
  check_foreign();
  must_run("iptables -t nat -A CNI-DN-aaaaaaaaaaaaaaaaaaaaa -p udp --dport 1 -j RETURN");
  must_run("iptables -t nat -D CNI-DN-aaaaaaaaaaaaaaaaaaaaa 1");
  follow(agent);
  check_foreign();
  agent.audit();
  check_foreign();
  agent.apply({remove_pod("web")});
  check_foreign();
  agent.apply({put(pod("web", {"10.244.1.5"}))});
  clean();
  check_foreign();
  CHECK_FALSE(has_line(host_ports(), "kubenatd"));
}

TEST_CASE("cleaning takes host ports away") {
  SYNC_TEST_WORLD();
  {
    Agent agent;
    agent.apply({put(pod("web", {"10.244.1.5", "fd00::5"}))});
  }
  CHECK(clean().emptied.empty());
  CHECK(host_ports().empty());
}

TEST_CASE("a port that somebody's chain serves is withheld until that goes") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply({put(pod("web", {"10.244.1.5"}))});
  const std::string ours = host_ports();
  must_run("iptables -t nat -N CNI-DN-67e92b96e692a494b6b85");
  must_run(
      "iptables -t nat -A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080,8081 -j CNI-DN-67e92b96e692a494b6b85");
  // Nothing is translated there yet.
  CHECK(remarks_of(follow(agent)).empty());
  must_run("iptables -t nat -A CNI-DN-67e92b96e692a494b6b85 -p tcp --dport 8080 -j DNAT --to-destination 10.9.9.9:80");
  CHECK(remarks_of(follow(agent)) ==
        std::vector<std::string>{
            "Pod demo/web: hostPort 8080/tcp is withheld: chain CNI-DN-67e92b96e692a494b6b85 serves it already"});
  CHECK_FALSE(has_line(host_ports(), "10.244.1.5"));
  {
    // A new start comes to the same.
    Agent again;
    again.apply({put(pod("web", {"10.244.1.5"}))});
    CHECK_FALSE(has_line(host_ports(), "10.244.1.5"));
  }
  check_no_difference(config(), {put(pod("web", {"10.244.1.5"}))});
  must_run("iptables -t nat -D CNI-HOSTPORT-DNAT 1");
  must_run("iptables -t nat -F CNI-DN-67e92b96e692a494b6b85");
  must_run("iptables -t nat -X CNI-DN-67e92b96e692a494b6b85");
  CHECK(remarks_of(follow(agent)) == std::vector<std::string>{"Pod demo/web: hostPort 8080/tcp is no longer withheld"});
  CHECK(changed(ours, host_ports()) == "");
}

TEST_CASE("a port in the portmap plugin's own table is withheld until that goes") {
  SYNC_TEST_WORLD();
  objects::Pod web = pod("web", {"10.244.1.5", "fd00::5"});
  web.ports.push_back({"", rules::Protocol::kUdp, 53, 8053, {}});
  web.ports.push_back({"", rules::Protocol::kTcp, 443, 8443, ip("192.168.77.2")});
  Agent agent;
  agent.apply({put(web)});
  const std::string ours = host_ports();
  must_run({"nft", "-f", "-"}, R"(
add table ip cni_hostport
add chain ip cni_hostport hostports
add rule ip cni_hostport hostports tcp dport 8080 dnat to 10.9.9.9:80 comment "0123"
add rule ip cni_hostport hostports ip protocol udp th dport 8053 dnat ip addr . port to 10.9.9.9 . 53 comment "0123"
add rule ip cni_hostport hostports ip daddr 192.168.77.3 tcp dport 8443 dnat to 10.9.9.9:443 comment "0123"
add rule ip cni_hostport hostports tcp dport 9999 accept
add chain ip cni_hostport prerouting { type nat hook prerouting priority dstnat; }
add rule ip cni_hostport prerouting fib daddr type local jump hostports
add table ip6 cni_hostport
add chain ip6 cni_hostport hostports
add rule ip6 cni_hostport hostports ip6 daddr fd00:77::2 udp dport 8053 dnat to [fd00::9]:53 comment "0123"
)");
  const auto remarks = remarks_of(follow(agent));
  CHECK(remarks ==
        std::vector<std::string>{"Pod demo/web: hostPort 8053/udp is withheld: table cni_hostport serves it already",
                                 "Pod demo/web: hostPort 8080/tcp is withheld: table cni_hostport serves it already",
                                 "Pod demo/web: hostPort 8053/udp is withheld: table cni_hostport serves it already"});
  CHECK_FALSE(has_line(host_ports(), "10.244.1.5:80 "));
  CHECK(has_line(host_ports(), "-d 192.168.77.2/32 -p tcp -m tcp --dport 8443 -j DNAT"));
  CHECK(has_line(host_ports(), "--dport 8080 -j DNAT --to-destination [fd00::5]:80"));
  check_no_difference(config(), {put(web)});
  must_run("nft delete table ip cni_hostport");
  must_run("nft delete table ip6 cni_hostport");
  CHECK(remarks_of(follow(agent)).size() == 3);
  CHECK(changed(ours, host_ports()) == "");
}

TEST_CASE("the rules are those that the portmap plugin writes", "[real]") {
  PORTMAP_TEST_WORLD();
  // Both write for a pod with one address and the same name and id; only then are the names of the chains the same.
  objects::Pod web = pod("web", {"10.244.1.5"});
  web.ports.push_back({"", rules::Protocol::kUdp, 53, 8053, ip("192.168.77.2")});
  for (std::uint16_t port = 9001; port <= 9020; ++port) web.ports.push_back({"", rules::Protocol::kTcp, 81, port, {}});
  std::string mappings = std::string(kWebMapping) +
                         R"(, {"hostPort": 8053, "containerPort": 53, "protocol": "udp", "hostIP": "192.168.77.2"})";
  for (int port = 9001; port <= 9020; ++port)
    mappings += ", {\"hostPort\": " + std::to_string(port) + R"(, "containerPort": 81, "protocol": "tcp"})";
  std::string theirs;
  {
    Agent agent;
    agent.apply({});
    portmap("ADD", "0123456789abcdef", "10.244.1.5/32", mappings);
    theirs = host_ports();
    portmap("DEL", "0123456789abcdef", "10.244.1.5/32", mappings);
    agent.apply({put(web)});
  }
  const auto replace = [](std::string& text, const std::string& from, const std::string& to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
  };
  replace(theirs, std::string(rules::hostport::container_chain("lab", "0123456789abcdef").view()), "CNI-DN-X");
  std::string ours = host_ports();
  replace(ours, std::string(rules::hostport::container_chain("kubenatd", "demo/web").view()), "CNI-DN-X");
  replace(theirs, R"(name: \"lab\" id: \"0123456789abcdef\")", R"(name: \"kubenatd\" id: \"demo/web\")");
  CHECK(changed(theirs, ours) == "");
}

TEST_CASE("the portmap plugin and kubenatd serve side by side", "[real]") {
  PORTMAP_TEST_WORLD();
  Agent agent;
  agent.apply({put(pod("other", {"10.244.1.6"}, 9090))});
  // The plugin serves the pod before kubenatd hears of it.
  portmap("ADD", "c1", "10.244.1.5/24", kWebMapping);
  const std::string plugins(rules::hostport::container_chain("lab", "c1").view());
  const std::string foreign = "-A " + plugins;
  follow(agent);
  const dataplane::RoundReport report = agent.apply({put(pod("web", {"10.244.1.5"}))});
  REQUIRE(remarks_of(report).size() == 1);
  CHECK(has_line(remarks_of(report).front(), "is withheld: chain " + plugins + " (dnat name: \"lab\" id: \"c1\")"));
  CHECK_FALSE(has_line(host_ports(), "id: \\\"demo/web\\\""));
  CHECK(has_line(host_ports(), "id: \\\"demo/other\\\""));
  CHECK(has_line(host_ports(), foreign));

  // Ours is healed, the plugin's is left to the plugin.
  must_run("iptables -t nat -F CNI-HOSTPORT-DNAT");
  follow(agent);
  CHECK(has_line(host_ports(), "id: \\\"demo/other\\\""));
  CHECK(has_line(host_ports(), "id: \\\"demo/web\\\""));
  CHECK(has_line(host_ports(), foreign));

  // The plugin comes back, and goes for good.
  portmap("ADD", "c1", "10.244.1.5/24", kWebMapping);
  follow(agent);
  CHECK_FALSE(has_line(host_ports(), "id: \\\"demo/web\\\""));
  portmap("DEL", "c1", "10.244.1.5/24", kWebMapping);
  follow(agent);
  CHECK(has_line(host_ports(), "id: \\\"demo/web\\\""));
  CHECK_FALSE(has_line(host_ports(), plugins));
  check_no_difference(config(), {put(pod("other", {"10.244.1.6"}, 9090)), put(pod("web", {"10.244.1.5"}))});
}

}  // namespace kubenatd::agent::test
