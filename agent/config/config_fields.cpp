#include "agent/config/config_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/base/printable.h"
#include "agent/config/bind_address.h"
#include "agent/config/logging_fields.h"
#include "rules/words.h"

namespace kubenatd::agent::config {
namespace {

using std::chrono::seconds;

/// What iptables.* and nftables.* have in common.
struct Dataplane {
  std::string path;
  int masquerade_bit = 14;
  bool masquerade_all = false;
  bool localhost_node_ports = true;
  Duration sync_period{};
  bool sync_period_set = false;
  Duration min_sync_period{};
  bool min_sync_period_set = false;
};

void note_no_effect(ConfigFindings& findings, const std::string& path) {
  findings.remark(path, "has no effect here");
}

/// A duration for which zero is the same as not set.
bool read_or_default(FieldReader& reader, std::string_view key, Duration fallback, Duration& value) {
  const bool is_set = reader.read_non_null(key, value) && value != Duration::zero();
  if (!is_set) value = fallback;
  return is_set;
}

void refuse_negative(ConfigFindings& findings, const FieldReader& reader, std::string_view key, bool is_negative) {
  if (is_negative) findings.mistake(reader.path_of(key), "must not be negative");
}

Dataplane read_dataplane(FieldReader reader, bool has_localhost) {
  Dataplane plane{.path = reader.path_of("")};
  reader.read("masqueradeBit", plane.masquerade_bit);
  reader.read("masqueradeAll", plane.masquerade_all);
  if (has_localhost) reader.read("localhostNodePorts", plane.localhost_node_ports);
  plane.sync_period_set = read_or_default(reader, "syncPeriod", seconds(30), plane.sync_period);
  plane.min_sync_period_set = read_or_default(reader, "minSyncPeriod", seconds(1), plane.min_sync_period);
  reader.finish();
  return plane;
}

void check_masquerade_bit(const Dataplane& plane, ConfigFindings& findings) {
  if (plane.masquerade_bit < 0 || plane.masquerade_bit > 31)
    findings.mistake(plane.path + "masqueradeBit", fmt::format("{} is not in 0..31", plane.masquerade_bit));
}

void check_periods(const Dataplane& plane, ConfigFindings& findings) {
  if (plane.sync_period < Duration::zero()) findings.mistake(plane.path + "syncPeriod", "must be greater than zero");
  if (plane.min_sync_period < Duration::zero()) findings.mistake(plane.path + "minSyncPeriod", "must not be negative");
  if (plane.min_sync_period > plane.sync_period && plane.sync_period > Duration::zero())
    findings.mistake(plane.path + "minSyncPeriod", "must not be greater than syncPeriod");
}

/// Both sections are read, that of the mode in force is checked, as kube-proxy does; iptables.masqueradeBit always.
void read_dataplanes(FieldReader& reader, Config& config, ConfigFindings& findings) {
  const bool is_nftables = config.mode == Config::Mode::kNftables;
  const Dataplane iptables = read_dataplane(reader.group("iptables"), true);
  const Dataplane nftables = read_dataplane(reader.group("nftables"), false);
  const Dataplane& in_force = is_nftables ? nftables : iptables;
  check_masquerade_bit(iptables, findings);
  if (is_nftables) check_masquerade_bit(nftables, findings);
  check_periods(in_force, findings);
  config.masquerade_bit = in_force.masquerade_bit;
  config.masquerade_all = in_force.masquerade_all;
  config.localhost_node_ports = !is_nftables && iptables.localhost_node_ports;  // nftables: by nodePortAddresses
  config.sync_period = in_force.sync_period;
  config.sync_period_set = in_force.sync_period_set;
  config.min_sync_period = in_force.min_sync_period;
  config.min_sync_period_set = in_force.min_sync_period_set;
  config.unused.other_masquerade_bit = (is_nftables ? iptables : nftables).masquerade_bit;
  if (is_nftables) config.unused.other_localhost_node_ports = iptables.localhost_node_ports;
}

/// ipvs.*: types are checked, values are named as of no effect.
void read_ipvs(FieldReader reader, Config::Unused::Ipvs& ipvs, ConfigFindings& findings) {
  Duration sync{};
  Duration min_sync{};
  for (const auto& [key, value] :
       {std::pair{"syncPeriod", &sync}, std::pair{"minSyncPeriod", &min_sync},
        std::pair{"tcpTimeout", &ipvs.tcp_timeout}, std::pair{"tcpFinTimeout", &ipvs.tcp_fin_timeout},
        std::pair{"udpTimeout", &ipvs.udp_timeout}}) {
    if (reader.read_non_null(key, *value) && *value != Duration::zero()) note_no_effect(findings, reader.path_of(key));
  }
  if (reader.read("scheduler", ipvs.scheduler) && !ipvs.scheduler.empty())
    note_no_effect(findings, reader.path_of("scheduler"));
  if (std::vector<std::string> cidrs; reader.read("excludeCIDRs", cidrs)) {
    if (!cidrs.empty()) note_no_effect(findings, reader.path_of("excludeCIDRs"));
    ipvs.exclude_cidrs = std::move(cidrs);
  }
  if (reader.read("strictARP", ipvs.strict_arp) && ipvs.strict_arp)
    note_no_effect(findings, reader.path_of("strictARP"));
  reader.finish();
}

void read_winkernel(FieldReader reader, Config::Unused::Winkernel& winkernel, ConfigFindings& findings) {
  for (const auto& [key, value] :
       {std::pair{"networkName", &winkernel.network_name}, std::pair{"sourceVip", &winkernel.source_vip},
        std::pair{"rootHnsEndpointName", &winkernel.root_hns_endpoint_name}}) {
    if (reader.read(key, *value) && !value->empty()) note_no_effect(findings, reader.path_of(key));
  }
  for (const auto& [key, value] : {std::pair{"enableDSR", &winkernel.enable_dsr},
                                   std::pair{"forwardHealthCheckVip", &winkernel.forward_health_check_vip}}) {
    if (reader.read(key, *value) && *value) note_no_effect(findings, reader.path_of(key));
  }
  reader.finish();
}

Config::ClientConnection read_client_connection(FieldReader reader, ConfigFindings& findings) {
  Config::ClientConnection client;
  reader.read("kubeconfig", client.kubeconfig);
  reader.read("acceptContentTypes", client.accept_content_types);
  if (std::string type; reader.read("contentType", type) && !type.empty()) client.content_type = std::move(type);
  if (double qps = 0; reader.read("qps", qps) && qps != 0) client.qps = qps;
  if (int burst = 0; reader.read("burst", burst) && burst != 0) client.burst = burst;
  refuse_negative(findings, reader, "burst", client.burst < 0);
  reader.finish();
  return client;
}

Config::Conntrack read_conntrack(FieldReader reader, ConfigFindings& findings) {
  Config::Conntrack conntrack;
  // Zero means "leave the kernel's setting alone" in all of them; only a missing value is defaulted.
  for (const auto& [key, value] :
       {std::pair{"maxPerCore", &conntrack.max_per_core}, std::pair{"min", &conntrack.min}}) {
    if (reader.read(key, *value)) conntrack.max_set = true;
    refuse_negative(findings, reader, key, *value < 0);
  }
  const auto read_timeout = [&](std::string_view key, Duration& value) {
    const bool is_set = reader.read(key, value);
    refuse_negative(findings, reader, key, value < Duration::zero());
    return is_set;
  };
  conntrack.tcp_established_timeout_set = read_timeout("tcpEstablishedTimeout", conntrack.tcp_established_timeout);
  conntrack.tcp_close_wait_timeout_set = read_timeout("tcpCloseWaitTimeout", conntrack.tcp_close_wait_timeout);
  for (const auto& [key, value] : {std::pair{"udpTimeout", &conntrack.udp_timeout},
                                   std::pair{"udpStreamTimeout", &conntrack.udp_stream_timeout}}) {
    reader.read_non_null(key, *value);
    refuse_negative(findings, reader, key, *value < Duration::zero());
  }
  reader.read("tcpBeLiberal", conntrack.tcp_be_liberal);
  reader.finish();
  return conntrack;
}

void read_mode(FieldReader& reader, Config& config, ConfigFindings& findings) {
  std::string mode;
  reader.read("mode", mode);
  if (mode == "nftables") {
    config.mode = Config::Mode::kNftables;
  } else if (mode == "ipvs") {
    findings.mistake("mode", R"("ipvs" is not supported, "iptables" and "nftables" are (kubenatd has no ipvs))");
  } else if (!mode.empty() && mode != "iptables") {
    findings.mistake("mode", base::in_quotes(mode) + R"( is not supported, "iptables" and "nftables" are)");
  }
}

/// A name that an interface can have, `longest` characters at most.
void check_interface(ConfigFindings& findings, const std::string& path, const std::string& name, std::size_t longest) {
  if (name.empty()) {
    findings.mistake(path, "is required by detectLocalMode");
  } else if (name.size() > longest) {
    findings.mistake(path, base::in_quotes(name) + fmt::format(" is longer than {} characters", longest));
  } else if (std::ranges::any_of(name, [](char c) { return c <= ' ' || c > '~' || c == '/' || c == ':'; })) {
    // What the kernel refuses (dev_valid_name in net/core/dev.c), and what could not be printed.
    findings.mistake(path, base::in_quotes(name) + " is not a name of an interface");
  }
}

void read_detect_local(FieldReader& reader, Config& config, ConfigFindings& findings) {
  using enum Config::DetectLocal;
  static constexpr std::array kModes{kClusterCidr, kNodeCidr, kBridgeInterface, kInterfaceNamePrefix};

  std::string mode;
  if (reader.read("detectLocalMode", mode) && !mode.empty()) {
    const auto* known = std::ranges::find(kModes, mode, [](Config::DetectLocal one) { return name_of(one); });
    if (known == kModes.end()) {
      findings.mistake("detectLocalMode", base::in_quotes(mode) +
                                              " is not one of ClusterCIDR, NodeCIDR, BridgeInterface, "
                                              "InterfaceNamePrefix");
    } else {
      config.detect_local = *known;
    }
  }
  FieldReader detect = reader.group("detectLocal");
  detect.read("bridgeInterface", config.bridge_interface);
  detect.read("interfaceNamePrefix", config.interface_name_prefix);
  detect.finish();
  if (config.detect_local == kBridgeInterface) {
    check_interface(findings, detect.path_of("bridgeInterface"), config.bridge_interface, 15);
  }
  if (config.detect_local == kInterfaceNamePrefix) {
    // IFNAMSIZ is 16 with the closing zero, and iptables needs one character for the "+".
    check_interface(findings, detect.path_of("interfaceNamePrefix"), config.interface_name_prefix, 14);
  }
}

/// What is wrong with a list of CIDRs; empty: nothing.
std::string parse_cluster_cidrs(std::string_view list, std::vector<rules::Prefix>& cidrs) {
  for (const std::string_view text : rules::split(list, ',')) {
    const std::optional<rules::Prefix> prefix = rules::Prefix::parse(text);
    if (!prefix) return base::in_quotes(text) + " is not a CIDR such as 10.244.0.0/16";
    cidrs.push_back(*prefix);
    if (cidrs.size() > 2) return "names more than two CIDRs";
  }
  if (cidrs.size() == 2 && cidrs[0].address.family == cidrs[1].address.family)
    return fmt::format("names two {} CIDRs, at most one of each family is possible",
                       rules::name_of(cidrs[0].address.family));
  return {};
}

/// As kube-proxy, only the mode that needs them looks at them.
void read_cluster_cidrs(FieldReader& reader, Config& config, ConfigFindings& findings) {
  if (!reader.read("clusterCIDR", config.cluster_cidr_text) || config.cluster_cidr_text.empty()) return;
  const std::string wrong = parse_cluster_cidrs(config.cluster_cidr_text, config.cluster_cidrs);
  if (wrong.empty()) return;
  config.cluster_cidrs.clear();
  if (config.detect_local == Config::DetectLocal::kClusterCidr) {
    findings.mistake("clusterCIDR", wrong);
  } else {
    findings.remark("clusterCIDR", wrong + "; it is not used");
  }
}

/// Nothing but addresses of localhost. A wider prefix is no wish to have the kernel route them.
bool is_localhost(const rules::Prefix& prefix) {
  return prefix.address.is_loopback() && (prefix.address.family == rules::Family::kIpv6 || prefix.length >= 8);
}

/// Prefixes and the words that Kubernetes 1.37 takes among them (KEP-6032; kube-proxy v1.36 takes "primary" alone).
void read_node_port_addresses(FieldReader& reader, Config& config, ConfigFindings& findings) {
  const bool is_nftables = config.mode == Config::Mode::kNftables;
  std::vector<std::string> texts;
  const bool given = reader.read("nodePortAddresses", texts);
  const auto add = [&](std::initializer_list<std::string_view> prefixes) {
    for (const std::string_view prefix : prefixes) config.node_port_addresses.push_back(*rules::Prefix::parse(prefix));
  };
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string path = fmt::format("nodePortAddresses[{}]", i);
    if (texts[i] == "primary") {
      config.node_port_addresses_primary = true;
    } else if (texts[i] == "localhost") {
      add({"127.0.0.0/8", "::1/128"});
      if (!config.localhost_node_ports && !is_nftables)
        findings.remark(path, "localhost: NodePorts do not answer there, as iptables.localhostNodePorts is false");
    } else if (texts[i] == "all") {
      add({"0.0.0.0/0", "::/0"});
    } else if (const std::optional<rules::Prefix> prefix = rules::Prefix::parse(texts[i])) {
      config.node_port_addresses.push_back(*prefix);
      if (prefix->address.family == rules::Family::kIpv6 && is_localhost(*prefix))
        findings.remark(path, texts[i] + ": NodePorts never answer on ::1, which Linux does not route");
    } else {
      findings.mistake(path, base::in_quotes(texts[i]) + R"( is not a CIDR and none of "primary", "localhost", "all")");
    }
  }
  if (is_nftables)
    config.localhost_node_ports = std::ranges::any_of(config.node_port_addresses, [](const rules::Prefix& prefix) {
      return prefix.address.family == rules::Family::kIpv4 && is_localhost(prefix);
    });
  if (texts.empty() && is_nftables) {
    texts = {"primary"};
    config.node_port_addresses_primary = true;
  }
  if (given || !texts.empty()) config.node_port_address_texts = std::move(texts);
}

/// bindAddress decides the defaults of the two others.
void default_bind_addresses(Config& config) {
  const std::optional<rules::Address> bind = rules::Address::parse(config.bind_address);
  const bool is_ipv4 = bind && bind->family == rules::Family::kIpv4;
  if (config.healthz_bind_address.empty()) config.healthz_bind_address = is_ipv4 ? "0.0.0.0" : "::";
  if (config.metrics_bind_address.empty()) config.metrics_bind_address = is_ipv4 ? "127.0.0.1" : "::1";
  config.healthz_bind_address = with_port(config.healthz_bind_address, kHealthzPort);
  config.metrics_bind_address = with_port(config.metrics_bind_address, kMetricsPort);
}

void read_bind_addresses(FieldReader& reader, Config& config, ConfigFindings& findings) {
  if (std::string bind; reader.read("bindAddress", bind) && !bind.empty()) config.bind_address = std::move(bind);
  reader.read("healthzBindAddress", config.healthz_bind_address);
  reader.read("metricsBindAddress", config.metrics_bind_address);
  reader.read("bindAddressHardFail", config.bind_address_hard_fail);
  default_bind_addresses(config);
  if (!rules::Address::parse(config.bind_address)) {
    findings.mistake("bindAddress", base::in_quotes(config.bind_address) + " is not an IP address");
  }
  for (const auto& [key, value] : {std::pair{"healthzBindAddress", &config.healthz_bind_address},
                                   std::pair{"metricsBindAddress", &config.metrics_bind_address}}) {
    if (!parse_bind_address(*value)) {
      findings.mistake(key, base::in_quotes(*value) + " is not IP or IP:port with a port in 1..65535");
    }
  }
}

void read_feature_gates(FieldReader& reader, Config& config, ConfigFindings& findings) {
  if (!reader.read("featureGates", config.feature_gates)) return;
  for (const auto& [name, value] : config.feature_gates)
    if (!name.starts_with("Logging")) note_no_effect(findings, "featureGates." + base::one_line(name, 80));
}

void read_oom_score_adj(FieldReader& reader, Config& config, ConfigFindings& findings) {
  reader.read("oomScoreAdj", config.oom_score_adj);
  if (config.oom_score_adj < -1000 || config.oom_score_adj > 1000) {
    findings.mistake("oomScoreAdj", fmt::format("{} is not in -1000..1000", config.oom_score_adj));
  }
}

void read_without_effect(FieldReader& reader, Config::Unused& unused, ConfigFindings& findings) {
  std::string port_range;
  if (reader.read("portRange", port_range) && !port_range.empty()) note_no_effect(findings, "portRange");
  if (reader.read("windowsRunAsService", unused.windows_run_as_service) && unused.windows_run_as_service)
    note_no_effect(findings, "windowsRunAsService");
  read_ipvs(reader.group("ipvs"), unused.ipvs, findings);
  read_winkernel(reader.group("winkernel"), unused.winkernel, findings);
}

}  // namespace

Config default_config() {
  Config config;
  default_bind_addresses(config);
  return config;
}

Config read_fields(const nlohmann::json& document, ConfigFindings& findings) {
  Config config;
  FieldReader reader(document, "", findings);
  reader.skip("apiVersion");
  reader.skip("kind");
  read_feature_gates(reader, config, findings);
  config.client_connection = read_client_connection(reader.group("clientConnection"), findings);
  config.logging = read_logging(reader.group("logging"), config.feature_gates, findings);
  reader.read("hostnameOverride", config.hostname_override);
  read_bind_addresses(reader, config, findings);
  reader.read("enableProfiling", config.enable_profiling);
  reader.read("showHiddenMetricsForVersion", config.show_hidden_metrics_for_version);
  read_mode(reader, config, findings);
  read_dataplanes(reader, config, findings);
  read_detect_local(reader, config, findings);
  read_cluster_cidrs(reader, config, findings);
  read_node_port_addresses(reader, config, findings);
  config.conntrack = read_conntrack(reader.group("conntrack"), findings);
  read_or_default(reader, "configSyncPeriod", std::chrono::minutes(15), config.config_sync_period);
  if (config.config_sync_period < Duration::zero()) {
    findings.mistake("configSyncPeriod", "must be greater than zero");
  }
  read_oom_score_adj(reader, config, findings);
  read_without_effect(reader, config.unused, findings);
  reader.finish();
  return config;
}

}  // namespace kubenatd::agent::config
