#include "agent/base/port_holder.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "agent/base/descriptor.h"

namespace kubenatd::agent::base {
namespace {

namespace fs = std::filesystem;

/// A folder as /proc, which goes with this.
class Proc {
 public:
  Proc() {
    std::string name = fs::temp_directory_path() / "kubenatd-proc-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
    fs::create_directories(path / "net");
  }
  ~Proc() {
    std::error_code error;
    fs::remove_all(path, error);
  }
  Proc(const Proc&) = delete;
  Proc& operator=(const Proc&) = delete;

  void sockets(const std::string& lines) const {
    std::ofstream(path / "net/netlink") << "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    "
                                           "Drops    Inode\n"
                                        << lines;
  }
  void process(const std::string& id, const std::string& name, const std::string& target) const {
    fs::create_directories(path / id / "fd");
    std::ofstream(path / id / "comm") << name << '\n';
    fs::create_symlink("/dev/null", path / id / "fd/0");
    fs::create_symlink(target, path / id / "fd/7");
  }

  fs::path path;
};

}  // namespace

TEST_CASE("the holder of a netlink port is the process that has the socket, whatever the port's number") {
  const Proc proc;
  proc.sockets(
      "000000005ca69bed 12  0          00000000 0        0        0     2        0        100\n"
      "000000009baeb858 0   4294963200 00000000 0        0        0     2        0        101\n"
      "000000009baeb859 12  4294963200 00000000 0        0        0     2        0        102\n"
      "broken\n");
  proc.process("17", "other", "socket:[101]");
  proc.process("4711", "kubenatd", "socket:[102]");
  proc.process("self", "not a number", "socket:[102]");
  CHECK(holder_of_netlink_port(4294963200, proc.path) == "kubenatd (4711)");
  CHECK_FALSE(holder_of_netlink_port(4711, proc.path));
}

TEST_CASE("who cannot be seen is not guessed, and a name from outside steers no terminal") {
  const Proc proc;
  CHECK_FALSE(holder_of_netlink_port(5, proc.path / "nothing"));
  proc.sockets("000000009baeb859 12  5 00000000 0        0        0     2        0        102\n");
  CHECK_FALSE(holder_of_netlink_port(5, proc.path));
  proc.process("9", "\x1b[2J", "socket:[102]");
  CHECK(holder_of_netlink_port(5, proc.path) == "\\x1b[2J (9)");
}

TEST_CASE("this process is found by its own socket") {
  const Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  if (!socket) {
    std::puts("SKIPPED: no netlink sockets of netfilter here");
    return;
  }
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  socklen_t size = sizeof address;
  REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const auto holder = holder_of_netlink_port(address.nl_pid);
  REQUIRE(holder);
  CHECK(holder->ends_with("(" + std::to_string(::getpid()) + ")"));
}

}  // namespace kubenatd::agent::base
