#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "test/support/cluster.h"
#include "test/support/lab.h"

/// The command line as other tools call it.
namespace kubenatd::test {
namespace {

constexpr uid_t kNobody = 65534;

ProcessResult kubenatd(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), KUBENATD_BINARY);
  return run(arguments);
}

ServiceSpec web_service() {
  return {.name = "web",
          .cluster_ips = {"10.96.0.10", "fd00:10:96::10"},
          .ports = {PortSpec{.node_port = 30080}},
          .type = "NodePort"};
}

/// `render` as somebody without any rights, on this host.
ProcessResult render_as_nobody(const Manifests& manifests, const std::vector<std::string>& more) {
  const TempFolder folder;
  std::vector<std::string> arguments{install_binary(folder), "render", "--manifests", manifests.path(),
                                     "--hostname-override",  "node-1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  ProcessOptions options;
  if (::geteuid() == 0) options.uid = kNobody;
  return run(arguments, options);
}

TEST_CASE("The flag --help teaches every command and exits 0") {
  const auto all = kubenatd({"--help"});
  INFO(all.describe());
  CHECK(all.status == 0);
  for (const auto* word : {"run", "render", "diff", "cleanup", "version"}) {
    INFO(word);
    CHECK(all.out.find(word) != std::string::npos);
  }
  for (const auto* command : {"run", "render", "diff", "cleanup", "version"}) {
    const auto help = kubenatd({command, "--help"});
    INFO(command << ": " << help.describe());
    CHECK(help.status == 0);
    CHECK(help.out.size() > 40);
  }
  const auto run_help = kubenatd({"run", "--help"});
  for (const auto* flag : {"--manifests", "--config", "--hostname-override", "--once"}) {
    INFO(flag);
    CHECK(run_help.out.find(flag) != std::string::npos);
  }
}

TEST_CASE("version names the program and its version") {
  const auto result = kubenatd({"version"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(result.out.find(KUBENATD_VERSION) != std::string::npos);
}

TEST_CASE("Bad usage exits 2 with a line that says what is wrong") {
  const std::vector<std::vector<std::string>> bad{
      {},
      {"fly"},
      {"run", "--manifests"},
      {"run", "--manifests", "/tmp", "--no-such-flag"},
      {"run", "--manifests", "/tmp", "stray"},
      {"render", "--manifests", "/tmp", "--family", "ipx"},
      {"run", "--manifests", "/tmp", "--dispatch", "bush"},
      {"run", "--manifests=/tmp", "--once", "true"},
      {"run", "--manifests="},
      {"cleanup", "--no-such-flag"},
      {"cleanup", "stray"},
      {"check", "--conntrack-min=many"},
      {"explain", "--desired"},
      {"explain", "10.96.0.10:80", "10.96.0.11:80"},
      {"--manifests=/tmp", "run"},
      {"--no-such-flag"},
  };
  for (const auto& arguments : bad) {
    const auto result = kubenatd(arguments);
    INFO((arguments.empty() ? std::string("no arguments") : arguments.back()) << ": " << result.describe());
    CHECK(result.status == 2);
    CHECK(result.err.size() + result.out.size() > 0);
  }
}

TEST_CASE("A usage mistake says what is wrong as kube-proxy does, and what helps") {
  const auto unknown = kubenatd({"run", "--no_such_flag=1"});
  CHECK(unknown.err == "kubenatd run: unknown flag: --no_such_flag\nkubenatd run --help tells more.\n");
  const auto stray = kubenatd({"render", "--masquerade-all", "true"});
  CHECK(stray.err.find(R"(render takes no arguments, got "true"; a flag takes true or false only behind "=")") !=
        std::string::npos);
  CHECK(kubenatd({"run", "--version"}).out.find(KUBENATD_VERSION) != std::string::npos);
}

/// What a node's agent is started with, beside where its objects are.
std::vector<std::string> whole_command_line() {
  return {"--conntrack-max-per-core=0",
          "--metrics-bind-address=0.0.0.0:10249",
          "--healthz-bind-address=127.0.0.1",
          "--hostname-override=node-1",
          "--oom-score-adj=-998",
          "--v=2",
          "--feature-gates=RotateKubeletServerCertificate=true",
          "--iptables-sync-period=1m",
          "--iptables_min_sync_period=10s",
          "--ipvs-sync-period=1m",
          "--pod-interface-name-prefix=",
          "--once",
          "--audit-period=1m",
          "--service-metrics=100",
          "--cluster-cidr=10.244.0.0/16,fd00:10:244::/56",
          "--masquerade-all"};
}

TEST_CASE("Every command takes the command line of a running agent") {
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  const std::vector<std::string> line = whole_command_line();
  const auto rendered = render_as_nobody(manifests, line);
  INFO(rendered.describe());
  CHECK(rendered.status == 0);
  CHECK(rendered.out.find("! -s 10.244.0.0/16") == std::string::npos);  // --masquerade-all needs no such match
  CHECK(rendered.out.find("--comment \"demo/web:http cluster IP\" -m tcp --dport 80 -j KUBE-MARK-MASQ") !=
        std::string::npos);

  const TempFolder folder;
  const std::string binary = install_binary(folder);
  ProcessOptions options;
  if (::geteuid() == 0) options.uid = kNobody;
  const auto as_nobody = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), binary);
    arguments.insert(arguments.end(), line.begin(), line.end());
    return run(arguments, options);
  };
  const auto explained = as_nobody({"explain", "10.96.0.10:80", "--desired", "--manifests", manifests.path()});
  INFO(explained.describe());
  CHECK(explained.out.find("KUBE-MARK-MASQ") != std::string::npos);
  CHECK((explained.status == 0 || explained.status == 1));
  // One remark at most, about what has no effect at all.
  CHECK(std::ranges::count(explained.err, '\n') <= 1);
  // These need rights, but take the flags.
  CHECK(as_nobody({"diff", "--manifests", manifests.path()}).status == 3);
  CHECK(as_nobody({"cleanup"}).status == 1);
}

TEST_CASE("A flag shapes what render prints as its field in a file does") {
  const auto [flags, fields] = GENERATE(table<std::vector<std::string>, std::string>({
      {{"--cluster-cidr=10.244.0.0/16"}, "clusterCIDR: 10.244.0.0/16"},
      {{"--masquerade-all"}, "iptables: {masqueradeAll: true}"},
      {{"--iptables-masquerade-bit=3"}, "iptables: {masqueradeBit: 3}"},
      {{"--iptables-localhost-nodeports=false"}, "iptables: {localhostNodePorts: false}"},
      {{"--detect-local-mode=BridgeInterface", "--pod-bridge-interface=cni0"},
       "{detectLocalMode: BridgeInterface, detectLocal: {bridgeInterface: cni0}}"},
      {{"--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=veth"},
       "{detectLocalMode: InterfaceNamePrefix, detectLocal: {interfaceNamePrefix: veth}}"},
      {{"--nodeport-addresses=127.0.0.0/8"}, "nodePortAddresses: [127.0.0.0/8]"},
      {{"--conntrack-tcp-be-liberal"}, "conntrack: {tcpBeLiberal: true}"},
      {{"--proxy-mode=nftables"}, "mode: nftables"},
      {{"--proxy-mode=nftables", "--nodeport-addresses=127.0.0.0/8", "--masquerade-all"},
       "{mode: nftables, nodePortAddresses: [127.0.0.0/8], nftables: {masqueradeAll: true}}"},
      {{"--bind-address=127.0.0.1", "--nodeport-addresses=primary"},
       "{bindAddress: 127.0.0.1, nodePortAddresses: [primary]}"},
      {{"--proxy-mode=nftables", "--service-cidr=10.96.0.0/12"},
       "mode: nftables\n---\napiVersion: kubenatd.io/v1alpha1\nkind: KubenatdConfiguration\n"
       "serviceCIDRs: [10.96.0.0/12]"},
  }));
  const Manifests manifests;
  auto service = web_service();
  manifests.put(service, ready({kPodA, kPodA6}));
  const auto by_flags = render_as_nobody(manifests, flags);
  CAPTURE(fields);
  INFO(by_flags.describe());
  CHECK(by_flags.status == 0);
  const TempFolder folder;
  // A flow mapping is a document of its own, so the header goes into it.
  const std::string header = "apiVersion: kubeproxy.config.k8s.io/v1alpha1, kind: KubeProxyConfiguration";
  const std::string text =
      fields.starts_with("{") ? "{" + header + ", " + fields.substr(1)
                              : "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n" + fields;
  const std::string file = folder.write("config.conf", text + "\n");
  CHECK(render_as_nobody(manifests, {"--config=" + file}).out == by_flags.out);
  CHECK(by_flags.out != render_as_nobody(manifests, {}).out);
}

TEST_CASE("Without manifests, a kubeconfig or a pod around it a command says what it misses") {
  for (const auto& [command, status] : {std::pair{"run", 1}, std::pair{"render", 1}, std::pair{"diff", 3}}) {
    const auto result = kubenatd({command});
    INFO(result.describe());
    CHECK(result.status == status);
    CHECK(result.err.find("KUBERNETES_SERVICE_HOST") != std::string::npos);
    CHECK(result.err.find("manifests") != std::string::npos);
    CHECK(result.out.empty());
  }
}

TEST_CASE("render prints both families without rights") {
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA, kPodA6}));
  const auto four = render_as_nobody(manifests, {"--family", "ipv4"});
  INFO(four.describe());
  CHECK(four.status == 0);
  CHECK(four.out.find("*nat\n") != std::string::npos);
  CHECK(four.out.find("*filter\n") != std::string::npos);
  CHECK(four.out.find("COMMIT\n") != std::string::npos);
  CHECK(
      four.out.find("-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m comment --comment \"demo/web:http cluster IP\" -m tcp "
                    "--dport 80 -j KUBE-SVC-") != std::string::npos);
  CHECK(four.out.find("fd00:") == std::string::npos);

  const auto six = render_as_nobody(manifests, {"--family", "ipv6"});
  INFO(six.describe());
  CHECK(six.status == 0);
  CHECK(six.out.find("-A KUBE-SERVICES -d fd00:10:96::10/128 -p tcp") != std::string::npos);
  CHECK(six.out.find("10.96.0.10") == std::string::npos);
}

TEST_CASE("render reads several folders, lists, and files at any depth") {
  const Manifests one, two;
  one.put(web_service(), ready({kPodA}));
  two.write("deep/er/list.json",
            R"({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "listed", "namespace": "demo"},
                "spec": {"clusterIP": "10.96.0.20", "ports": [{"port": 80}]}}]})");
  two.write("multi.yml",
            "---\n---\napiVersion: v1\nkind: Service\nmetadata: {name: multi, namespace: demo}\n"
            "spec: {clusterIP: 10.96.0.21, ports: [{port: 80}]}\n...\n");
  two.write("notes.txt",
            "apiVersion: v1\nkind: Service\nmetadata: {name: text, namespace: demo}\n"
            "spec: {clusterIP: 10.96.0.22, ports: [{port: 80}]}\n");
  const auto result = render_as_nobody(one, {"--manifests", two.path(), "--family", "ipv4"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(result.out.find("demo/web:http cluster IP") != std::string::npos);
  CHECK(result.out.find("demo/listed has no endpoints") != std::string::npos);
  CHECK(result.out.find("demo/multi has no endpoints") != std::string::npos);
  CHECK(result.out.find("demo/text") == std::string::npos);
}

TEST_CASE("Kinds that are not used are passed over with a line") {
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  manifests.write("other.yaml",
                  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: demo}\ndata: {a: b}\n---\n"
                  "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: demo}\nspec: {}\n");
  manifests.write("config.yaml", "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n");
  const auto result = render_as_nobody(manifests, {"--family", "ipv4"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(result.out.find("demo/web:http cluster IP") != std::string::npos);
  for (const auto* kind : {"ConfigMap", "Deployment", "KubeProxyConfiguration"}) {
    INFO(kind);
    CHECK(result.err.find(kind) != std::string::npos);
    CHECK(result.out.find(kind) == std::string::npos);
  }
}

TEST_CASE("A configuration that is wrong is refused by file and field") {
  const Manifests manifests;
  manifests.write("empty.txt", "");
  const TempFolder folder;
  const auto bad = folder.write("bad.yaml",
                                "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
                                "clusterCIDR: 10.244.0.0/33\n");
  const auto result = render_as_nobody(manifests, {"--config", bad.string()});
  INFO(result.describe());
  CHECK(result.status != 0);
  CHECK(result.err.find("bad.yaml") != std::string::npos);
  CHECK(result.err.find("clusterCIDR") != std::string::npos);
  const auto missing = render_as_nobody(manifests, {"--config", (folder.path() / "absent.yaml").string()});
  INFO(missing.describe());
  CHECK(missing.status != 0);
  CHECK(missing.err.find("absent.yaml") != std::string::npos);
}

TEST_CASE("The flag --hostname-override wins over the configuration and is made lower case") {
  const Manifests manifests;
  auto service = web_service();
  service.internal_policy = "Local";
  manifests.put(service, ready({kPodA, kPodC}));
  const TempFolder folder;
  const auto config = folder.write("config.yaml",
                                   "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
                                   "hostnameOverride: node-2\n");
  const auto binary = install_binary(folder);
  const auto local_to = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all{binary,     "render",        "--manifests", manifests.path(),
                                 "--config", config.string(), "--family",    "ipv4"};
    all.insert(all.end(), more.begin(), more.end());
    const auto result = run(all);
    INFO(result.describe());
    CHECK(result.ok());
    for (const auto& line : lines_of(result.out)) {
      if (!line.starts_with("-A KUBE-SVL-")) continue;
      if (line.find(std::string("-> ") + kPodA) != std::string::npos) return std::string("node-1");
      if (line.find(std::string("-> ") + kPodC) != std::string::npos) return std::string("node-2");
    }
    return std::string("none");
  };
  CHECK(local_to({}) == "node-2");
  CHECK(local_to({"--hostname-override", " Node-1 "}) == "node-1");
}

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
    const auto result = run({KUBENATD_BINARY, "run", "--manifests", KUBENATD_SOURCE_DIR "/test/field/F12",
                             "--hostname-override", name, "--once"},
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
                  KUBENATD_BINARY, "run", "--manifests", manifests.path(), "--hostname-override", "node-1", "--once"});
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
