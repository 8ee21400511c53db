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
  long long value = 0;          ///< to be there
  bool is_least_value = false;  ///< more is as good
  bool asked = false;           ///< by file or flags; else it is a default
  std::string field;            ///< of the configuration

  /// Whether the setting has to be written when it reads `now`. What is not a number is written over.
  [[nodiscard]] bool differs_from(std::string_view now) const;
};

/// What the configuration wants on a machine with so many CPUs; what is not in it is left alone. Pure.
[[nodiscard]] std::vector<ConntrackSetting> wanted_conntrack_settings(const Config::Conntrack& conntrack,
                                                                      std::size_t cpus);

/// CPUs that are online, of the machine and not only of this process; at least 1.
[[nodiscard]] std::size_t count_cpus(const std::filesystem::path& sys = "/sys");

/// What came of the settings; one line each, fit for the log.
struct ConntrackOutcome {
  std::vector<std::string> changed;
  std::vector<std::string> left;    ///< a default could not be set: worth a line, no more
  std::vector<std::string> failed;  ///< a value that was asked for could not be set: a reason not to start
  bool not_loaded = false;          ///< the kernel has no connection tracking yet; it loads it with the first rule
};

/// Makes the settings that are not there yet, in the network namespace of the calling thread. Each file is read, and
/// written only when it differs. Errors do not stop it. To be called before the first sync, and after it when
/// `not_loaded` was met. Cost: at most two short files each.
[[nodiscard]] ConntrackOutcome apply_conntrack_settings(const std::vector<ConntrackSetting>& settings,
                                                        const KernelPaths& paths = {});

}  // namespace kubenatd::agent::config
