#include "agent/config/other_files.h"

#include <catch2/catch.hpp>
#include <string>

#include "test/unit/config/config_support.h"

using namespace kubenatd;
using namespace kubenatd::agent::config;
using namespace kubenatd::test;
using Catch::Matchers::Contains;

namespace {

/// As kubeadm v1.36 makes it.
constexpr const char* kConfigMap = R"(apiVersion: v1
kind: ConfigMap
metadata: {name: kube-proxy, namespace: kube-system}
data:
  config.conf: |-
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    mode: nftables
    clusterCIDR: 10.244.0.0/16
  kubeconfig.conf: |-
    apiVersion: v1
    kind: Config
    clusters: []
)";
constexpr const char* kKubeconfig = "apiVersion: v1\nkind: Config\nclusters: []\n";

std::string cause_of(const std::string& text) {
  const auto loaded = parse_config(text, "cm.yaml");
  REQUIRE_FALSE(loaded);
  return loaded.error().to_string();
}

}  // namespace

TEST_CASE("the configuration in a ConfigMap is read and told") {
  const auto loaded = parse_config(kConfigMap, "cm.yaml");
  REQUIRE(loaded);
  CHECK(loaded->config.mode == Config::Mode::kNftables);
  CHECK(loaded->remarks == std::vector<std::string>{R"(the file is a ConfigMap: its data["config.conf"] is read)"});
}

TEST_CASE("a mistake inside a ConfigMap is named by its key") {
  std::string text = kConfigMap;
  text.replace(text.find("10.244.0.0/16"), 13, "10.244.0.0/99");
  CHECK(
      cause_of(text) ==
      R"(cm.yaml: data["config.conf"]: read configuration: clusterCIDR: "10.244.0.0/99" is not a CIDR such as 10.244.0.0/16)");
}

TEST_CASE("a ConfigMap that leaves a choice is refused with what to do") {
  CHECK(
      cause_of(std::string(kConfigMap) +
               "  other.conf: '{apiVersion: kubeproxy.config.k8s.io/v1alpha1, kind: KubeProxyConfiguration}'\n") ==
      R"(cm.yaml: read configuration: is a ConfigMap with more than one KubeProxyConfiguration: make a file of one of its data["config.conf"] and data["other.conf"] and give that)");
  CHECK(cause_of("apiVersion: v1\nkind: ConfigMap\ndata: {a: b, c: 'kind: ['}\n") ==
        "cm.yaml: read configuration: is a ConfigMap, and no KubeProxyConfiguration is in its data");
  CHECK(
      cause_of("apiVersion: v1\nkind: ConfigMap\ndata: {k: 'kind: Config'}\n") ==
      R"(cm.yaml: read configuration: is a ConfigMap without a KubeProxyConfiguration; its data["k"] is a kubeconfig)");
  CHECK(cause_of("apiVersion: v1\nkind: ConfigMap\ndata: [a]\n") ==
        "cm.yaml: read configuration: is a ConfigMap, and no KubeProxyConfiguration is in its data");
}

TEST_CASE("a configuration beside a ConfigMap is the one that counts") {
  const auto loaded = parse_config(
      "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n---\n" + std::string(kConfigMap),
      "both.yaml");
  REQUIRE(loaded);
  CHECK(loaded->config.mode == Config::Mode::kIptables);
}

TEST_CASE("a kubeconfig as a configuration is told") {
  CHECK(cause_of(kKubeconfig) ==
        "cm.yaml: read configuration: is a kubeconfig: give it as --kubeconfig, or name it in "
        "clientConnection.kubeconfig");
}

TEST_CASE("what stands in place of a kubeconfig is told") {
  const auto advice = [](const std::string& text) {
    const TemporaryFile file(text);
    return advice_for_kubeconfig(file.path());
  };
  CHECK(advice(kConfigMap) == R"(is a ConfigMap: make a file of its data["kubeconfig.conf"] and give that)");
  CHECK(advice("kind: KubeProxyConfiguration\n") == "is a KubeProxyConfiguration: give it as --config");
  CHECK(advice("apiVersion: v1\nkind: ConfigMap\n") == "is a ConfigMap, and no kubeconfig is in its data");
  CHECK(advice(kKubeconfig).empty());
  CHECK(advice("kind: [").empty());
  CHECK(advice_for_kubeconfig("/nonexistent").empty());
}

TEST_CASE("a folder as a configuration names the file in it") {
  const auto loaded = load_config("/");
  REQUIRE_FALSE(loaded);
  CHECK_THAT(loaded.error().to_string(), Contains("Is a directory: --config wants a file"));
}
