#include <catch2/catch.hpp>
#include <cstdio>

#include "test/cli/cli_support.h"
#include "test/support/places.h"

/// Commands that read or change the kernel's rules.
namespace kubenatd::test {
namespace {

TEST_CASE("diff exits 0 when live and desired are equal, 1 and the rules when they are not") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  const Agent agent(bare.node, manifests);

  const auto empty = agent.invoke(agent.command("diff"));
  INFO(empty.describe());
  CHECK(empty.status == 1);
  CHECK(empty.out.find("KUBE-SERVICES") != std::string::npos);
  const auto generation = nf_tables_generation(bare.node);

  agent.apply();
  CHECK(agent.invoke(agent.command("diff")).status == 0);
  must_run_in(bare.node, {"iptables", "-t", "nat", "-I", "KUBE-SERVICES", "-d", "192.0.2.7", "-j", "RETURN"});
  const auto stray = agent.invoke(agent.command("diff"));
  INFO(stray.describe());
  CHECK(stray.status == 1);
  CHECK(stray.out.find("192.0.2.7") != std::string::npos);
  CHECK(has_rule(bare.node, "192.0.2.7"));  // it only looks
  must_run_in(bare.node, {"iptables", "-t", "nat", "-D", "KUBE-SERVICES", "1"});
  must_run_in(bare.node, {"iptables", "-A", "FORWARD", "-s", "192.0.2.8", "-j", "ACCEPT"});
  CHECK(agent.invoke(agent.command("diff")).status == 0);  // a rule of others is no difference
  CHECK(nf_tables_generation(bare.node) > generation);
}

TEST_CASE("diff and a first look write nothing") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  const Agent agent(bare.node, manifests);
  const auto generation = nf_tables_generation(bare.node);
  static_cast<void>(agent.invoke(agent.command("diff")));
  static_cast<void>(agent.invoke(agent.command("render")));
  CHECK(nf_tables_generation(bare.node) == generation);
}

TEST_CASE("check --node says what this node can do, a line each and as JSON, and leaves nothing") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const auto generation = nf_tables_generation(bare.node);
  const auto both = run_in(bare.node, {program(), "check", "--node"});
  INFO(both.describe());
  CHECK(both.status == 0);
  CHECK(both.err.empty());
  CHECK(both.out.starts_with("kernel   "));
  CHECK(both.out.find("\nyes      nftables ipv4 numgen\n") != std::string::npos);
  CHECK(both.out.find("\nyes      iptables ipv6 target DNAT\n") != std::string::npos);
  CHECK(both.out.ends_with("mode iptables: can run here\nmode nftables: can run here\n"));
  for (const std::string& line : lines_of(both.out)) {
    INFO(line);
    const bool known = line.starts_with("kernel   ") || line.starts_with("yes      ") ||
                       line.starts_with("warning  ") || line.starts_with("unknown  ") || line.starts_with("mode ");
    CHECK(known);
  }
  const auto one = run_in(bare.node, {program(), "check", "--node", "--proxy-mode=nftables", "-o", "json"});
  INFO(one.describe());
  CHECK(one.status == 0);
  CHECK(one.out.find("\"findings\": [") != std::string::npos);
  CHECK(one.out.find("\"mode\": \"nftables\"") != std::string::npos);
  CHECK(one.out.find("\"mode\": \"iptables\"") == std::string::npos);
  CHECK(nf_tables_generation(bare.node) == generation);
  CHECK(must_run_in(bare.node, {"nft", "list", "ruleset"}).empty());
}

TEST_CASE("check --node by somebody without rights says so and exits 3") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const TempFolder folder;
  ProcessOptions options;
  options.namespace_fd = bare.node.fd();
  options.uid = kNobody;
  const auto result = run({install_binary(folder), "check", "--node"}, options);
  INFO(result.describe());
  CHECK(result.status == 3);
  CHECK(result.out.find("unknown  CAP_NET_ADMIN: this process does not have it") != std::string::npos);
  CHECK(result.out.find("unknown  nftables ipv6 nf_tables: nothing can be tried out") != std::string::npos);
  CHECK(result.out.ends_with("mode nftables: it could not be found out\n"));
}

TEST_CASE("check --node names what another proxy left") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  must_run_in(bare.node, {"nft", "add", "table", "ip", "kube-proxy"});
  must_run_in(bare.node, {"iptables", "-t", "nat", "-N", "KUBE-SERVICES"});
  const auto result = run_in(bare.node, {program(), "check", "--node", "--proxy-mode", "nftables"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(result.out.find("warning  kube-proxy-tables: ip kube-proxy, of kube-proxy in nftables mode") !=
        std::string::npos);
  CHECK(result.out.find("other-mode: ip nat KUBE-SERVICES is there") != std::string::npos);
}

TEST_CASE("cleanup takes away what kubenatd made, twice without complaint") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA, kPodA6}));
  Agent agent(bare.node, manifests);
  SECTION("linear") {
    agent.extra_arguments = {"--dispatch", "linear"};
  }
  SECTION("tree") {
    agent.extra_arguments = {"--dispatch", "tree"};
  }
  must_run_in(bare.node, {"iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "172.17.0.0/16", "-j", "MASQUERADE"});
  const auto before = saved_rules(bare.node);
  agent.apply();
  REQUIRE(has_rule(bare.node, "KUBE-SVC-"));

  for (int i = 0; i < 2; ++i) {
    const auto result = agent.invoke({"cleanup"});
    INFO(result.describe());
    CHECK(result.status == 0);
  }
  // KUBE-FIREWALL is kubelet's too and may stay.
  std::string after;
  for (const auto& line : lines_of(saved_rules(bare.node))) {
    if (line.find("KUBE-FIREWALL") == std::string::npos) after += line + "\n";
  }
  INFO(after);
  CHECK(after.find("KUBE-") == std::string::npos);
  CHECK(after.find("-A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE") != std::string::npos);
  for (const auto& line : lines_of(saved_rules(bare.node, true))) {
    INFO(line);
    CHECK((line.find("KUBE-") == std::string::npos || line.find("KUBE-FIREWALL") != std::string::npos));
  }
}

TEST_CASE("cleanup leaves route_localnet and names where it is set") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  const auto tells = [&](const std::string& what) {
    const auto result = agent.invoke({"cleanup"});
    INFO(result.describe());
    CHECK(result.status == 0);
    return result.err.find(what) != std::string::npos;
  };
  // A new namespace has those of the first one (devconf_inherit_init_net).
  for (const char* kind : {"all", "default"})
    set_sysctl(bare.node, std::string("net/ipv4/conf/") + kind + "/route_localnet", "0");
  CHECK_FALSE(tells("route_localnet"));
  must_run_in(bare.node, {"ip", "link", "add", "left", "type", "veth", "peer", "name", "right"});
  set_sysctl(bare.node, "net/ipv4/conf/left/route_localnet", "1");
  CHECK(tells("interfaces=left "));
  set_sysctl(bare.node, "net/ipv4/conf/all/route_localnet", "1");
  CHECK(tells("interfaces=all "));
  CHECK(get_sysctl(bare.node, "net/ipv4/conf/left/route_localnet") == "1");
  CHECK(get_sysctl(bare.node, "net/ipv4/conf/all/route_localnet") == "1");
}

TEST_CASE("cleanup takes away what kube-proxy made") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  must_run_in(bare.node, {"iptables-restore"},
              "*mangle\n:KUBE-PROXY-CANARY - [0:0]\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n"
              "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-PROXY-CANARY - [0:0]\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n"
              ":KUBE-SEP-AAAAAAAAAAAAAAAA - [0:0]\n"
              "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
              "-A KUBE-SERVICES -d 10.96.0.9/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-AAAAAAAAAAAAAAAA\n"
              "-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-AAAAAAAAAAAAAAAA\n"
              "-A KUBE-SEP-AAAAAAAAAAAAAAAA -p tcp -m tcp -j DNAT --to-destination 10.244.1.5:80\nCOMMIT\n");
  const auto result = agent.invoke({"cleanup"});
  INFO(result.describe());
  CHECK(result.status == 0);
  const auto all = must_run_in(bare.node, {"iptables-save"});
  INFO(all);
  for (const auto* gone : {"KUBE-SERVICES", "KUBE-SVC-", "KUBE-SEP-", "KUBE-PROXY-CANARY"}) {
    CHECK(all.find(gone) == std::string::npos);
  }
  CHECK(all.find("KUBE-KUBELET-CANARY") != std::string::npos);
}

TEST_CASE("run without rights fails with a reason and no crash") {
  if (::geteuid() != 0) {
    std::puts("SKIPPED: no rights: only root can drop its rights here");
    return;
  }
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  const TempFolder folder;
  ProcessOptions options;
  options.namespace_fd = bare.node.fd();
  options.uid = kNobody;
  const auto result =
      run({install_binary(folder), "run", "--manifests", manifests.path(), "--hostname-override", "node-1", "--once"},
          options);
  INFO(result.describe());
  CHECK(result.status == 1);
  CHECK(result.err.find("ermi") != std::string::npos);  // "Operation not permitted", "permission denied"
}

TEST_CASE("field F12: run warns once when objects know this node by another name") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  ProcessOptions options;
  options.namespace_fd = bare.node.fd();
  const auto warnings = [&](const std::string& name) {
    const auto result =
        run({program(), "run", "--manifests", project_file("test/field/F12"), "--hostname-override", name, "--once"},
            options);
    INFO(result.describe());
    CHECK(result.status == 0);
    std::size_t count = 0;
    constexpr std::string_view kWarning = "no Node, Pod or endpoint has this node's name";
    for (auto at = result.err.find(kWarning); at != std::string::npos; at = result.err.find(kWarning, at + 1)) ++count;
    if (count > 0) CHECK(result.err.find("worker-1.example.internal") != std::string::npos);
    return count;
  };
  CHECK(warnings("worker-1") == 1);
  CHECK(warnings("Worker-1.Example.INTERNAL") == 0);
}

TEST_CASE("kubenatd runs no other program") {
  KUBENATD_NEEDS_NAMESPACES();
  if (run({"strace", "-V"}).status != 0) {
    std::puts("SKIPPED: strace is not installed");
    return;
  }
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  const TempFolder folder;
  const auto traced = run_in(
      bare.node, {"strace", "-f", "-e", "trace=execve,execveat,fork,vfork", "-o", (folder.path() / "trace").string(),
                  program(), "run", "--manifests", manifests.path(), "--hostname-override", "node-1", "--once"});
  INFO(traced.describe());
  CHECK(traced.ok());
  const auto trace = read_file(folder.path() / "trace");
  INFO(trace);
  int calls = 0;
  for (const auto& line : lines_of(trace)) {
    if (line.find("exec") != std::string::npos || line.find("fork(") != std::string::npos) ++calls;
  }
  CHECK(calls == 1);  // strace starting kubenatd itself
}

}  // namespace
}  // namespace kubenatd::test
