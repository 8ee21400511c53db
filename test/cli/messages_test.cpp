#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "test/cli/cli_support.h"
#include "test/support/linux_release.h"
#include "test/support/places.h"

/// What a user reads when something is wrong: the file, the reason in words, and what helps.
namespace kubenatd::test {
namespace {

using Catch::Matchers::Contains;

constexpr const char* kHeader = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

/// `run` in a namespace of its own, by a shell that prepares it and has the arguments as "$@".
ProcessResult run_in(const BareNode& node, const std::string& script, std::vector<std::string> arguments) {
  std::vector<std::string> command{"sh", "-c", script, "sh", program(), "run", "--hostname-override", "node-1"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command, {.namespace_fd = node.node.fd(), .input = {}, .uid = {}});
}

/// A word that says why this cannot be tried here; empty: it can.
std::string missing_tool(const char* tool) {
  return run({"sh", "-c", "command -v " + std::string(tool)}).status == 0 ? "" : tool;
}

}  // namespace

TEST_CASE("A file that is given in place of another is told by what it is") {
  const TempFolder folder;
  const auto kubeconfig = folder.write("kubeconfig", "apiVersion: v1\nkind: Config\nclusters: []\n").string();
  const auto config = folder.write("config.conf", kHeader).string();
  const auto map = folder
                       .write("map.yaml", "apiVersion: v1\nkind: ConfigMap\ndata:\n  config.conf: |\n" +
                                              std::string("    apiVersion: kubeproxy.config.k8s.io/v1alpha1\n") +
                                              "    kind: KubeProxyConfiguration\n    clusterCIDR: 10.1.0.0/16\n"
                                              "  kubeconfig.conf: |\n    apiVersion: v1\n    kind: Config\n")
                       .string();
  const auto read = kubenatd({"check", "--config", map});
  INFO(read.describe());
  CHECK(read.status == 0);
  CHECK_THAT(read.out, Contains("10.1.0.0/16") && Contains(R"(is a ConfigMap: its data["config.conf"] is read)"));

  CHECK_THAT(kubenatd({"check", "--config", kubeconfig}).err, Contains("is a kubeconfig: give it as --kubeconfig"));
  CHECK_THAT(kubenatd({"run", "--kubeconfig", map}).err, Contains("kubeconfig.conf") && Contains("is a ConfigMap"));
  CHECK_THAT(kubenatd({"run", "--kubeconfig", config}).err,
             Contains("is a KubeProxyConfiguration: give it as --config"));
}

TEST_CASE("A file that cannot be read is told with the flag that named it") {
  const TempFolder folder;
  (void)folder.write("config.conf", kHeader);
  CHECK_THAT(kubenatd({"check", "--config", "/nonexistent"}).err,
             Contains("/nonexistent: read configuration: No such file or directory (--config)"));
  CHECK_THAT(kubenatd({"check", "--config", folder.path().string()}).err,
             Contains("Is a directory: --config wants the file in it, config.conf"));
  CHECK_THAT(kubenatd({"run", "--kubeconfig", "/nonexistent"}).err,
             Contains("No such file or directory (--kubeconfig, clientConnection.kubeconfig)"));
  CHECK_THAT(kubenatd({"run", "--once", "--manifests", "/nonexistent"}).err,
             Contains("/nonexistent") && Contains("--manifests"));
  CHECK_THAT(kubenatd({"run", "--write-config-to", "/nonexistent/x"}).err,
             Contains("No such file or directory") && Contains("--write-config-to"));
  CHECK_THAT(kubenatd({"run"}).err, Contains("--kubeconfig FILE, --master URL or --manifests DIR"));
}

TEST_CASE("Output that cannot be written is told and is no success") {
  const std::string binary = program();
  for (const std::string command : {"check", "version"}) {
    const auto result = run({"sh", "-c", binary + " " + command + " > /dev/full"});
    INFO(result.describe());
    CHECK(result.status == 1);
    CHECK_THAT(result.err, Contains("standard output: write: No space left on device"));
  }
}

TEST_CASE("A kernel setting that cannot be made names both ways out") {
  if (::geteuid() != 0) {
    std::puts("SKIPPED: no rights: only root can make /proc/sys read-only");
    return;
  }
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put({.name = "web", .cluster_ips = {"10.96.0.10"}, .ports = {PortSpec{}}}, ready({kPodA}));
  const auto result = run_in(bare,
                             "exec unshare -m sh -c 'mount --bind /proc/sys /proc/sys && "
                             "mount -o remount,ro,bind /proc/sys && exec \"$@\"' sh \"$@\"",
                             {"--once", "--manifests", manifests.path(), "--conntrack-udp-timeout=77s"});
  INFO(result.describe());
  CHECK(result.status == 1);
  CHECK_THAT(result.err, Contains("Read-only file system") && Contains("a privileged container") &&
                             Contains("--conntrack-udp-timeout=0"));
}

TEST_CASE("A command without CAP_NET_ADMIN says that it needs it") {
  if (::geteuid() != 0 || !missing_tool("setpriv").empty()) {
    std::puts("SKIPPED: no rights or no setpriv: only root can drop a capability here");
    return;
  }
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put({.name = "web", .cluster_ips = {"10.96.0.10"}, .ports = {PortSpec{}}}, ready({kPodA}));
  const auto result = run_in(bare, "exec setpriv --bounding-set=-net_admin --inh-caps=-net_admin \"$@\"",
                             {"--once", "--manifests", manifests.path()});
  INFO(result.describe());
  CHECK(result.status == 1);
  CHECK_THAT(result.err, Contains("Operation not permitted: CAP_NET_ADMIN is needed"));
}

TEST_CASE("A server's port that is taken is told with the field that chooses another") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put({.name = "web", .cluster_ips = {"10.96.0.10"}, .ports = {PortSpec{}}}, ready({kPodA}));
  // The metrics' port is that of healthz, which is opened first.
  const auto result = run_in(bare, "ip link set lo up; exec \"$@\"",
                             {"--manifests", manifests.path(), "--healthz-bind-address=127.0.0.1:10300",
                              "--metrics-bind-address=127.0.0.1:10300", "--bind-address-hard-fail"});
  INFO(result.describe());
  CHECK(result.status == 1);
  CHECK_THAT(result.err, Contains("Address already in use: another program listens there") &&
                             Contains("metricsBindAddress (--metrics-bind-address)"));
}

TEST_CASE("run logs JSON when the configuration says so, and commands for people do not") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put({.name = "web", .cluster_ips = {"10.96.0.10"}, .ports = {PortSpec{}}}, ready({kPodA}));
  const TempFolder folder;
  const auto file =
      folder.write("config.conf", std::string(kHeader) + "logging: {format: json, verbosity: 4}\noomScoreAdj: 0\n");
  const auto result =
      run_in(bare, "exec \"$@\"", {"--once", "--manifests", manifests.path(), "--config", file.string()});
  INFO(result.describe());
  CHECK(result.status == 0);
  const auto lines = lines_of(result.err);
  REQUIRE(lines.size() > 1);
  bool is_ready = false;
  for (const std::string& line : lines) {
    const nlohmann::json entry = nlohmann::json::parse(line);
    CHECK(entry.at("ts").is_number_float());
    CHECK(entry.at("msg").is_string());
    CHECK(entry.at("v").is_number_integer());
    is_ready = is_ready || (entry["msg"] == "ready" && entry.at("node") == "node-1" && entry.at("services") == 1);
  }
  CHECK(is_ready);
  const auto wrong = run_in(bare, "exec \"$@\"", {"--config", "/nonexistent", "--logging-format=json"});
  INFO(wrong.describe());
  CHECK(nlohmann::json::parse(wrong.err).at("err") == "No such file or directory (--config)");
  const auto shown =
      kubenatd({"render", "--hostname-override=node-1", "--manifests", manifests.path(), "--config", file.string()});
  CHECK_THAT(shown.err, !Contains("{\"ts\""));
}

TEST_CASE("run names at its start all that this node lacks for the mode, in one line") {
  KUBENATD_NEEDS_NAMESPACES();
  if (const auto missing = missing_tool("nft"); !missing.empty()) {
    std::printf("SKIPPED: no %s here\n", missing.c_str());
    return;
  }
  KUBENATD_NEEDS_LINUX(5, 12, "tables with an owner");
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  // Tables that belong to another program alone, as long as it lives.
  const std::string owner =
      "{ { echo 'add table ip nat { flags owner; }'; echo 'add table ip6 nat { flags owner; }'; sleep 25; } | nft -i; }"
      " >/dev/null 2>&1 & until nft list tables | grep -q 'ip6 nat'; do sleep 0.1; done; ";
  const auto result = run_in(bare, owner + "exec timeout 20 \"$@\"", {"--once", "--manifests", manifests.path()});
  INFO(result.describe());
  std::size_t told = 0;
  for (const std::string& line : lines_of(result.err)) {
    if (line.find("this node cannot do all that the mode needs") == std::string::npos) continue;
    ++told;
    CHECK_THAT(line, Contains("iptables ipv4 table-owner: ip nat belongs to another program alone"));
    CHECK_THAT(line, Contains("iptables ipv6 table-owner: ip6 nat belongs to another program alone"));
  }
  CHECK(told == 1);
  CHECK(result.status == 1);

  const BareNode good;
  const auto fine = run_in(good, "exec \"$@\"", {"--once", "--manifests", manifests.path()});
  INFO(fine.describe());
  CHECK(fine.status == 0);
  CHECK(fine.err.find("this node cannot do") == std::string::npos);
}

}  // namespace kubenatd::test
