#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace kubenatd::agent::base {

/// The process that has a netlink socket of NETLINK_NETFILTER open: "kubenatd (4711)". None: it is not to be seen from
/// here, as one in another PID namespace, or one whose descriptors we may not read. Often the port is the process's
/// number, but the kernel gives any other when that is taken, so the socket itself is looked for. Cost: reads the
/// descriptors of all processes in `proc`.
[[nodiscard]] std::optional<std::string> holder_of_netlink_port(std::uint32_t port,
                                                                const std::filesystem::path& proc = "/proc");

}  // namespace kubenatd::agent::base
