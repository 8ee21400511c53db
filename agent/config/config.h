#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/settings.h"
#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::agent::config {

/// KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), with kube-proxy v1.36's defaults, and kubenatd's own
/// settings.
struct Config : Settings {
  enum class Mode : std::uint8_t { kIptables, kNftables };
  enum class DetectLocal : std::uint8_t { kClusterCidr, kNodeCidr, kBridgeInterface, kInterfaceNamePrefix };

  std::map<std::string, bool> feature_gates;
  struct ClientConnection {
    std::string kubeconfig;
    std::string accept_content_types;
    std::string content_type = "application/vnd.kubernetes.protobuf";
    double qps = 5;
    int burst = 10;
  } client_connection;
  struct Logging {
    struct Module {
      std::string file_pattern;
      std::uint32_t verbosity = 0;
    };
    struct Stream {
      bool split = false;                  ///< all but errors goes to standard output
      std::string info_buffer_size = "0";  ///< a quantity; has no effect here
    };
    std::string format = "text";
    Duration flush_frequency = std::chrono::seconds(5);
    bool flush_frequency_is_number = false;  ///< the file gave nanoseconds instead of text, and gets them back
    int verbosity = 0;
    std::vector<Module> vmodule;  ///< has no effect here
    Stream text, json;

    [[nodiscard]] bool is_json() const { return format == "json"; }
    [[nodiscard]] bool splits_stream() const { return is_json() ? json.split : text.split; }
  } logging;
  std::string hostname_override;
  std::string bind_address = "0.0.0.0";
  std::string healthz_bind_address;  ///< filled by defaulting: depends on bind_address
  std::string metrics_bind_address;
  bool bind_address_hard_fail = false;
  bool enable_profiling = false;
  std::string show_hidden_metrics_for_version;
  Mode mode = Mode::kIptables;
  int masquerade_bit = 14;  ///< of the mode in force, like the five that follow
  bool masquerade_all = false;
  bool localhost_node_ports = true;  ///< mode nftables: nodePortAddresses has 127.0.0.0/8 or a part of it
  Duration sync_period = std::chrono::seconds(30);
  bool sync_period_set = false;  ///< the file gave a value: then there is a full comparison at least that often
  Duration min_sync_period = std::chrono::seconds(1);
  bool min_sync_period_set = false;  ///< the file gave a value: only then is it honoured
  DetectLocal detect_local = DetectLocal::kClusterCidr;
  std::string bridge_interface;
  std::string interface_name_prefix;
  std::vector<rules::Prefix> cluster_cidrs;
  std::string cluster_cidr_text;  ///< as it was given
  /// Empty and not primary: every address. The words "localhost" and "all" are in it as the prefixes they stand for.
  std::vector<rules::Prefix> node_port_addresses;
  bool node_port_addresses_primary = false;  ///< the node's primary addresses, beside the prefixes
  std::optional<std::vector<std::string>> node_port_address_texts;  ///< as they were given; none: they were not
  int oom_score_adj = -999;
  struct Conntrack {
    int max_per_core = 32768;
    int min = 131072;
    Duration tcp_established_timeout = std::chrono::hours(24);
    Duration tcp_close_wait_timeout = std::chrono::hours(1);
    bool tcp_be_liberal = false;
    Duration udp_timeout{};
    Duration udp_stream_timeout{};
    // The user gave a value: what is asked for and cannot be set is an error, a default that cannot be set is not.
    bool max_set = false;  ///< max_per_core or min
    bool tcp_established_timeout_set = false;
    bool tcp_close_wait_timeout_set = false;
  } conntrack;
  Duration config_sync_period = std::chrono::minutes(15);
  /// Fields without effect here, as they were given, so that the configuration can be written again.
  struct Unused {
    int other_masquerade_bit = 14;                   ///< of iptables.* or nftables.*, whichever is not in force
    std::optional<bool> other_localhost_node_ports;  ///< iptables.localhostNodePorts, when that mode is not in force
    struct Ipvs {
      std::string scheduler;
      std::optional<std::vector<std::string>> exclude_cidrs;
      bool strict_arp = false;
      Duration tcp_timeout{}, tcp_fin_timeout{}, udp_timeout{};
    } ipvs;
    struct Winkernel {
      std::string network_name, source_vip, root_hns_endpoint_name;
      bool enable_dsr = false, forward_health_check_vip = false;
    } winkernel;
    bool windows_run_as_service = false;
  } unused;

  std::string master;  ///< --master: address of the API server, instead of the kubeconfig's; empty: not given
};

/// "iptables", "nftables": as the configuration and kube-proxy's /proxyMode have it.
[[nodiscard]] std::string_view name_of(Config::Mode mode);
/// "ClusterCIDR", ...: as the field detectLocalMode has it.
[[nodiscard]] std::string_view name_of(Config::DetectLocal mode);

/// A configuration and what there is to say about it.
struct LoadedConfig {
  Config config;
  std::vector<std::string> remarks;  ///< one line each: fields that have no effect here, unknown and duplicate fields
};

/// kube-proxy's defaults, without a file.
[[nodiscard]] Config default_config();

/// Reads, defaults and validates a KubeProxyConfiguration (YAML or JSON) and the KubenatdConfiguration
/// (kubenatd.io/v1alpha1) with kubenatd's own settings that may stand beside it, as a document of its own. Errors name
/// file and field; a file with several mistakes names all of them in one line, separated by "; ".
[[nodiscard]] rules::Result<LoadedConfig> load_config(const std::filesystem::path& file);
[[nodiscard]] rules::Result<LoadedConfig> parse_config(std::string_view text, std::string_view file_name);

}  // namespace kubenatd::agent::config
