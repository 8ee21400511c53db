#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "rules/error.h"

/// Kernel settings below /proc/sys. Names are written with '/', because names of interfaces may hold dots.
namespace kubenatd::agent::base {

inline constexpr std::string_view kSysctlRouteLocalnet = "net/ipv4/conf/all/route_localnet";
inline constexpr std::string_view kSysctlTcpBeLiberal = "net/netfilter/nf_conntrack_tcp_be_liberal";

/// The setting's text without the line end. A setting that this kernel does not have is an error with ENOENT.
/// Settings of net/ are those of the network namespace of the calling thread.
[[nodiscard]] rules::Result<std::string> read_sysctl(std::string_view name,
                                                     const std::filesystem::path& root = "/proc/sys");

/// The same of a setting that is a number, of 64 bits and without a sign; none: it is not there, or is something else.
[[nodiscard]] std::optional<std::uint64_t> read_sysctl_number(std::string_view name);

/// Where the DaemonSet mounts the settings that a container may write: its own /proc/sys is read-only, and nothing can
/// be mounted over it.
inline constexpr std::string_view kMountedSysctls = "/host/proc/sys";

/// Writes the setting without looking at its old value. Where /proc/sys is read-only, the setting below kMountedSysctls
/// is written instead, if it is there. Errors carry errno and the path.
[[nodiscard]] rules::Status write_sysctl(std::string_view name, std::string_view value,
                                         const std::filesystem::path& root = "/proc/sys");

}  // namespace kubenatd::agent::base
