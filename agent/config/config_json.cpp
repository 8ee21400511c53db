#include "agent/config/config_json.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "agent/config/duration.h"
#include "agent/config/settings_file.h"

namespace kubenatd::agent::config {
namespace {

using Json = nlohmann::ordered_json;

/// As Go writes a float32: the shortest text that is read as the same, whole numbers without a fraction.
Json number(double value) {
  const auto number = static_cast<float>(value);
  constexpr float kExact = 16777216;  // 2^24: above it not every whole number is one
  if (std::fabs(number) <= kExact && std::trunc(number) == number) return static_cast<std::int64_t>(number);
  return Json::parse(fmt::format("{}", number));
}

Json client_connection(const Config::ClientConnection& client) {
  return {{"kubeconfig", client.kubeconfig},
          {"acceptContentTypes", client.accept_content_types},
          {"contentType", client.content_type},
          {"qps", number(client.qps)},
          {"burst", client.burst}};
}

Json stream(const Config::Logging::Stream& stream) {
  Json json = Json::object();
  if (stream.split) json["splitStream"] = true;
  json["infoBufferSize"] = stream.info_buffer_size;
  return json;
}

Json logging(const Config::Logging& logging) {
  Json json = {{"format", logging.format}};
  if (logging.flush_frequency_is_number) {
    json["flushFrequency"] = logging.flush_frequency.count();
  } else {
    json["flushFrequency"] = to_text(logging.flush_frequency);
  }
  json["verbosity"] = logging.verbosity;
  for (const Config::Logging::Module& module : logging.vmodule)
    json["vmodule"].push_back({{"filePattern", module.file_pattern}, {"verbosity", module.verbosity}});
  json["options"] = {{"text", stream(logging.text)}, {"json", stream(logging.json)}};
  return json;
}

/// iptables.* or nftables.*. Of the mode that is not in force kube-proxy keeps less.
Json dataplane(const Config& config, Config::Mode mode) {
  const bool in_force = config.mode == mode;
  Json json = {{"masqueradeBit", in_force ? config.masquerade_bit : config.unused.other_masquerade_bit},
               {"masqueradeAll", in_force && config.masquerade_all}};
  if (mode == Config::Mode::kIptables)
    json["localhostNodePorts"] = config.unused.other_localhost_node_ports.value_or(config.localhost_node_ports);
  json["syncPeriod"] = to_text(in_force ? config.sync_period : Duration::zero());
  json["minSyncPeriod"] = to_text(in_force ? config.min_sync_period : Duration::zero());
  return json;
}

Json ipvs(const Config::Unused::Ipvs& ipvs) {
  return {{"syncPeriod", "0s"},
          {"minSyncPeriod", "0s"},
          {"scheduler", ipvs.scheduler},
          {"excludeCIDRs", ipvs.exclude_cidrs ? Json(*ipvs.exclude_cidrs) : Json(nullptr)},
          {"strictARP", ipvs.strict_arp},
          {"tcpTimeout", to_text(ipvs.tcp_timeout)},
          {"tcpFinTimeout", to_text(ipvs.tcp_fin_timeout)},
          {"udpTimeout", to_text(ipvs.udp_timeout)}};
}

Json winkernel(const Config::Unused::Winkernel& winkernel) {
  return {{"networkName", winkernel.network_name},
          {"sourceVip", winkernel.source_vip},
          {"enableDSR", winkernel.enable_dsr},
          {"rootHnsEndpointName", winkernel.root_hns_endpoint_name},
          {"forwardHealthCheckVip", winkernel.forward_health_check_vip}};
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

Json node_port_addresses(const Config& config) {
  return config.node_port_address_texts ? Json(*config.node_port_address_texts) : Json(nullptr);
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
  json["mode"] = name_of(config.mode);
  json["iptables"] = dataplane(config, Config::Mode::kIptables);
  json["ipvs"] = ipvs(config.unused.ipvs);
  json["nftables"] = dataplane(config, Config::Mode::kNftables);
  json["winkernel"] = winkernel(config.unused.winkernel);
  json["detectLocalMode"] = name_of(config.detect_local);
  json["detectLocal"] = {{"bridgeInterface", config.bridge_interface},
                         {"interfaceNamePrefix", config.interface_name_prefix}};
  json["clusterCIDR"] = config.cluster_cidr_text;
  json["nodePortAddresses"] = node_port_addresses(config);
  json["oomScoreAdj"] = config.oom_score_adj;
  json["conntrack"] = conntrack(config.conntrack);
  json["configSyncPeriod"] = to_text(config.config_sync_period);
  json["portRange"] = "";
  if (config.unused.windows_run_as_service) json["windowsRunAsService"] = true;
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
