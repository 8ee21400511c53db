#include "test/soak/kernel_faults.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>

namespace kubenatd::soak {
namespace {

/// Inodes of the netlink sockets of a process's namespace that listen to a group.
std::set<std::string> listening(pid_t pid) {
  std::set<std::string> found;
  for (const std::string& line : test::lines_of(test::read_file(fmt::format("/proc/{}/net/netlink", pid)))) {
    // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
    std::istringstream words(line);
    std::string socket, protocol, port, groups, receive, send, dump, locks, drops, inode;
    words >> socket >> protocol >> port >> groups >> receive >> send >> dump >> locks >> drops >> inode;
    if (groups.find_first_not_of('0') != std::string::npos) found.insert(inode);
  }
  return found;
}

}  // namespace

NarrowEvents::NarrowEvents(pid_t pid) {
  const auto inodes = listening(pid);
  const test::Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  std::error_code gone;
  const std::string folder = fmt::format("/proc/{}/fd", pid);
  for (std::filesystem::directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone)) {
    std::error_code unread;
    const std::string target = std::filesystem::read_symlink(at->path(), unread).string();
    if (!target.starts_with("socket:[") || !inodes.contains(target.substr(8, target.size() - 9))) continue;
    test::Descriptor socket(
        static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), std::stoi(at->path().filename().string()), 0)));
    int size = 0;
    socklen_t length = sizeof(size);
    const int least = 1;  // the kernel has a lower limit of its own
    if (socket.get() < 0 || ::getsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &size, &length) != 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)) != 0) {
      why_ = std::string("the agent's socket: ") + std::strerror(errno);
      continue;
    }
    sockets_.emplace_back(std::move(socket), size);
  }
  if (sockets_.empty() && !why_) why_ = "no socket of the agent listens";
}

NarrowEvents::~NarrowEvents() {
  for (const auto& [socket, size] : sockets_) {
    const int half = size / 2;  // the kernel doubles what it is told
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half)) != 0)
      fmt::print(stderr, "soak: a socket of the agent stays small: {}\n", std::strerror(errno));
  }
}

std::optional<std::string> fill_conntrack(const test::Namespace& node, int seconds) {
  constexpr int kMost = 262'144;
  const std::string most = test::get_sysctl(node, "net/netfilter/nf_conntrack_max");
  const int limit = most.empty() ? 0 : std::stoi(most);
  if (limit == 0 || limit > kMost)
    return fmt::format("nf_conntrack_max is {}, and the machine's, not the namespace's",
                       most.empty() ? "unknown" : most);
  std::string lines;
  for (int i = 0; i <= limit; ++i) {
    const std::string from = fmt::format("192.0.2.{}", 1 + i / 60'000);
    const int port = 1024 + i % 60'000;
    lines += fmt::format(
        "-A -t {} -u SEEN_REPLY,ASSURED -s {} -d 192.0.2.200 -r 192.0.2.200 -q {} -p udp --sport {} "
        "--dport 9 --reply-port-src 9 --reply-port-dst {}\n",
        seconds, from, from, port, port);
  }
  // It stops where the table is full.
  static_cast<void>(test::run_in(node, {"conntrack", "-R", "-"}, std::move(lines)));
  const std::string count = test::get_sysctl(node, "net/netfilter/nf_conntrack_count");
  if (count.empty() || std::stoi(count) < limit - limit / 50)
    return "the table does not fill: " + count + " connections";
  return std::nullopt;
}

}  // namespace kubenatd::soak
