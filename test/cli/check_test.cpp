#include <catch2/catch.hpp>

#include "test/support/places.h"
#include "test/support/process.h"

/// `kubenatd check`: what is understood of a configuration.
namespace kubenatd::test {
namespace {

constexpr const char* kHeader = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

ProcessResult check(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {program(), "check"});
  return run(arguments);
}

/// The value behind a name at the start of a line.
std::string value_of(const std::string& out, const std::string& name) {
  for (const std::string& line : lines_of(out)) {
    if (!line.starts_with(name + " ")) continue;
    return line.substr(line.find_first_not_of(' ', name.size()));
  }
  return "none";
}

}  // namespace

TEST_CASE("check prints every field of a file, one below the other, and its remarks") {
  const TempFolder folder;
  const auto file = folder.write("config.conf", std::string(kHeader) +
                                                    "clusterCIDR: 10.244.0.0/16\niptables: {masqueradeBit: 3}\n"
                                                    "oomScoreAdj: -998\nunheardOf: 1\n");
  const auto result = check({"--config", file, "--hostname-override=node-1", "--masquerade-all"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(result.err.empty());
  CHECK(value_of(result.out, "clusterCIDR") == "10.244.0.0/16");
  CHECK(value_of(result.out, "iptables.masqueradeBit") == "3");
  CHECK(value_of(result.out, "iptables.masqueradeAll") == "false");
  CHECK(value_of(result.out, "hostnameOverride") == "node-1");
  CHECK(result.out.find("remark: unheardOf: is not a known field") != std::string::npos);
  CHECK(value_of(result.out, "oomScoreAdj") == "-998");
  CHECK(result.out.find("remark: oomScoreAdj") == std::string::npos);
  CHECK(result.out.find("remark: ignored beside --config: --masquerade-all") != std::string::npos);
  const auto lines = lines_of(result.out);
  REQUIRE(lines.size() > 2);
  const auto column = lines[0].find_first_not_of(' ', lines[0].find(' '));
  CHECK(lines[1].find_first_not_of(' ', lines[1].find(' ')) == column);
}

TEST_CASE("check takes kube-proxy's flags without a file") {
  const auto result = check({"--cluster-cidr=10.0.0.0/8", "--v=2", "--masquerade-all"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(value_of(result.out, "clusterCIDR") == "10.0.0.0/8");
  CHECK(value_of(result.out, "iptables.masqueradeAll") == "true");
  CHECK(value_of(result.out, "logging.verbosity") == "2");
}

TEST_CASE("check tells kubenatd's own settings, of the file and of the flags over it") {
  const TempFolder folder;
  const std::string own = "---\napiVersion: kubenatd.io/v1alpha1\nkind: KubenatdConfiguration\n";
  const auto file = folder.write("config.conf", std::string(kHeader) + "iptables: {syncPeriod: 1m}\n" + own +
                                                    "dispatch: linear\nhostPorts: off\nunheardOf: 1\n");
  const auto result = check({"--config", file, "--dispatch=tree", "--service-metrics", "7"});
  INFO(result.describe());
  CHECK(result.status == 0);
  CHECK(value_of(result.out, "--dispatch") == "tree");
  CHECK(value_of(result.out, "--host-ports") == "off");
  CHECK(value_of(result.out, "--service-metrics") == "7");
  CHECK(value_of(result.out, "--audit-period") == "1m0s");  // as often as syncPeriod
  CHECK(result.out.find("remark: KubenatdConfiguration.unheardOf: is not a known field") != std::string::npos);

  const auto bad = check({"--config", folder.write("bad.conf", kHeader + own + "serviceMetrics: 10001\n")});
  INFO(bad.describe());
  CHECK(bad.status == 1);
  CHECK(bad.err.find("bad.conf") != std::string::npos);
  CHECK(bad.err.find("KubenatdConfiguration.serviceMetrics: 10001 is not in 0..10000") != std::string::npos);
  CHECK(check({"--service-metrics=10001"}).status == 2);
}

TEST_CASE("the file that --write-config-to writes holds kubenatd's own settings, and a command takes them from it") {
  const TempFolder folder;
  const std::string file = folder.path() / "written.conf";
  const auto written = run({program(), "run", "--write-config-to", file, "--dispatch=tree"});
  INFO(written.describe());
  CHECK(written.status == 0);
  CHECK(value_of(check({"--config", file}).out, "--dispatch") == "tree");

  const TempFolder objects;
  std::string services;
  for (int i = 1; i <= 40; ++i) {
    const std::string name = "web-" + std::to_string(i);
    services +=
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name +
        ", namespace: demo}\nspec: {clusterIP: 10.96.0." + std::to_string(i) +
        ", ports: [{port: 80}]}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: " + name +
        ", namespace: demo, labels: {kubernetes.io/service-name: " + name +
        "}}\naddressType: IPv4\nendpoints: [{addresses: [10.244.1.5]}]\n"
        "ports: [{name: \"\", port: 8080, protocol: TCP}]\n";
  }
  objects.write("services.yaml", services);
  const auto rendered = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{program(),     "render",       "--config", file,
                                       "--manifests", objects.path(), "--family", "ipv4"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments).out;
  };
  CHECK(rendered({}).find("KUBE-SVC-IP-") != std::string::npos);
  const std::string linear = rendered({"--dispatch=linear"});
  CHECK(linear.find("KUBE-SVC-IP-") == std::string::npos);
  CHECK(linear.find("KUBE-SVC-") != std::string::npos);
}

TEST_CASE("check refuses with exit code 1 and all mistakes in one line") {
  const TempFolder folder;
  const auto file = folder.write("config.conf", std::string(kHeader) + "mode: ipvs\nbindAddress: here\n");
  const auto result = check({"--config", file});
  INFO(result.describe());
  CHECK(result.status == 1);
  CHECK(result.out.empty());
  CHECK(lines_of(result.err).size() == 1);
  CHECK(result.err.find("mode: ") != std::string::npos);
  CHECK(result.err.find("bindAddress: ") != std::string::npos);
  CHECK(check({"--config", folder.path() / "absent"}).status == 1);
  CHECK(check({"--iptables-masquerade-bit=99"}).status == 1);
  CHECK(check({"--no-such-flag"}).status == 2);
}

TEST_CASE("check --node: a mode that is none is a mistake, and JSON is of the node alone") {
  CHECK(check({"-o", "json"}).status == 2);
  CHECK(check({"--node", "-o", "yaml"}).status == 2);
  const TempFolder folder;
  const auto file = folder.write("config.conf", std::string(kHeader) + "mode: nftables\n");
  const auto result = check({"--node", "--config", file, "--proxy-mode", "ipvs"});
  INFO(result.describe());
  CHECK(result.status == 1);
  CHECK(result.err.find("ipvs") != std::string::npos);
  CHECK(check({"--node", "--config", folder.path() / "absent"}).status == 1);
}

TEST_CASE("the configurations of the project's manifests are accepted without a remark") {
  const std::string manifests = project_file("manifests/");
  const TempFolder folder;
  for (const char* name : {"base/configmap.yaml", "kind/configmap.yaml"}) {
    const std::string map = read_file(manifests + name);
    const std::string marker = "config.conf: |\n";
    const auto start = map.find(marker);
    REQUIRE(start != std::string::npos);
    std::string text;
    for (const std::string& line : lines_of(std::string_view(map).substr(start + marker.size()))) {
      text += (line.size() > 4 ? line.substr(4) : "") + "\n";
    }
    const auto result = check({"--config", folder.write("config.conf", text)});
    INFO(name << ": " << result.describe());
    CHECK(result.status == 0);
    CHECK(result.out.find("remark") == std::string::npos);
  }
  CHECK(check({"--config", manifests + "demo-config.yaml"}).status == 0);
}

}  // namespace kubenatd::test
