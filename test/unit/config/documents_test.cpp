#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "test/unit/config/config_support.h"

using namespace kubenatd;
using namespace kubenatd::agent::config;
using namespace kubenatd::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

std::string cause_of(std::string_view text) {
  const auto loaded = parse_config(text, "config.yaml");
  return loaded ? "accepted" : loaded.error().cause;
}

}  // namespace

TEST_CASE("a JSON file is read like a YAML file") {
  const auto loaded = parse_config(R"({
	"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
	"hostnameOverride": "node\u002d1", "iptables": {"masqueradeBit": 7, "masqueradeAll": true, "syncPeriod": "1h"},
	"nodePortAddresses": ["10.0.0.0\/8"], "mode": ""
})",
                                   "config.json");
  if (!loaded) FAIL(loaded.error().to_string());
  CHECK(loaded->config.hostname_override == "node-1");
  CHECK(loaded->config.masquerade_bit == 7);
  CHECK(loaded->config.masquerade_all);
  CHECK(loaded->config.sync_period == 1h);
  CHECK(loaded->config.node_port_addresses.at(0).to_string() == "10.0.0.0/8");
  CHECK(loaded->remarks.empty());
}

TEST_CASE("the first KubeProxyConfiguration among several documents wins") {
  const std::string text = "---\n# nothing\n---\nkind: ConfigMap\napiVersion: v1\n---\n" + std::string(kHeader) +
                           "hostnameOverride: first\n---\n" + kHeader + "hostnameOverride: second\n";
  const auto loaded = parse_config(text, "config.yaml");
  REQUIRE(loaded);
  CHECK(loaded->config.hostname_override == "first");
}

TEST_CASE("another kind or version is refused by its name") {
  CHECK(cause_of("kind: Secret\napiVersion: v1") ==
        R"(kind: KubeProxyConfiguration of kubeproxy.config.k8s.io/v1alpha1 is wanted, found kind "Secret")");
  CHECK_THAT(cause_of("mode: iptables"), Contains("found a document without kind"));
  CHECK_THAT(cause_of(""), Contains("found nothing"));
  CHECK_THAT(cause_of("- a\n- b"), Contains("found a document without kind"));
  CHECK_THAT(cause_of("just text"), Contains("found a document without kind"));
  CHECK(cause_of("kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1") ==
        R"(apiVersion: "kubeproxy.config.k8s.io/v1" is not known: kubeproxy.config.k8s.io/v1alpha1 is)");
  CHECK_THAT(cause_of("kind: KubeProxyConfiguration"), StartsWith("apiVersion: is missing"));
}

TEST_CASE("a syntax error is named by line and column") {
  CHECK_THAT(cause_of(std::string(kHeader) + "iptables: {masqueradeBit: 3\nmode: [\n"), StartsWith("line "));
  CHECK_THAT(cause_of("a: *nowhere"), StartsWith("line 1, column "));
  CHECK_THAT(cause_of(std::string(20000, '[')), Contains("line 1"));
}

TEST_CASE("unknown fields are ignored with a remark") {
  const LoadedConfig loaded =
      accepted("resourceContainer: /kube-proxy\niptables: {masqueradeBits: 3, masqueradeBit: 5}");
  CHECK(loaded.config.masquerade_bit == 5);
  CHECK(loaded.remarks == std::vector<std::string>{"iptables.masqueradeBits: is not a known field and is ignored",
                                                   "resourceContainer: is not a known field and is ignored"});
}

TEST_CASE("of duplicate fields the last one counts, with a remark") {
  const LoadedConfig loaded =
      accepted("iptables: {masqueradeBit: 3, masqueradeBit: 4}\nmode: nftables\nmode: iptables");
  CHECK(loaded.config.masquerade_bit == 4);
  CHECK(loaded.config.mode == Config::Mode::kIptables);
  CHECK(loaded.remarks ==
        std::vector<std::string>{
            "the document that begins in line 1: iptables.masqueradeBit is given twice, the last one counts",
            "the document that begins in line 1: mode is given twice, the last one counts"});
}

TEST_CASE("anchors and merge keys are followed") {
  const Config config =
      accepted(
          "iptables: &both {masqueradeBit: 9, syncPeriod: 10s}\nmode: nftables\nnftables: {<<: *both, syncPeriod: 20s}")
          .config;
  CHECK(config.masquerade_bit == 9);
  CHECK(config.sync_period == 20s);
}

TEST_CASE("merge keys that multiply are no danger and circles are refused") {
  std::string text = "a0: &a0 {x: 1}\n";
  for (int i = 1; i < 30; ++i) {
    text += fmt::format("a{0}: &a{0} {{<<: [*a{1}, *a{1}]}}\n", i, i - 1);
  }
  CHECK_FALSE(accepted(text + "mode: iptables").config.masquerade_all);  // each is only {x: 1}
  CHECK_THAT(refused("iptables: &me {<<: *me}"), Contains("not complete"));
}

TEST_CASE("a file is read by its name") {
  const TemporaryFile file(kKindFile);
  const auto loaded = load_config(file.path());
  REQUIRE(loaded);
  CHECK(loaded->config.conntrack.max_per_core == 0);
}

TEST_CASE("a file that cannot be read is an error that names it") {
  const auto missing = load_config("/nonexistent/config.yaml");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == ENOENT);
  CHECK(missing.error().to_string() ==
        "/nonexistent/config.yaml: read configuration: No such file or directory (--config)");
  const auto folder = load_config("/");
  REQUIRE_FALSE(folder);
  CHECK(folder.error().code == EISDIR);
}

TEST_CASE("a file without end is refused without being read to its end") {
  const auto loaded = load_config("/dev/zero");
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().code == EFBIG);
}

TEST_CASE("a mistake in a file names the file") {
  const TemporaryFile file(std::string(kHeader) + "mode: ipvs\n");
  const auto loaded = load_config(file.path());
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().object == file.path());
  CHECK_THAT(loaded.error().cause, StartsWith("mode: "));
}
