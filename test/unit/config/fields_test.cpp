#include <catch2/catch.hpp>

#include "test/unit/config/config_support.h"

using namespace kubenatd;
using namespace kubenatd::agent::config;
using namespace kubenatd::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

TEST_CASE("every field that is given is read") {
  const LoadedConfig loaded = accepted(R"(
clientConnection:
  kubeconfig: /etc/kube
  acceptContentTypes: application/json
  contentType: application/json
  qps: 12.5
  burst: 30
logging: {format: json, flushFrequency: 7s, verbosity: 4}
hostnameOverride: Node-7
bindAddressHardFail: true
enableProfiling: yes
showHiddenMetricsForVersion: "1.35"
mode: iptables
iptables: {masqueradeBit: 15, masqueradeAll: true, localhostNodePorts: false, syncPeriod: 1m, minSyncPeriod: 250ms}
nodePortAddresses: [192.168.77.0/24, "fd00:77::/64"]
conntrack:
  maxPerCore: 1
  min: 2
  tcpEstablishedTimeout: 3s
  tcpCloseWaitTimeout: 4s
  tcpBeLiberal: true
  udpTimeout: 5s
  udpStreamTimeout: 6s
configSyncPeriod: 7m
)");
  const Config& config = loaded.config;
  CHECK(config.client_connection.kubeconfig == "/etc/kube");
  CHECK(config.client_connection.accept_content_types == "application/json");
  CHECK(config.client_connection.content_type == "application/json");
  CHECK(config.client_connection.qps == 12.5);
  CHECK(config.client_connection.burst == 30);
  CHECK(config.logging.format == "json");
  CHECK(config.logging.flush_frequency == 7s);
  CHECK(config.logging.verbosity == 4);
  CHECK(config.hostname_override == "Node-7");
  CHECK(config.bind_address_hard_fail);
  CHECK(config.enable_profiling);
  CHECK(config.show_hidden_metrics_for_version == "1.35");
  CHECK(config.masquerade_bit == 15);
  CHECK(config.masquerade_all);
  CHECK_FALSE(config.localhost_node_ports);
  CHECK(config.sync_period == 1min);
  CHECK(config.min_sync_period == 250ms);
  CHECK(config.min_sync_period_set);
  REQUIRE(config.node_port_addresses.size() == 2);
  CHECK(config.node_port_addresses[0].to_string() == "192.168.77.0/24");
  CHECK(config.node_port_addresses[1].to_string() == "fd00:77::/64");
  CHECK(config.conntrack.max_per_core == 1);
  CHECK(config.conntrack.min == 2);
  CHECK(config.conntrack.tcp_established_timeout == 3s);
  CHECK(config.conntrack.tcp_close_wait_timeout == 4s);
  CHECK(config.conntrack.tcp_be_liberal);
  CHECK(config.conntrack.udp_timeout == 5s);
  CHECK(config.conntrack.udp_stream_timeout == 6s);
  CHECK(config.config_sync_period == 7min);
  CHECK(loaded.remarks.empty());
}

TEST_CASE("the section of the mode in force decides") {
  const std::string sections = R"(
iptables: {masqueradeBit: 3, syncPeriod: 10s, minSyncPeriod: 2s}
nftables: {masqueradeBit: 4, masqueradeAll: true, syncPeriod: 20s}
)";
  const Config iptables = accepted(sections).config;
  CHECK(iptables.masquerade_bit == 3);
  CHECK_FALSE(iptables.masquerade_all);
  CHECK(iptables.sync_period == 10s);
  CHECK(iptables.min_sync_period_set);
  const Config nftables = accepted("mode: nftables\n" + sections).config;
  CHECK(nftables.mode == Config::Mode::kNftables);
  CHECK(nftables.masquerade_bit == 4);
  CHECK(nftables.masquerade_all);
  CHECK(nftables.sync_period == 20s);
  CHECK_FALSE(nftables.min_sync_period_set);
  CHECK_FALSE(nftables.localhost_node_ports);
}

TEST_CASE("NodePorts answer on the primary address in nftables mode and everywhere in iptables mode") {
  CHECK(accepted("mode: nftables").config.node_port_addresses_primary);
  CHECK_FALSE(accepted("mode: nftables\nnodePortAddresses: [0.0.0.0/0]").config.node_port_addresses_primary);
  CHECK_FALSE(accepted("mode: iptables").config.node_port_addresses_primary);
  CHECK(accepted("nodePortAddresses: [primary]").config.node_port_addresses_primary);
}

TEST_CASE("in nftables mode NodePorts answer on localhost where nodePortAddresses names it") {
  const auto localhost = [](const std::string& addresses) {
    return accepted("mode: nftables\niptables: {localhostNodePorts: true}\nnodePortAddresses: [" + addresses + "]")
        .config.localhost_node_ports;
  };
  for (const char* named : {"localhost", "127.0.0.0/8", "127.0.0.1/32", "primary, 127.0.0.0/24", "all, localhost"}) {
    INFO(named);
    CHECK(localhost(named));
  }
  // Whoever names all addresses has not asked for packets to localhost to be routed.
  for (const char* other : {"", "primary", "all", "0.0.0.0/0", "112.0.0.0/4", "126.0.0.0/7", "'::1/128'"}) {
    INFO(other);
    CHECK_FALSE(localhost(other));
  }
}

TEST_CASE("words among the NodePort addresses that have no effect are named") {
  using Remarks = std::vector<std::string>;
  CHECK(accepted("nodePortAddresses: [primary, localhost, all, 10.0.0.0/8]").remarks == Remarks{});
  CHECK(accepted("mode: nftables\nnodePortAddresses: [primary, localhost]").remarks == Remarks{});
  const std::string mode = GENERATE("", "mode: nftables\n");
  CHECK(accepted(mode + "nodePortAddresses: [10.0.0.0/8, '::1/128']").remarks ==
        Remarks{"nodePortAddresses[1]: ::1/128: NodePorts never answer on ::1, which Linux does not route"});
  CHECK(accepted("nodePortAddresses: [localhost]\niptables: {localhostNodePorts: false}").remarks ==
        Remarks{
            "nodePortAddresses[0]: localhost: NodePorts do not answer there, as iptables.localhostNodePorts is false"});
}

TEST_CASE("clusterCIDR counts only in the mode that needs it") {
  const LoadedConfig loaded = accepted("detectLocalMode: NodeCIDR\nclusterCIDR: 10.0.0.0/8,x");
  CHECK(loaded.config.cluster_cidrs.empty());
  CHECK(loaded.remarks ==
        std::vector<std::string>{R"(clusterCIDR: "x" is not a CIDR such as 10.244.0.0/16; it is not used)"});
}

TEST_CASE("the log's fields are read as Kubernetes' components read them") {
  const Config::Logging logging = accepted(R"(
featureGates: {LoggingAlphaOptions: true}
logging:
  format: json
  flushFrequency: 7000000000
  verbosity: 3
  options: {json: {splitStream: true, infoBufferSize: 64Ki}, text: {infoBufferSize: "0"}}
)")
                                      .config.logging;
  CHECK(logging.is_json());
  CHECK(logging.splits_stream());
  CHECK(logging.flush_frequency == 7s);
  CHECK(logging.json.info_buffer_size == "64Ki");
  CHECK(logging.verbosity == 3);
  CHECK_FALSE(accepted("featureGates: {AllAlpha: true}\nlogging: {options: {json: {splitStream: true}}}")
                  .config.logging.splits_stream());

  const LoadedConfig modules = accepted("logging: {vmodule: [{filePattern: proxier, verbosity: 5}]}");
  CHECK(modules.config.logging.vmodule.at(0).file_pattern == "proxier");
  CHECK(modules.remarks == std::vector<std::string>{"logging.vmodule: has no effect here"});
}

TEST_CASE("each mode of telling pods apart is read with what it needs") {
  CHECK(accepted("detectLocalMode: NodeCIDR").config.detect_local == Config::DetectLocal::kNodeCidr);
  const Config bridge = accepted("detectLocalMode: BridgeInterface\ndetectLocal: {bridgeInterface: cni0}").config;
  CHECK(bridge.detect_local == Config::DetectLocal::kBridgeInterface);
  CHECK(bridge.bridge_interface == "cni0");
  const Config prefix =
      accepted("detectLocalMode: InterfaceNamePrefix\ndetectLocal: {interfaceNamePrefix: veth}").config;
  CHECK(prefix.detect_local == Config::DetectLocal::kInterfaceNamePrefix);
  CHECK(prefix.interface_name_prefix == "veth");
}

TEST_CASE("host bits of CIDRs are masked away") {
  CHECK(accepted("clusterCIDR: 10.244.7.9/16").config.cluster_cidrs.at(0).to_string() == "10.244.0.0/16");
}

TEST_CASE("oomScoreAdj is set, so nothing is said of it") {
  const LoadedConfig loaded = accepted("oomScoreAdj: -500");
  CHECK(loaded.config.oom_score_adj == -500);
  CHECK(loaded.remarks.empty());
}

TEST_CASE("fields without effect are accepted and each is named once") {
  const LoadedConfig loaded = accepted(R"(
featureGates: {NFTablesProxyMode: true}
portRange: 1000-2000
windowsRunAsService: true
ipvs: {syncPeriod: 10s, scheduler: rr, excludeCIDRs: [10.0.0.0/8], strictARP: true, tcpTimeout: 0s}
winkernel: {networkName: cbr0, enableDSR: true, sourceVip: ""}
logging: {vmodule: [{filePattern: proxier, verbosity: 5}]}
)");
  CHECK(loaded.config.feature_gates.at("NFTablesProxyMode"));
  const std::vector<std::string> expected{"featureGates.NFTablesProxyMode",
                                          "ipvs.excludeCIDRs",
                                          "ipvs.scheduler",
                                          "ipvs.strictARP",
                                          "ipvs.syncPeriod",
                                          "logging.vmodule",
                                          "portRange",
                                          "windowsRunAsService",
                                          "winkernel.enableDSR",
                                          "winkernel.networkName"};
  std::vector<std::string> named;
  for (const std::string& remark : loaded.remarks) {
    CHECK_THAT(remark, Contains("has no effect here"));
    named.push_back(remark.substr(0, remark.find(':')));
  }
  std::sort(named.begin(), named.end());
  CHECK(named == expected);
}
