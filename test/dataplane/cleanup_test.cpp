#include "test/dataplane/sync_support.h"

namespace kubenatd::agent::test {
namespace {

std::vector<objects::ObjectEvent> objects() {
  objects::Service web = service("web", "10.96.0.1");
  web.cluster_ips.push_back(ip("fd00:10:96::1"));
  web.ports[0].node_port = 30080;
  return {put(web), put(slice("web", {"10.244.1.5", "10.244.2.7"})), put(service("idle", "10.96.0.3"))};
}

const std::vector<std::string> kForeign{
    "iptables -t nat -N OTHERS",
    "iptables -t nat -A OTHERS -d 172.17.0.2 -j RETURN",
    "iptables -t nat -A PREROUTING -d 172.17.0.0/16 -j OTHERS",
    "iptables -t nat -N KUBE-OTHERS-OWN",
    "iptables -t nat -N CNI-HOSTPORT-DNAT",
    "iptables -t nat -A OUTPUT -j CNI-HOSTPORT-DNAT",
    "iptables -A INPUT -p tcp --dport 22 -j ACCEPT",
    "iptables -A FORWARD -i docker0 -j ACCEPT",
    "iptables -P FORWARD DROP",
    "ip6tables -A FORWARD -i docker0 -j ACCEPT",
};

}  // namespace

TEST_CASE("cleaning removes what was made, and nothing else") {
  SYNC_TEST_WORLD();
  for (const std::string& command : kForeign) must_run(command);
  must_run("ip6tables -t nat -A PREROUTING -d fd00::1 -j RETURN");  // so that all tables are there before and after
  const auto tables_before = saved();
  for (const config::Config::Dispatch dispatch : {config::Config::Dispatch::kLinear, config::Config::Dispatch::kTree}) {
    {
      Agent agent(config(dispatch));
      agent.apply(objects());
    }
    CHECK(has_line(saved(), "KUBE-SERVICES"));
    const dataplane::CleanupReport report = clean();
    CHECK(report.chains > 20);
    CHECK(report.jumps > 10);
    CHECK(report.emptied.empty());
    CHECK(changed(tables_before, saved()) == "");
    // Cleaning again finds nothing and writes nothing.
    const std::uint32_t before = generation();
    CHECK(clean().chains == 0);
    CHECK(generation() == before);
  }
}

TEST_CASE("cleaning a namespace without any table is no error and makes none") {
  SYNC_TEST_WORLD();
  CHECK(clean().chains == 0);
  CHECK(must_run("nft list ruleset").empty());
}

TEST_CASE("where kubelet is, KUBE-FIREWALL and the jumps to it stay") {
  SYNC_TEST_WORLD();
  must_run("iptables -t mangle -N KUBE-KUBELET-CANARY");
  {
    Agent agent;
    agent.apply(objects());
  }
  must_run("iptables -t mangle -N KUBE-PROXY-CANARY");
  clean();
  const std::string left = saved();
  CHECK(has_line(left, ":KUBE-FIREWALL"));
  CHECK(has_line(left, "-A INPUT -j KUBE-FIREWALL"));
  CHECK(has_line(left, "-A OUTPUT -j KUBE-FIREWALL"));
  CHECK(has_line(left, ":KUBE-KUBELET-CANARY"));
  CHECK_FALSE(has_line(left, "KUBE-PROXY-CANARY"));
  CHECK_FALSE(has_line(left, "KUBE-SERVICES"));
}

TEST_CASE("a rule of others in KUBE-FIREWALL keeps it, also without kubelet's canary") {
  SYNC_TEST_WORLD();
  {
    Agent agent;
    agent.apply(objects());
  }
  must_run("iptables -A KUBE-FIREWALL -s 1.2.3.4 -j DROP");
  clean();
  const std::string left = saved();
  CHECK(has_line(left, "-A KUBE-FIREWALL -s 1.2.3.4/32 -j DROP"));
  CHECK(has_line(left, "-A INPUT -j KUBE-FIREWALL"));
  CHECK_FALSE(has_line(left, "KUBE-SERVICES"));
}

TEST_CASE("cleaning empties and names a chain that others jump to, and removes the rest") {
  SYNC_TEST_WORLD();
  {
    Agent agent;
    agent.apply(objects());
  }
  must_run("iptables -t nat -N OTHERS");
  must_run("iptables -t nat -A OTHERS -j KUBE-MARK-MASQ");
  must_run("iptables -t nat -A OTHERS -j KUBE-SERVICES");
  const dataplane::CleanupReport report = clean();
  CHECK(report.emptied == std::vector{rules::chain_ref(rules::Family::kIpv4, "nat", "KUBE-MARK-MASQ"),
                                      rules::chain_ref(rules::Family::kIpv4, "nat", "KUBE-SERVICES")});
  const std::string left = saved();
  CHECK(has_line(left, "-A OTHERS -j KUBE-SERVICES"));
  CHECK_FALSE(has_line(left, "-A KUBE-"));
  CHECK_FALSE(has_line(left, "KUBE-SVC-"));

  SECTION("a later run fills them again") {
    Agent agent;
    agent.apply(objects());
    check_no_difference(config(), objects());
  }
}

}  // namespace kubenatd::agent::test
