#include "agent/config/flags.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "test/unit/config/config_support.h"

using namespace kubenatd;
using namespace kubenatd::agent::config;
using namespace kubenatd::test;
using namespace std::chrono_literals;

namespace {

FlagValues parsed(const std::vector<std::string>& words) {
  FlagValues values;
  FlagSet flags;
  register_kube_proxy_flags(flags, Command::kRun, values);
  const auto read = flags.parse(words);
  if (!read) FAIL(read.error().to_string());
  CHECK(read->arguments.empty());
  return values;
}

/// What is wrong with the usage.
std::string mistake(const std::vector<std::string>& words) {
  FlagValues values;
  FlagSet flags;
  register_kube_proxy_flags(flags, Command::kRun, values);
  const auto read = flags.parse(words);
  if (read) FAIL("accepted");
  CHECK(read.error().cause.find('\n') == std::string::npos);
  return read.error().cause;
}

struct Applied {
  Config config;
  std::vector<std::string> remarks;
};

Applied applied(const std::vector<std::string>& arguments, const Config& start = default_config()) {
  Applied result{start, {}};
  auto remarks = apply(parsed(arguments), result.config);
  if (!remarks) FAIL(remarks.error().to_string());
  result.remarks = std::move(*remarks);
  return result;
}

std::string refusal(const std::vector<std::string>& arguments) {
  Config config = default_config();
  config.hostname_override = "as-it-was";
  const auto remarks = apply(parsed(arguments), config);
  if (remarks) FAIL("accepted");
  CHECK(remarks.error().object == "command line");
  CHECK(config.hostname_override == "as-it-was");
  return remarks.error().cause;
}

}  // namespace

TEST_CASE("without flags kube-proxy's defaults hold") {
  const auto [config, remarks] = applied({});
  CHECK(remarks.empty());
  CHECK(config.healthz_bind_address == "0.0.0.0:10256");
  CHECK(config.metrics_bind_address == "127.0.0.1:10249");
  CHECK(config.sync_period == 30s);
  CHECK_FALSE(config.min_sync_period_set);
  CHECK_FALSE(config.conntrack.max_set);
  CHECK(config.master.empty());
}

TEST_CASE("each flag sets its field, with and without an equals sign") {
  const auto config = applied({"--kubeconfig",
                               "/etc/kubeconfig",
                               "--master=https://10.0.0.1:6443",
                               "--kube-api-qps=2.5",
                               "--kube-api-burst",
                               "7",
                               "--kube-api-content-type=application/json",
                               "--hostname-override=node-7",
                               "--bind-address=10.1.1.1",
                               "--bind-address-hard-fail",
                               "--profiling=true",
                               "--iptables-masquerade-bit=3",
                               "--masquerade-all",
                               "--iptables-localhost-nodeports=false",
                               "--iptables-sync-period=1m",
                               "--iptables-min-sync-period=2s",
                               "--detect-local-mode=BridgeInterface",
                               "--pod-bridge-interface=cni0",
                               "--cluster-cidr=10.244.0.0/16,fd00::/56",
                               "--conntrack-max-per-core=1000",
                               "--conntrack-min=5",
                               "--conntrack-tcp-timeout-established=2h",
                               "--conntrack-tcp-timeout-close-wait=3m",
                               "--conntrack-tcp-be-liberal",
                               "--conntrack-udp-timeout=4s",
                               "--conntrack-udp-timeout-stream=5s",
                               "--config-sync-period=6m",
                               "--logging-format=json",
                               "--log-flush-frequency=7s"})
                          .config;
  CHECK(config.client_connection.kubeconfig == "/etc/kubeconfig");
  CHECK(config.master == "https://10.0.0.1:6443");
  CHECK(config.client_connection.qps == 2.5);
  CHECK(config.client_connection.burst == 7);
  CHECK(config.client_connection.content_type == "application/json");
  CHECK(config.hostname_override == "node-7");
  CHECK(config.bind_address == "10.1.1.1");
  CHECK(config.bind_address_hard_fail);
  CHECK(config.enable_profiling);
  CHECK(config.masquerade_bit == 3);
  CHECK(config.masquerade_all);
  CHECK_FALSE(config.localhost_node_ports);
  CHECK(config.sync_period == 1min);
  CHECK(config.min_sync_period == 2s);
  CHECK(config.min_sync_period_set);
  CHECK(config.detect_local == Config::DetectLocal::kBridgeInterface);
  CHECK(config.bridge_interface == "cni0");
  CHECK(config.cluster_cidrs.size() == 2);
  CHECK(config.conntrack.max_per_core == 1000);
  CHECK(config.conntrack.min == 5);
  CHECK(config.conntrack.max_set);
  CHECK(config.conntrack.tcp_established_timeout == 2h);
  CHECK(config.conntrack.tcp_established_timeout_set);
  CHECK(config.conntrack.tcp_close_wait_timeout == 3min);
  CHECK(config.conntrack.tcp_be_liberal);
  CHECK(config.conntrack.udp_timeout == 4s);
  CHECK(config.conntrack.udp_stream_timeout == 5s);
  CHECK(config.config_sync_period == 6min);
  CHECK(config.logging.format == "json");
  CHECK(config.logging.flush_frequency == 7s);
}

TEST_CASE("bools are written as Go writes them") {
  CHECK(applied({"--masquerade-all"}).config.masquerade_all);
  for (const char* text : {"true", "1", "T", "TRUE"}) {
    CHECK(applied({"--masquerade-all=" + std::string(text)}).config.masquerade_all);
  }
  for (const char* text : {"false", "0", "f", "False"}) {
    CHECK_FALSE(applied({"--masquerade-all=" + std::string(text)}).config.masquerade_all);
  }
  CHECK(mistake({"--masquerade-all=perhaps"}) ==
        R"(invalid argument "perhaps" for "--masquerade-all" flag: it is not true or false)");
  CHECK(parsed({"--cleanup", "--init-only=false"}).cleanup);
  CHECK_FALSE(parsed({"--cleanup", "--init-only=false"}).init_only);
}

TEST_CASE("the log's verbosity is taken in every spelling") {
  CHECK(applied({"-v", "4"}).config.logging.verbosity == 4);
  CHECK(applied({"-v=4"}).config.logging.verbosity == 4);
  CHECK(applied({"-v4"}).config.logging.verbosity == 4);
  CHECK(applied({"--v=4"}).config.logging.verbosity == 4);
  CHECK(applied({"--v", "4", "--masquerade-all"}).config.logging.verbosity == 4);
  CHECK(mistake({"--v=loud"}) == R"(invalid argument "loud" for "-v, --v" flag: it is not a whole number)");
  CHECK(mistake({"--v"}) == "flag needs an argument: --v");
}

TEST_CASE("a verbosity without a number and --verbose ask for more than by default") {
  CHECK(parsed({"-v"}).verbosity == 1);
  CHECK(parsed({"-v", "--masquerade-all"}).verbosity == 1);
  CHECK(parsed({"-vv", "-v"}).verbosity == 3);
  CHECK(parsed({"--verbose"}).verbosity == 1);
  CHECK(parsed({"-v", "--verbose=false"}).verbosity == 0);
  CHECK(parsed({"-v", "3"}).verbosity == 0);
  CHECK(applied({"-v", "--masquerade-all"}).config.logging.verbosity == 0);
}

TEST_CASE("of a repeated flag the last counts, and lists are joined") {
  CHECK(applied({"--conntrack-min=1", "--conntrack-min=2"}).config.conntrack.min == 2);
  CHECK_FALSE(applied({"--masquerade-all", "--masquerade-all=false"}).config.masquerade_all);
  const auto config = applied({"--nodeport-addresses=10.0.0.0/8,fd00::/8", "--nodeport-addresses=11.0.0.0/8"}).config;
  CHECK(config.node_port_addresses.size() == 3);
  CHECK(applied({"--nodeport-addresses=primary"}).config.node_port_addresses_primary);
}

TEST_CASE("in nftables mode the periods and masquerade-all are that mode's") {
  const auto config = applied({"--proxy-mode=nftables", "--iptables-sync-period=1m", "--iptables-min-sync-period=3s",
                               "--masquerade-all"})
                          .config;
  CHECK(config.mode == Config::Mode::kNftables);
  CHECK(config.sync_period == 1min);
  CHECK(config.min_sync_period == 3s);
  CHECK(config.masquerade_all);
}

TEST_CASE("values are checked as the file's fields, and the flag is named") {
  CHECK(refusal({"--iptables-masquerade-bit=40"}) == "--iptables-masquerade-bit: 40 is not in 0..31");
  CHECK(refusal({"--proxy-mode=ipvs"}).starts_with("--proxy-mode: "));
  CHECK(mistake({"--conntrack-min=many"}) ==
        R"(invalid argument "many" for "--conntrack-min" flag: it is not a whole number)");
  CHECK(mistake({"--conntrack-min=~"}).find("--conntrack-min") != std::string::npos);
  CHECK(refusal({"--cluster-cidr=nowhere"}).starts_with("--cluster-cidr: "));
  CHECK(refusal({"--nodeport-addresses=10.0.0.0/8,x"}).starts_with("--nodeport-addresses[1]: "));
  CHECK(mistake({"--feature-gates=A"}).find(R"("A" is not NAME=true or NAME=false)") != std::string::npos);
  CHECK(refusal({"--healthz-bind-address=0.0.0.0:0"}).starts_with("--healthz-bind-address: "));
  CHECK(mistake({"--iptables-sync-period=30"}).find("--iptables-sync-period") != std::string::npos);
  CHECK(refusal({"--iptables-sync-period=0"}) == "--iptables-sync-period: must be greater than zero");
  CHECK(mistake({"--bind-address=here"}).find("it is not an IP address") != std::string::npos);
  const std::string both = refusal({"--conntrack-min=-1", "--oom-score-adj=5000"});
  CHECK(both.find("--conntrack-min: must not be negative") != std::string::npos);
  CHECK(both.find("--oom-score-adj: ") != std::string::npos);
  CHECK(refusal({"--cluster-cidr=a\nb"}).find('\n') == std::string::npos);
  CHECK(mistake({"--conntrack-min=a\nb"}).find("--conntrack-min") != std::string::npos);
}

TEST_CASE("deprecated ports go to addresses that have none, and zero means no server") {
  const auto [config, remarks] =
      applied({"--healthz-port=1234", "--metrics-port=0", "--healthz-bind-address=10.0.0.1"});
  CHECK(config.healthz_bind_address == "10.0.0.1:1234");
  CHECK(config.metrics_bind_address.empty());
  REQUIRE(remarks.size() == 2);
  CHECK(remarks[0] == "--healthz-port: is deprecated, use --healthz-bind-address");
  CHECK(applied({"--healthz-bind-address=::1"}).config.healthz_bind_address == "[::1]:10256");
  CHECK(applied({"--metrics-port=9", "--metrics-bind-address=10.0.0.1:8"}).config.metrics_bind_address == "10.0.0.1:8");
  CHECK(refusal({"--healthz-port=65536", "--healthz-bind-address=::"}) == "--healthz-port: 65536 is not a port");
  // As in kube-proxy the default has a port already, and no flag changes it.
  const auto unused = applied({"--healthz-port=1234"});
  CHECK(unused.config.healthz_bind_address == "0.0.0.0:10256");
  REQUIRE(unused.remarks.size() == 2);
  CHECK(unused.remarks[1] == "--healthz-port: gives no port to 0.0.0.0:10256, which has one");
}

TEST_CASE("an empty value is one and eats no other word") {
  const auto values = parsed({"--hostname-override=", "--config=FILE"});
  CHECK(values.config == "FILE");
  CHECK(values.hostname_override == "");
  CHECK_FALSE(parsed({"--config=FILE", "--config="}).config);
  CHECK(applied({"--bind-address=10.0.0.1", "--bind-address="}).config.bind_address == "10.0.0.1");
  CHECK(applied({"--metrics-bind-address="}).config.metrics_bind_address == "127.0.0.1:10249");
  CHECK(applied({"--nodeport-addresses="}).config.node_port_addresses.empty());
  CHECK(applied({"--detect-local-mode=", "--proxy-mode="}).config.mode == Config::Mode::kIptables);
}

TEST_CASE("a flag that takes the next word says so when that looks like a flag") {
  FlagValues values;
  FlagSet flags;
  register_kube_proxy_flags(flags, Command::kRun, values);
  const std::vector<std::string> words{"--hostname-override", "--config=FILE"};
  const auto read = flags.parse(words);
  REQUIRE(read);
  CHECK(values.hostname_override == "--config=FILE");
  REQUIRE(read->remarks.size() == 1);
  CHECK(read->remarks[0] == R"(--hostname-override has no "=", so "--config=FILE" is its value and not a flag)");
}

TEST_CASE("field case F33: what nodes of providers run kube-proxy with") {
  const auto aks = applied({"--conntrack-max-per-core=0", "--metrics-bind-address=0.0.0.0:10249",
                            "--kubeconfig=/var/lib/kubelet/kubeconfig", "--cluster-cidr=10.244.0.0/16",
                            "--detect-local-mode=ClusterCIDR", "--pod-interface-name-prefix=", "--v=3"})
                       .config;
  CHECK(aks.interface_name_prefix.empty());
  CHECK(aks.logging.verbosity == 3);
  const auto azure = applied({"--conntrack-max-per-core=0", "--metrics-bind-address=0.0.0.0:10249",
                              "--kubeconfig=/var/lib/kubelet/kubeconfig", "--cluster-cidr=10.244.0.0/16",
                              "--detect-local-mode=InterfaceNamePrefix", "--pod-interface-name-prefix=azv", "--v=3"})
                         .config;
  CHECK(azure.interface_name_prefix == "azv");
  CHECK(azure.detect_local == Config::DetectLocal::kInterfaceNamePrefix);
  const auto gke = applied({"--master=https://198.51.100.20", "--kubeconfig=/var/lib/kube-proxy/kubeconfig",
                            "--cluster-cidr=10.4.0.0/14", "--oom-score-adj=-998", "--v=2",
                            "--feature-gates=RotateKubeletServerCertificate=true", "--iptables-sync-period=1m",
                            "--iptables-min-sync-period=10s", "--ipvs-sync-period=1m", "--ipvs-min-sync-period=10s",
                            "--detect-local-mode=NodeCIDR"});
  CHECK(gke.config.detect_local == Config::DetectLocal::kNodeCidr);
  CHECK(gke.config.min_sync_period == 10s);
  CHECK(gke.remarks.size() == 1);
  const auto k3s = applied({"--cluster-cidr=10.42.0.0/16", "--conntrack-max-per-core=0",
                            "--conntrack-tcp-timeout-close-wait=0s", "--conntrack-tcp-timeout-established=0s",
                            "--healthz-bind-address=127.0.0.1", "--hostname-override=node-1",
                            "--kubeconfig=/var/lib/rancher/kubeproxy.kubeconfig", "--proxy-mode=iptables"})
                       .config;
  CHECK(k3s.healthz_bind_address == "127.0.0.1:10256");
  CHECK(k3s.hostname_override == "node-1");
  const auto unset = applied({"--hostname-override=", "--v=2"}).config;
  CHECK(unset.hostname_override.empty());
  CHECK(unset.logging.verbosity == 2);
  // kube-proxy v1.36 refuses it, too; outside ClusterCIDR it is as good as not given.
  CHECK(refusal({"--feature-gates=", "--cluster-cidr=", "--v=2"}) ==
        R"(--cluster-cidr: "" is not a CIDR such as 10.244.0.0/16; leave the flag out when there is none)");
  CHECK(applied({"--cluster-cidr=", "--detect-local-mode=NodeCIDR"}).config.cluster_cidrs.empty());
}

TEST_CASE("oom-score-adj is set, and the help does not say that it has no effect") {
  const auto [config, remarks] = applied({"--oom-score-adj=-998"});
  CHECK(config.oom_score_adj == -998);
  CHECK(remarks.empty());
  FlagValues values;
  FlagSet flags;
  register_kube_proxy_flags(flags, Command::kRun, values);
  CHECK(flags.find("oom-score-adj")->group == flags.find("healthz-bind-address")->group);
  CHECK(flags.find("profiling")->group == flags.find("ipvs-scheduler")->group);
  CHECK(flags.find("oom-score-adj")->group != flags.find("vmodule")->group);
}

TEST_CASE("flags without effect are accepted with one line for all of them") {
  const auto remarks = applied({"--ipvs-scheduler=rr", "--ipvs-strict-arp", "--feature-gates=NFTablesProxyMode=true",
                                "--proxy-port-range=1-2", "--logtostderr=true", "--vmodule=a=1",
                                "--ipvs-exclude-cidrs=10.0.0.0/8", "--log-dir=/tmp"})
                           .remarks;
  REQUIRE(remarks.size() == 1);
  CHECK(remarks[0].starts_with("without effect here: "));
  for (const char* flag : {"--ipvs-scheduler", "--ipvs-strict-arp", "--feature-gates.NFTablesProxyMode",
                           "--proxy-port-range", "--logtostderr", "--vmodule", "--ipvs-exclude-cidrs", "--log-dir"}) {
    CAPTURE(flag);
    CHECK(remarks[0].find(flag) != std::string::npos);
  }
}

TEST_CASE("beside a file only the flags count that kube-proxy lets count") {
  Config file = accepted("iptables: {masqueradeBit: 5}\nhostnameOverride: of-the-file\nlogging: {verbosity: 1}").config;
  const auto [config, remarks] =
      applied({"--config=config.yaml", "--iptables-masquerade-bit=7", "--hostname-override=of-the-flag",
               "--master=https://m", "--v=3", "--healthz-port=1"},
              file);
  CHECK(config.masquerade_bit == 5);
  CHECK(config.hostname_override == "of-the-flag");
  CHECK(config.master == "https://m");
  CHECK(config.logging.verbosity == 3);
  CHECK(config.logging.format == "text");
  CHECK(config.healthz_bind_address == "0.0.0.0:10256");
  REQUIRE(remarks.size() == 1);
  CHECK(remarks[0] == "ignored beside --config: --iptables-masquerade-bit, --healthz-port");
}

TEST_CASE("what is kubenatd's own stays") {
  Config start = default_config();
  start.dispatch = Config::Dispatch::kTree;
  start.tree_threshold = 7;
  start.audit_period = 11s;
  const auto config = applied({"--masquerade-all"}, start).config;
  CHECK(config.dispatch == Config::Dispatch::kTree);
  CHECK(config.tree_threshold == 7);
  CHECK(config.audit_period == 11s);
}
