#include "agent/config/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "agent/base/printable.h"
#include "agent/config/duration.h"

namespace kubenatd::agent::config {
namespace {

constexpr std::size_t kLongestValue = 256;

std::string value_of(bool value) {
  return value ? "true" : "false";
}
std::string value_of(int value) {
  return std::to_string(value);
}
std::string value_of(double value) {
  return fmt::format("{:g}", value);
}
std::string value_of(Duration value) {
  return to_text(value);
}
std::string value_of(const std::string& value) {
  return value.empty() ? R"("")" : base::one_line(value, kLongestValue);
}
std::string value_of(const char* value) = delete;  // it would be taken for a bool

/// "10.0.0.0/8, fd00::/8", or `none` when there is nothing. Cut when very long.
std::string value_of(const std::vector<rules::Prefix>& prefixes, std::string_view none) {
  constexpr std::size_t kMost = 16;
  if (prefixes.empty()) return std::string(none);
  std::string text;
  for (std::size_t i = 0; i < prefixes.size() && i < kMost; ++i) {
    if (i > 0) text += ", ";
    text += prefixes[i].to_string();
  }
  if (prefixes.size() > kMost) text += fmt::format(" and {} more", prefixes.size() - kMost);
  return text;
}

std::string node_port_addresses_of(const Config& config) {
  constexpr std::size_t kMost = 16;
  const std::vector<std::string> texts = config.node_port_address_texts.value_or(std::vector<std::string>());
  if (texts.empty()) return "every address";
  std::string text;
  for (std::size_t i = 0; i < texts.size() && i < kMost; ++i)
    text += (i == 0 ? "" : ", ") + base::one_line(texts[i], 80);
  if (texts.size() > kMost) text += fmt::format(" and {} more", texts.size() - kMost);
  return text;
}

std::string gates_of(const Config& config) {
  std::string text;
  for (const auto& [name, value] : config.feature_gates) {
    if (text.size() > kLongestValue) return text + ", ...";
    if (!text.empty()) text += ", ";
    text += base::one_line(name, 80) + "=" + value_of(value);
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> describe(const Config& config) {
  std::vector<std::pair<std::string, std::string>> lines;
  const auto add = [&](std::string name, const auto& value) { lines.emplace_back(std::move(name), value_of(value)); };

  const bool is_nftables = config.mode == Config::Mode::kNftables;
  add("mode", std::string(name_of(config.mode)));
  const std::string section = is_nftables ? "nftables." : "iptables.";
  add(section + "masqueradeBit", config.masquerade_bit);
  add(section + "masqueradeAll", config.masquerade_all);
  if (!is_nftables) add(section + "localhostNodePorts", config.localhost_node_ports);
  add(section + "syncPeriod", config.sync_period);
  lines.emplace_back(section + "minSyncPeriod", config.min_sync_period_set
                                                    ? to_text(config.min_sync_period)
                                                    : to_text(config.min_sync_period) + " (not set: not waited for)");

  add("detectLocalMode", std::string(name_of(config.detect_local)));
  if (config.detect_local == Config::DetectLocal::kBridgeInterface) {
    add("detectLocal.bridgeInterface", config.bridge_interface);
  }
  if (config.detect_local == Config::DetectLocal::kInterfaceNamePrefix) {
    add("detectLocal.interfaceNamePrefix", config.interface_name_prefix);
  }
  lines.emplace_back("clusterCIDR", value_of(config.cluster_cidrs, "none"));
  lines.emplace_back("nodePortAddresses", node_port_addresses_of(config));

  add("hostnameOverride", config.hostname_override);
  add("bindAddress", config.bind_address);
  add("healthzBindAddress", config.healthz_bind_address);
  add("metricsBindAddress", config.metrics_bind_address);
  add("bindAddressHardFail", config.bind_address_hard_fail);
  add("enableProfiling", config.enable_profiling);
  add("showHiddenMetricsForVersion", config.show_hidden_metrics_for_version);

  const Config::Conntrack& conntrack = config.conntrack;
  add("conntrack.maxPerCore", conntrack.max_per_core);
  add("conntrack.min", conntrack.min);
  add("conntrack.tcpEstablishedTimeout", conntrack.tcp_established_timeout);
  add("conntrack.tcpCloseWaitTimeout", conntrack.tcp_close_wait_timeout);
  add("conntrack.tcpBeLiberal", conntrack.tcp_be_liberal);
  add("conntrack.udpTimeout", conntrack.udp_timeout);
  add("conntrack.udpStreamTimeout", conntrack.udp_stream_timeout);

  add("configSyncPeriod", config.config_sync_period);
  add("clientConnection.kubeconfig", config.client_connection.kubeconfig);
  add("clientConnection.acceptContentTypes", config.client_connection.accept_content_types);
  add("clientConnection.contentType", config.client_connection.content_type);
  add("clientConnection.qps", config.client_connection.qps);
  add("clientConnection.burst", config.client_connection.burst);
  add("logging.format", config.logging.format);
  add("logging.flushFrequency", config.logging.flush_frequency);
  add("logging.verbosity", config.logging.verbosity);
  if (config.logging.splits_stream()) add(fmt::format("logging.options.{}.splitStream", config.logging.format), true);
  add("oomScoreAdj", config.oom_score_adj);
  lines.emplace_back("featureGates", gates_of(config));

  std::ranges::move(describe_settings(config), std::back_inserter(lines));
  return lines;
}

}  // namespace kubenatd::agent::config
