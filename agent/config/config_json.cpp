#include "agent/config/config_json.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "agent/config/duration.h"
#include "agent/config/settings_file.h"

namespace kubenatd::agent::config {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* name_of(Config::DetectLocal mode) {
  switch (mode) {
    case Config::DetectLocal::kClusterCidr: return "ClusterCIDR";
    case Config::DetectLocal::kNodeCidr: return "NodeCIDR";
    case Config::DetectLocal::kBridgeInterface: return "BridgeInterface";
    case Config::DetectLocal::kInterfaceNamePrefix: return "InterfaceNamePrefix";
  }
  return "";
}

/// Whole numbers without a fraction, as Go writes them.
Json number(double value) {
  const auto whole = static_cast<std::int64_t>(std::clamp(value, -1e15, 1e15));
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

Json client_connection(const Config::ClientConnection& client) {
  return {{"kubeconfig", client.kubeconfig},
          {"acceptContentTypes", client.accept_content_types},
          {"contentType", client.content_type},
          {"qps", number(client.qps)},
          {"burst", client.burst}};
}

Json logging(const Config::Logging& logging) {
  return {{"format", logging.format},
          {"flushFrequency", to_text(logging.flush_frequency)},
          {"verbosity", logging.verbosity},
          {"options", {{"text", {{"infoBufferSize", "0"}}}, {"json", {{"infoBufferSize", "0"}}}}}};
}

Json dataplane(const Config& config, bool iptables) {
  Json json = {{"masqueradeBit", config.masquerade_bit}, {"masqueradeAll", config.masquerade_all}};
  if (iptables) json["localhostNodePorts"] = config.localhost_node_ports;
  json["syncPeriod"] = to_text(config.sync_period);
  json["minSyncPeriod"] = to_text(config.min_sync_period);
  return json;
}

Json ipvs() {
  return {{"syncPeriod", "30s"}, {"minSyncPeriod", "0s"}, {"scheduler", ""},       {"excludeCIDRs", nullptr},
          {"strictARP", false},  {"tcpTimeout", "0s"},    {"tcpFinTimeout", "0s"}, {"udpTimeout", "0s"}};
}

Json winkernel() {
  return {{"networkName", ""},
          {"sourceVip", ""},
          {"enableDSR", false},
          {"rootHnsEndpointName", ""},
          {"forwardHealthCheckVip", false}};
}

Json conntrack(const Config::Conntrack& conntrack) {
  return {{"maxPerCore", conntrack.max_per_core},
          {"min", conntrack.min},
          {"tcpEstablishedTimeout", to_text(conntrack.tcp_established_timeout)},
          {"tcpCloseWaitTimeout", to_text(conntrack.tcp_close_wait_timeout)},
          {"tcpBeLiberal", conntrack.tcp_be_liberal},
          {"udpTimeout", to_text(conntrack.udp_timeout)},
          {"udpStreamTimeout", to_text(conntrack.udp_stream_timeout)}};
}

std::string cluster_cidr(const Config& config) {
  std::string text;
  for (const rules::Prefix& prefix : config.cluster_cidrs) text += (text.empty() ? "" : ",") + prefix.to_string();
  return text;
}

Json node_port_addresses(const Config& config) {
  if (config.node_port_addresses_primary) return Json::array({"primary"});
  if (config.node_port_addresses.empty()) return nullptr;
  Json json = Json::array();
  for (const rules::Prefix& prefix : config.node_port_addresses) json.push_back(prefix.to_string());
  return json;
}

// The value of a setting as its field holds it.
template <class Member>
Json field_value(const Setting& setting, const Settings& values, const Member& /*member*/) {
  return setting.text(values);
}
Json field_value(const Setting& /*setting*/, const Settings& values, const Setting::Range<std::size_t>& range) {
  return values.*range.member;
}
Json field_value(const Setting& /*setting*/, const Settings& values, bool Settings::*const& member) {
  return values.*member;
}
template <class T>
Json field_value(const Setting& /*setting*/, const Settings& values, std::vector<T> Settings::*const& member) {
  Json json = Json::array();
  for (const T& each : values.*member) {
    if constexpr (requires { each.to_string(); })
      json.push_back(each.to_string());
    else
      json.push_back(each.string());
  }
  return json;
}

}  // namespace

std::string to_json(const Config& config) {
  const bool is_iptables = config.mode == Config::Mode::kIptables;
  Config other_mode;  // its defaults
  Json json = {{"kind", "KubeProxyConfiguration"}, {"apiVersion", "kubeproxy.config.k8s.io/v1alpha1"}};
  if (!config.feature_gates.empty()) json["featureGates"] = config.feature_gates;
  json["clientConnection"] = client_connection(config.client_connection);
  json["logging"] = logging(config.logging);
  json["hostnameOverride"] = config.hostname_override;
  json["bindAddress"] = config.bind_address;
  json["healthzBindAddress"] = config.healthz_bind_address;
  json["metricsBindAddress"] = config.metrics_bind_address;
  json["bindAddressHardFail"] = config.bind_address_hard_fail;
  json["enableProfiling"] = config.enable_profiling;
  json["showHiddenMetricsForVersion"] = config.show_hidden_metrics_for_version;
  json["mode"] = is_iptables ? "iptables" : "nftables";
  json["iptables"] = dataplane(is_iptables ? config : other_mode, true);
  json["ipvs"] = ipvs();
  json["nftables"] = dataplane(is_iptables ? other_mode : config, false);
  json["winkernel"] = winkernel();
  json["detectLocalMode"] = name_of(config.detect_local);
  json["detectLocal"] = {{"bridgeInterface", config.bridge_interface},
                         {"interfaceNamePrefix", config.interface_name_prefix}};
  json["clusterCIDR"] = cluster_cidr(config);
  json["nodePortAddresses"] = node_port_addresses(config);
  json["oomScoreAdj"] = config.oom_score_adj;
  json["conntrack"] = conntrack(config.conntrack);
  json["configSyncPeriod"] = to_text(config.config_sync_period);
  json["portRange"] = "";
  // Text of a file may hold bytes that are no UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string settings_document(const Settings& values) {
  Json json = {{"kind", kSettingsKind}, {"apiVersion", kSettingsApiVersion}};
  const std::size_t without_fields = json.size();
  for (const Setting& setting : settings()) {
    if (setting.field.empty() || setting.text(values) == setting.text(Settings{})) continue;
    json[std::string(setting.field)] =
        std::visit([&](const auto& of) { return field_value(setting, values, of); }, setting.member);
  }
  return json.size() == without_fields ? ""
                                       : "---\n" + json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace kubenatd::agent::config
