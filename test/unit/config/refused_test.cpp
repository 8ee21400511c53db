#include <catch2/catch.hpp>
#include <tuple>

#include "test/unit/config/config_support.h"

using namespace kubenatd;
using namespace kubenatd::agent::config;
using namespace kubenatd::test;
using Catch::Matchers::Contains;

TEST_CASE("a wrong type is refused by the path of the field") {
  const auto [fields, cause] = GENERATE(table<std::string, std::string>({
      {"iptables: {masqueradeBit: x}", R"(iptables.masqueradeBit: "x" is not a number)"},
      {"iptables: {masqueradeBit: '14'}", R"(iptables.masqueradeBit: "14" is not a number)"},
      {"iptables: {masqueradeBit: [1]}", "iptables.masqueradeBit: a list is not a number"},
      {"iptables: {masqueradeBit: 1.5}", R"(iptables.masqueradeBit: 1.5 is not a whole number)"},
      {"conntrack: {min: 99999999999}", R"(conntrack.min: 99999999999 is out of range)"},
      {"conntrack: {min: 99999999999999999999999}", R"(conntrack.min: 9.999999999999999e+22 is out of range)"},
      {"iptables: {masqueradeAll: maybe}", R"(iptables.masqueradeAll: "maybe" is not true or false)"},
      {"iptables: {masqueradeAll: 'true'}", R"(iptables.masqueradeAll: "true" is not true or false)"},
      {"iptables: nothing", R"(iptables: "nothing" is not a group of fields)"},
      {"iptables: [1, 2]", "iptables: a list is not a group of fields"},
      {"hostnameOverride: 123", R"(hostnameOverride: 123 is not text: put it in quotes)"},
      {"hostnameOverride: {a: b}", "hostnameOverride: a mapping is not text"},
      {"hostnameOverride: \"a\\0b\"", R"(hostnameOverride: "a\x00b" holds a zero byte)"},
      {"configSyncPeriod: 15", R"(configSyncPeriod: 15 is not a duration such as "30s" or "1h15m")"},
      {"configSyncPeriod: 15 min", R"(configSyncPeriod: "15 min" is not a duration such as "30s" or "1h15m")"},
      {"nodePortAddresses: 10.0.0.0/8", R"(nodePortAddresses: "10.0.0.0/8" is not a list)"},
      {"nodePortAddresses: [10.0.0.0/8, {a: b}]", "nodePortAddresses[1]: a mapping is not text"},
      {"nodePortAddresses: [null]",
       R"(nodePortAddresses[0]: "" is not a CIDR and none of "primary", "localhost", "all")"},
      {"featureGates: {A: 1}", R"(featureGates.A: 1 is not true or false)"},
      {"ipvs: {strictARP: 3}", R"(ipvs.strictARP: 3 is not true or false)"},
      {"clientConnection: {qps: fast}", R"(clientConnection.qps: "fast" is not a number)"},
  }));
  CHECK(refused(fields) == cause);
}

TEST_CASE("a value out of its range is refused by the path of the field") {
  const auto [fields, cause] = GENERATE(table<std::string, std::string>({
      {"iptables: {masqueradeBit: 32}", "iptables.masqueradeBit: 32 is not in 0..31"},
      {"mode: nftables\nnftables: {masqueradeBit: -1}", "nftables.masqueradeBit: -1 is not in 0..31"},
      {"iptables: {syncPeriod: -1s}", "iptables.syncPeriod: must be greater than zero"},
      {"iptables: {minSyncPeriod: -1s}", "iptables.minSyncPeriod: must not be negative"},
      {"iptables: {minSyncPeriod: 31s}", "iptables.minSyncPeriod: must not be greater than syncPeriod"},
      {"mode: nftables\nnftables: {syncPeriod: 500ms}", "nftables.minSyncPeriod: must not be greater than syncPeriod"},
      {"configSyncPeriod: -5m", "configSyncPeriod: must be greater than zero"},
      {"oomScoreAdj: 1001", "oomScoreAdj: 1001 is not in -1000..1000"},
      {"conntrack: {maxPerCore: -1}", "conntrack.maxPerCore: must not be negative"},
      {"conntrack: {udpTimeout: -1s}", "conntrack.udpTimeout: must not be negative"},
      {"clientConnection: {burst: -1}", "clientConnection.burst: must not be negative"},
      {"logging: {format: xml}", R"(logging.format: "xml" is not "text" or "json")"},
      {"mode: ipvs", R"(mode: "ipvs" is not supported, "iptables" and "nftables" are (kubenatd has no ipvs))"},
      {"mode: Iptables", R"(mode: "Iptables" is not supported, "iptables" and "nftables" are)"},
      {"bindAddress: localhost", R"(bindAddress: "localhost" is not an IP address)"},
      {"healthzBindAddress: 1.2.3.4:0",
       R"(healthzBindAddress: "1.2.3.4:0" is not IP or IP:port with a port in 1..65535)"},
      {"metricsBindAddress: 1.2.3.4:65536",
       R"(metricsBindAddress: "1.2.3.4:65536" is not IP or IP:port with a port in 1..65535)"},
      {"metricsBindAddress: '[::1]'", R"(metricsBindAddress: "[::1]" is not IP or IP:port with a port in 1..65535)"},
      {"metricsBindAddress: 'host:80'",
       R"(metricsBindAddress: "host:80" is not IP or IP:port with a port in 1..65535)"},
      {"clusterCIDR: 10.244.0.0", R"(clusterCIDR: "10.244.0.0" is not a CIDR such as 10.244.0.0/16)"},
      {"clusterCIDR: '10.0.0.0/8,'", R"(clusterCIDR: "" is not a CIDR such as 10.244.0.0/16)"},
      {"clusterCIDR: '10.0.0.0/8,11.0.0.0/8'",
       "clusterCIDR: names two IPv4 CIDRs, at most one of each family is possible"},
      {"clusterCIDR: '10.0.0.0/8,fd00::/8,11.0.0.0/8'", "clusterCIDR: names more than two CIDRs"},
      {"nodePortAddresses: [primary, 10.0.0.1]",
       R"(nodePortAddresses[1]: "10.0.0.1" is not a CIDR and none of "primary", "localhost", "all")"},
      {"syncPeriod: 1s\nipvs: {syncPeriod: null}", "ipvs.syncPeriod: has no value"},
      {"conntrack: {udpTimeout: null}", "conntrack.udpTimeout: has no value"},
      {"configSyncPeriod: 0", R"(configSyncPeriod: 0 is not a duration such as "30s" or "1h15m")"},
      {"logging: {flushFrequency: -1}", "logging.flushFrequency: must be greater than zero"},
      {"logging: {verbosity: -1}", "logging.verbosity: must not be negative"},
      {"logging: {options: {json: {splitStream: true}}}",
       "logging.options.json.splitStream: feature LoggingAlphaOptions is disabled (featureGates)"},
      {"logging: {options: {text: {infoBufferSize: 64Ki}}}",
       "logging.options.text.infoBufferSize: feature LoggingAlphaOptions is disabled (featureGates)"},
      {"logging: {options: {text: {infoBufferSize: much}}}",
       R"(logging.options.text.infoBufferSize: "much" is not a quantity such as 64Ki)"},
      {"featureGates: {LoggingBetaOptions: false}\nlogging: {format: json}",
       "logging.format: json needs the feature LoggingBetaOptions, which is disabled"},
      {"logging: {format: json, vmodule: [{filePattern: a, verbosity: 1}]}",
       "logging.vmodule: is only supported for the format text"},
      {"logging: {vmodule: [{filePattern: 'a=b', verbosity: 1}]}",
       "logging.vmodule[0].filePattern: must not contain equal sign or comma"},
      {"detectLocalMode: Bridge",
       R"(detectLocalMode: "Bridge" is not one of ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix)"},
      {"detectLocalMode: BridgeInterface", "detectLocal.bridgeInterface: is required by detectLocalMode"},
      {"detectLocalMode: InterfaceNamePrefix", "detectLocal.interfaceNamePrefix: is required by detectLocalMode"},
      {"detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: abcdefghijklmnop}",
       R"(detectLocal.bridgeInterface: "abcdefghijklmnop" is longer than 15 characters)"},
      {"detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: abcdefghijklmno}",
       R"(detectLocal.interfaceNamePrefix: "abcdefghijklmno" is longer than 14 characters)"},
      {"detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: a/b}",
       R"(detectLocal.bridgeInterface: "a/b" is not a name of an interface)"},
      {"detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: 'a b'}",
       R"(detectLocal.bridgeInterface: "a b" is not a name of an interface)"},
  }));
  CHECK(refused(fields) == cause);
}

TEST_CASE("all mistakes of a file are named in one line") {
  CHECK(refused("mode: ebpf\niptables: {masqueradeBit: 40, syncPeriod: soon}\noomScoreAdj: x") ==
        R"(mode: "ebpf" is not supported, "iptables" and "nftables" are; )"
        R"(iptables.syncPeriod: "soon" is not a duration such as "30s" or "1h15m"; )"
        "iptables.masqueradeBit: 40 is not in 0..31; "
        R"(oomScoreAdj: "x" is not a number)");
}

TEST_CASE("the number of mistakes and remarks that are named is bounded") {
  std::string addresses = "nodePortAddresses:\n";
  for (int i = 0; i < 5000; ++i) addresses += "- wrong\n";
  const std::string cause = refused(addresses);
  CHECK(cause.size() < 4000);
  CHECK_THAT(cause, Catch::Matchers::EndsWith("and 4980 more"));

  std::string unknown;
  for (int i = 0; i < 5000; ++i) unknown += "field" + std::to_string(i) + ": 1\n";
  const LoadedConfig loaded = accepted(unknown);
  CHECK(loaded.remarks.size() == 51);
  CHECK(loaded.remarks.back() == "and 4950 more");
}

TEST_CASE("hostile text in a value cannot start a line or steer the terminal") {
  const std::string cause = refused("mode: \"a\\nb\\e[31m\"");
  CHECK_THAT(cause, Contains(R"("a\nb\x1b[31m")"));
}
