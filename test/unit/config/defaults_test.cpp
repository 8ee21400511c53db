#include <catch2/catch.hpp>

#include "test/unit/config/config_support.h"

using namespace kubenatd;
using namespace kubenatd::agent::config;
using namespace kubenatd::test;
using namespace std::chrono_literals;

namespace {

void check_defaults(const Config& config) {
  CHECK(config.client_connection.content_type == "application/vnd.kubernetes.protobuf");
  CHECK(config.client_connection.qps == 5);
  CHECK(config.client_connection.burst == 10);
  CHECK(config.logging.format == "text");
  CHECK(config.logging.flush_frequency == 5s);
  CHECK(config.hostname_override.empty());
  CHECK(config.bind_address == "0.0.0.0");
  CHECK(config.healthz_bind_address == "0.0.0.0:10256");
  CHECK(config.metrics_bind_address == "127.0.0.1:10249");
  CHECK(config.mode == Config::Mode::kIptables);
  CHECK(config.masquerade_bit == 14);
  CHECK_FALSE(config.masquerade_all);
  CHECK(config.localhost_node_ports);
  CHECK(config.sync_period == 30s);
  CHECK(config.min_sync_period == 1s);
  CHECK_FALSE(config.min_sync_period_set);
  CHECK(config.detect_local == Config::DetectLocal::kClusterCidr);
  CHECK(config.node_port_addresses.empty());
  CHECK_FALSE(config.node_port_addresses_primary);
  CHECK(config.oom_score_adj == -999);
  CHECK(config.conntrack.max_per_core == 32768);
  CHECK(config.conntrack.min == 131072);
  CHECK(config.conntrack.tcp_established_timeout == 24h);
  CHECK(config.conntrack.tcp_close_wait_timeout == 1h);
  CHECK_FALSE(config.conntrack.tcp_be_liberal);
  CHECK(config.conntrack.udp_timeout == 0s);
  CHECK(config.conntrack.udp_stream_timeout == 0s);
  CHECK(config.config_sync_period == 15min);
}

}  // namespace

TEST_CASE("without a file kube-proxy's defaults hold") {
  check_defaults(default_config());
  CHECK(default_config().cluster_cidrs.empty());
}

TEST_CASE("an empty configuration has the defaults") {
  const LoadedConfig loaded = accepted("");
  check_defaults(loaded.config);
  CHECK(loaded.remarks.empty());
}

TEST_CASE("null groups and null fields have the defaults") {
  const LoadedConfig loaded = accepted(R"(
iptables:
nftables: null
conntrack: ~
clientConnection: {}
logging: {format: , verbosity: null}
featureGates: {}
detectLocal:
ipvs:
winkernel:
)");
  check_defaults(loaded.config);
  CHECK(loaded.remarks.empty());
}

TEST_CASE("kubeadm's file has the defaults and nothing to remark") {
  const auto loaded = parse_config(kKubeadmFile, "config.conf");
  REQUIRE(loaded);
  check_defaults(loaded->config);
  CHECK(loaded->config.client_connection.kubeconfig == "/var/lib/kube-proxy/kubeconfig.conf");
  REQUIRE(loaded->config.cluster_cidrs.size() == 1);
  CHECK(loaded->config.cluster_cidrs[0].to_string() == "10.244.0.0/16");
  CHECK(loaded->remarks.empty());
}

TEST_CASE("kind's file turns conntrack sizing off and sets a minimum period") {
  const auto loaded = parse_config(kKindFile, "config.conf");
  REQUIRE(loaded);
  const Config& config = loaded->config;
  CHECK(config.conntrack.max_per_core == 0);
  CHECK(config.conntrack.min == 131072);
  CHECK(config.conntrack.tcp_established_timeout == 0s);
  CHECK(config.conntrack.tcp_close_wait_timeout == 0s);
  CHECK(config.min_sync_period == 1s);
  CHECK(config.min_sync_period_set);
  CHECK(config.sync_period == 30s);
  REQUIRE(config.cluster_cidrs.size() == 2);
  CHECK(config.cluster_cidrs[1].to_string() == "fd00:10:244::/56");
  CHECK(loaded->remarks.empty());
}

TEST_CASE("a port is added to bind addresses that have none") {
  const Config v4 = accepted("healthzBindAddress: 192.0.2.1\nmetricsBindAddress: 192.0.2.2:9000").config;
  CHECK(v4.healthz_bind_address == "192.0.2.1:10256");
  CHECK(v4.metrics_bind_address == "192.0.2.2:9000");
  const Config v6 = accepted("healthzBindAddress: '::1'\nmetricsBindAddress: '[fd00::1]:9000'").config;
  CHECK(v6.healthz_bind_address == "[::1]:10256");
  CHECK(v6.metrics_bind_address == "[fd00::1]:9000");
}

TEST_CASE("an IPv6 bindAddress makes the servers listen on IPv6") {
  const Config config = accepted("bindAddress: '::'").config;
  CHECK(config.healthz_bind_address == "[::]:10256");
  CHECK(config.metrics_bind_address == "[::1]:10249");
}
