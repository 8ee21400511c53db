#include "agent/base/port_holder.h"

#include <fmt/format.h>
#include <linux/netlink.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <system_error>

#include "agent/base/file.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::base {
namespace {

namespace fs = std::filesystem;

// A line of /proc/net/netlink has some 90 bytes; a node has some hundred sockets.
constexpr std::size_t kMostSockets = 4 * 1024 * 1024;
constexpr std::size_t kMostName = 4096;

/// The inode of the socket, as proc/net/netlink lists it: "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode".
std::string inode_of(std::uint32_t port, const fs::path& proc) {
  const auto list = read_file(proc / "net/netlink", kMostSockets, "read");
  if (!list) return {};
  std::istringstream lines(*list);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string socket, skipped, inode;
    int protocol = -1;
    std::uint32_t number = 0;
    fields >> socket >> protocol >> number;
    for (int i = 0; i < 6; ++i) fields >> skipped;
    if (fields >> inode && protocol == NETLINK_NETFILTER && number == port) return inode;
  }
  return {};
}

bool holds(const fs::path& process, const std::string& socket) {
  std::error_code error;
  for (fs::directory_iterator at(process / "fd", error), end; !error && at != end; at.increment(error)) {
    std::error_code gone;
    if (fs::read_symlink(at->path(), gone) == socket) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> holder_of_netlink_port(std::uint32_t port, const fs::path& proc) {
  const std::string inode = inode_of(port, proc);
  if (inode.empty()) return std::nullopt;
  const std::string socket = fmt::format("socket:[{}]", inode);
  std::error_code error;
  for (fs::directory_iterator at(proc, error), end; !error && at != end; at.increment(error)) {
    const std::string id = at->path().filename();
    if (!std::ranges::all_of(id, [](char letter) { return letter >= '0' && letter <= '9'; })) continue;
    if (!holds(at->path(), socket)) continue;
    const auto name = read_file(at->path() / "comm", kMostName, "read");
    return fmt::format("{} ({})", one_line(name ? trimmed(*name) : std::string_view("process")), id);
  }
  return std::nullopt;
}

}  // namespace kubenatd::agent::base
