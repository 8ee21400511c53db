#include "agent/config/config_json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace kubenatd::agent::config;

TEST_CASE("the defaults as JSON, to the letter") {
  CHECK(
      to_json(default_config()) ==
      R"({"kind":"KubeProxyConfiguration","apiVersion":"kubeproxy.config.k8s.io/v1alpha1",)"
      R"("clientConnection":{"kubeconfig":"","acceptContentTypes":"","contentType":"application/vnd.kubernetes.protobuf",)"
      R"("qps":5,"burst":10},)"
      R"("logging":{"format":"text","flushFrequency":"5s","verbosity":0,)"
      R"("options":{"text":{"infoBufferSize":"0"},"json":{"infoBufferSize":"0"}}},)"
      R"("hostnameOverride":"","bindAddress":"0.0.0.0","healthzBindAddress":"0.0.0.0:10256",)"
      R"("metricsBindAddress":"127.0.0.1:10249","bindAddressHardFail":false,"enableProfiling":false,)"
      R"("showHiddenMetricsForVersion":"","mode":"iptables",)"
      R"("iptables":{"masqueradeBit":14,"masqueradeAll":false,"localhostNodePorts":true,"syncPeriod":"30s",)"
      R"("minSyncPeriod":"1s"},)"
      R"("ipvs":{"syncPeriod":"0s","minSyncPeriod":"0s","scheduler":"","excludeCIDRs":null,"strictARP":false,)"
      R"("tcpTimeout":"0s","tcpFinTimeout":"0s","udpTimeout":"0s"},)"
      R"("nftables":{"masqueradeBit":14,"masqueradeAll":false,"syncPeriod":"0s","minSyncPeriod":"0s"},)"
      R"("winkernel":{"networkName":"","sourceVip":"","enableDSR":false,"rootHnsEndpointName":"",)"
      R"("forwardHealthCheckVip":false},)"
      R"("detectLocalMode":"ClusterCIDR","detectLocal":{"bridgeInterface":"","interfaceNamePrefix":""},)"
      R"("clusterCIDR":"","nodePortAddresses":null,"oomScoreAdj":-999,)"
      R"("conntrack":{"maxPerCore":32768,"min":131072,"tcpEstablishedTimeout":"24h0m0s",)"
      R"("tcpCloseWaitTimeout":"1h0m0s","tcpBeLiberal":false,"udpTimeout":"0s","udpStreamTimeout":"0s"},)"
      R"("configSyncPeriod":"15m0s","portRange":""})");
}

TEST_CASE("what is rendered is read back as it was") {
  const auto loaded = parse_config(R"(
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: 10.244.0.0/16,fd00:10:244::/56
nodePortAddresses: [192.168.0.0/16]
detectLocalMode: BridgeInterface
detectLocal: {bridgeInterface: cni0}
hostnameOverride: "quo\"te"
mode: iptables
iptables: {masqueradeAll: true, syncPeriod: 1m30s, minSyncPeriod: 0s, localhostNodePorts: false}
conntrack: {maxPerCore: 0, udpTimeout: 250ms}
clientConnection: {qps: 2.5}
)",
                                   "file");
  REQUIRE(loaded);
  const std::string json = to_json(loaded->config);
  const auto again = parse_config(json, "configz");
  REQUIRE(again);
  CHECK(to_json(again->config) == json);
  const auto parsed = nlohmann::json::parse(json);
  CHECK(parsed.at("clusterCIDR") == "10.244.0.0/16,fd00:10:244::/56");
  CHECK(parsed.at("iptables").at("syncPeriod") == "1m30s");
  CHECK(parsed.at("nftables").at("masqueradeAll") == false);
  CHECK(parsed.at("clientConnection").at("qps") == 2.5);
}

TEST_CASE("bytes that are no UTF-8 stay valid JSON") {
  Config config = default_config();
  config.hostname_override = "a\xff";
  CHECK(nlohmann::json::accept(to_json(config)));
}
