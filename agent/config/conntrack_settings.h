#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/config.h"

/// The kernel's settings of connection tracking, as kube-proxy makes them at start.
namespace kubenatd::agent::config {

inline constexpr std::string_view kSysctlConntrackMax = "net/netfilter/nf_conntrack_max";
inline constexpr std::string_view kSysctlConntrackCount = "net/netfilter/nf_conntrack_count";
inline constexpr std::string_view kSysctlTcpEstablished = "net/netfilter/nf_conntrack_tcp_timeout_established";
inline constexpr std::string_view kSysctlTcpCloseWait = "net/netfilter/nf_conntrack_tcp_timeout_close_wait";
inline constexpr std::string_view kSysctlUdp = "net/netfilter/nf_conntrack_udp_timeout";
inline constexpr std::string_view kSysctlUdpStream = "net/netfilter/nf_conntrack_udp_timeout_stream";
/// Below /sys. The kernel takes it in the host's own network namespace only.
inline constexpr std::string_view kConntrackHashSize = "module/nf_conntrack/parameters/hashsize";

/// Where the settings are.
struct KernelPaths {
  std::filesystem::path proc_sys = "/proc/sys";
  std::filesystem::path sys = "/sys";
};

/// A setting that ought to have a value.
struct ConntrackSetting {
  std::string name;             ///< below /proc/sys, or kConntrackHashSize
  long long value = 0;          ///< the wanted value
  bool is_least_value = false;  ///< a larger value is fine, too
  bool asked = false;           ///< a file or flag asks for it; else it is a default
  std::string field;            ///< its name in the configuration

  /// Whether the setting must be written when its value is `now`. A value that is not a number is always replaced.
  [[nodiscard]] bool differs_from(std::string_view now) const;
};

/// What the configuration asks for on a machine with that number of CPUs. Settings that it does not name are not in the
/// result. Pure.
[[nodiscard]] std::vector<ConntrackSetting> wanted_conntrack_settings(const Config::Conntrack& conntrack,
                                                                      std::size_t cpus);

/// CPUs that are online, of the machine and not only of this process; at least 1.
[[nodiscard]] std::size_t count_cpus(const std::filesystem::path& sys = "/sys");

/// What came of the settings; one line each, fit for the log.
struct ConntrackOutcome {
  std::vector<std::string> changed;
  std::vector<std::string> left;    ///< defaults that could not be set; they are only logged
  std::vector<std::string> failed;  ///< values that were asked for and could not be set; kubenatd does not start
  bool not_loaded = false;          ///< the kernel has no connection tracking yet; it loads it with the first rule
};

/// Writes the settings that have another value, in the network namespace of the calling thread. An error does not stop
/// it. Call it before the first sync, and again after the first sync when the result says `not_loaded`. Cost: at most
/// two short files for each setting.
[[nodiscard]] ConntrackOutcome apply_conntrack_settings(const std::vector<ConntrackSetting>& settings,
                                                        const KernelPaths& paths = {});

}  // namespace kubenatd::agent::config
