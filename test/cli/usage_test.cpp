#include <catch2/catch.hpp>
#include <cstdio>

#include "test/cli/cli_support.h"

/// Command lines, good and bad ones.
namespace kubenatd::test {
namespace {

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

}  // namespace
}  // namespace kubenatd::test
