#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "test/cli/cli_support.h"
#include "test/support/places.h"

/// What a report holds, and what it must not.
namespace kubenatd::test {
namespace {

/// The lines under a title.
std::string section(const std::string& report, const std::string& title) {
  const std::string head = "== " + title + " ==\n";
  const std::size_t start = report.starts_with(head) ? 0 : report.find("\n" + head);
  REQUIRE(start != std::string::npos);
  const std::size_t end = report.find("\n== ", start + head.size());
  return report.substr(start, end == std::string::npos ? end : end - start);
}

void write(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Secrets that no other text has.
const std::vector<std::string> kSecrets{"zebra-token-1",
                                        "zebraPass2",
                                        "zebraKey3AAAAAAAAAAAA",
                                        "zebraCert4AAAAAAAAAAA",
                                        "zebraProxy5",
                                        "zebraFile6",
                                        "zebraEnv7",
                                        "zebraMaster8",
                                        "zebraFlag9",
                                        "zebraArgs0",
                                        "zebraOther1"};

void check_free_of_secrets(const std::string& text) {
  for (const std::string& secret : kSecrets) {
    INFO(secret << " in\n" << text);
    CHECK(text.find(secret) == std::string::npos);
    CHECK(text.find(secret.substr(0, 8)) == std::string::npos);
  }
}

/// A kubeconfig full of them, for a server that does not answer.
std::string kubeconfig(const std::string& folder) {
  write(folder + "/token", "zebraFile6\n");
  return "kind: Config\napiVersion: v1\ncurrent-context: a\n"
         "contexts:\n- {name: a, context: {cluster: c, user: u}}\n"
         "clusters:\n- name: c\n  cluster:\n    server: https://kate:zebraMaster8@127.0.0.1:1\n"
         "    proxy-url: http://kate:zebraProxy5@127.0.0.1:1\n"
         "users:\n- name: u\n  user: {token: zebra-token-1, tokenFile: " +
         folder +
         "/token}\n"
         "- name: v\n  user: {username: kate, password: zebraPass2}\n"
         "- name: w\n  user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, "
         "args: [--token=zebraArgs0], env: [{name: T, value: zebraOther1}]}}\n";
}

TEST_CASE("a report of a running agent has every section") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  manifests.put(web_service(), ready({kPodA}));
  must_run_in(bare.node, {"nft", "add table inet other"});
  must_run_in(bare.node,
              {"nft", "add chain inet other strange { type filter hook forward priority 7; policy accept; }"});
  must_run_in(bare.node, {"nft", "add rule inet other strange tcp dport 7 counter comment \"private\""});
  const Agent agent(bare.node, manifests);
  const Child running = agent.start();
  for (int i = 0; i < 600 && agent.invoke(agent.command("status")).status != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  must_run_in(bare.node, {"nft", "add table ip extra"});

  const auto told = agent.invoke(agent.command("report"));
  INFO(told.describe());
  REQUIRE(told.status == 0);
  CHECK(told.out.find("not available") == std::string::npos);
  CHECK(section(told.out, "version of this program").find("\"libraries\"") != std::string::npos);
  CHECK(section(told.out, "configuration that this program was given").find("clusterCIDR") != std::string::npos);
  CHECK(section(told.out, "status of the running agent").find("kubenatd") != std::string::npos);
  CHECK(section(told.out, "flags of the running agent").find("metrics-bind-address=") != std::string::npos);
  CHECK(section(told.out, "configuration of the running agent").find("KubeProxyConfiguration") != std::string::npos);
  CHECK(section(told.out, "node check").find(in_nftables_mode() ? "nftables" : "iptables") != std::string::npos);
  CHECK(section(told.out, "objects, as this program reads them").find("Service: 1\n") != std::string::npos);
  CHECK(section(told.out, "differences between wanted and live rules").find("  none") != std::string::npos);
  CHECK(section(told.out, "base chains of all programs")
            .find("inet other strange: forward filter priority 7, policy accept, 1 rules") != std::string::npos);
  CHECK(told.out.find("private") == std::string::npos);
  CHECK(section(told.out, "connection tracking").find("insert_failed = ") != std::string::npos);
  CHECK(section(told.out, "history of the running agent").find("first-sync") != std::string::npos);
  CHECK(section(told.out, "log of the running agent, last lines").find("level=info") != std::string::npos);
  CHECK(section(told.out, "metrics of the running agent").find("kubeproxy_sync") != std::string::npos);
  CHECK(section(told.out, "wanted rules").find("10.96.0.10") != std::string::npos);
  CHECK(section(told.out, "live rules for Services").find(in_nftables_mode() ? "kubenatd" : "10.96.0.10") !=
        std::string::npos);

  const TempFolder folder;
  auto command = agent.command("report");
  command.insert(command.end(), {"--output", (folder.path() / "report.txt").string()});
  const auto filed = agent.invoke(command);
  INFO(filed.describe());
  CHECK(filed.status == 0);
  CHECK(filed.out.empty());
  CHECK(content_of(folder.path() / "report.txt").starts_with("== kubenatd report ==\n"));
  command.back() = (folder.path() / "no/report.txt").string();
  const auto lost = agent.invoke(command);
  CHECK(lost.status == 1);
  CHECK(lost.err.find("report.txt: write: No such file or directory") != std::string::npos);
}

TEST_CASE("a report says of each section why it could not be had") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  const auto told = agent.invoke({"report", "--manifests", "/nowhere/at/all"});
  INFO(told.describe());
  REQUIRE(told.status == 0);
  CHECK(section(told.out, "status of the running agent").find("not available: 127.0.0.1:10249") != std::string::npos);
  CHECK(section(told.out, "log of the running agent, last lines").find("no agent runs here") != std::string::npos);
  CHECK(section(told.out, "wanted rules").find("not available: /nowhere/at/all") != std::string::npos);
  CHECK(section(told.out, "base chains of all programs").find("not available") == std::string::npos);
}

TEST_CASE("a report never holds what is secret in a kubeconfig, flags or environment") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const TempFolder folder;
  const std::string path = folder.path() / "kubeconfig";
  const auto report = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> words{"env", "HTTPS_PROXY=http://kate:zebraProxy5@127.0.0.1:1", "MY_API_TOKEN=zebraEnv7",
                                   program(), "report"};
    words.insert(words.end(), flags.begin(), flags.end());
    const auto told = run_in(bare.node, words);
    INFO(told.describe());
    REQUIRE(told.status == 0);
    CHECK(section(told.out, "wanted rules").find("not available") != std::string::npos);
    check_free_of_secrets(told.out);
  };
  SECTION("whose server is away") {
    write(path, kubeconfig(folder.path()));
    report({"--kubeconfig", path, "--hostname-override", "zebraEnv7"});
  }
  SECTION("that cannot be read as YAML") {
    write(path, kubeconfig(folder.path()) + "  : zebraFlag9zebra [\n\tzebraFlag9zebra\n");
    report({"--kubeconfig", path});
  }
  SECTION("with secrets of the wrong type, and in wrong places") {
    write(path, kubeconfig(folder.path()) +
                    "- name: x\n  user: {token: [zebra-token-1], client-key-data: zebraKey3AAAAAAAAAAAA, "
                    "client-certificate-data: zebraCert4AAAAAAAAAAA}\n");
    report({"--kubeconfig", path});
  }
  SECTION("given as the configuration") {
    write(path, kubeconfig(folder.path()));
    report({"--config", path});
  }
  SECTION("in the master's address") {
    report({"--master", "https://kate:zebraMaster8@127.0.0.1:1"});
  }
  SECTION("in an address that cannot be understood") {
    report({"--master", "https://kate:zebraMaster8@127.0.0.1:port/?token=zebraFlag9"});
  }
  SECTION("in a flag that was given by mistake") {
    report({"--cluster-cidr", "https://kate:zebraFlag9@x", "--kubeconfig", path});
  }
}

TEST_CASE("a report holds no secret that an object in a folder has") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const TempFolder folder;
  write(folder.path() / "secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  password: zebraPass2\n  token: [\n");
  write(folder.path() / "whole.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {password: zebraPass2, key: zebraFlag9}\n");
  const auto told = run_in(bare.node, {program(), "report", "--manifests", folder.path()});
  INFO(told.describe());
  REQUIRE(told.status == 0);
  check_free_of_secrets(told.out);
}

}  // namespace
}  // namespace kubenatd::test
