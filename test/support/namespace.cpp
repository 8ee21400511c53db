#include "test/support/namespace.h"

#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "test/support/process.h"

namespace kubenatd::test {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

int own_namespace() {
  const int fd = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("open /proc/thread-self/ns/net");
  return fd;
}

void loopback_up() {
  const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof(request.ifr_name) - 1);
  request.ifr_flags = IFF_UP;
  if (::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) fail("set lo up");
}

}  // namespace

Namespace Namespace::create() {
  const Descriptor home(own_namespace());
  if (::unshare(CLONE_NEWNET) != 0) fail("unshare(CLONE_NEWNET)");
  Namespace made(own_namespace());
  loopback_up();
  if (::setns(home.get(), CLONE_NEWNET) != 0) fail("setns back");
  return made;
}

Namespace::Namespace(Namespace&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Namespace& Namespace::operator=(Namespace&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Namespace::~Namespace() {
  if (fd_ >= 0) ::close(fd_);
}

std::string Namespace::path() const {
  return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_);
}

Inside::Inside(int namespace_fd) : home_(own_namespace()) {
  if (::setns(namespace_fd, CLONE_NEWNET) != 0) fail("setns");
}

Inside::~Inside() {
  // Staying in the wrong namespace would make every later step of the test lie.
  if (::setns(home_, CLONE_NEWNET) != 0) std::abort();
  ::close(home_);
}

std::optional<std::string> namespaces_missing() {
  try {
    const Namespace trial = Namespace::create();
    return std::nullopt;
  } catch (const std::exception& error) {
    return std::string("no rights: a network namespace of its own (") + error.what() + ")";
  }
}

void set_sysctl(const Namespace& where, const std::string& name, const std::string& value) {
  const Inside inside(where);
  std::ofstream file("/proc/sys/" + name);
  file << value << std::flush;
  if (!file) throw std::runtime_error("cannot write sysctl " + name);
}

std::string get_sysctl(const Namespace& where, const std::string& name) {
  const Inside inside(where);
  std::ifstream file("/proc/sys/" + name);
  std::string value;
  std::getline(file, value);
  return value;
}

unsigned nf_tables_generation(const Namespace& where) {
  const Inside inside(where);
  const Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
  struct {
    nlmsghdr header;
    nfgenmsg family;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  if (::send(socket.get(), &request, sizeof(request), 0) < 0) fail("ask for the nf_tables generation");
  alignas(nlmsghdr) std::array<char, 4096> answer{};
  const auto size = ::recv(socket.get(), answer.data(), answer.size(), 0);
  std::size_t at = NLMSG_LENGTH(sizeof(nfgenmsg));
  while (at + sizeof(nlattr) <= static_cast<std::size_t>(size < 0 ? 0 : size)) {
    nlattr attribute{};
    std::memcpy(&attribute, answer.data() + at, sizeof(attribute));
    if (attribute.nla_type == NFTA_GEN_ID) {
      std::array<unsigned char, 4> id{};
      std::memcpy(id.data(), answer.data() + at + NLA_HDRLEN, id.size());
      return unsigned{id[0]} << 24 | unsigned{id[1]} << 16 | unsigned{id[2]} << 8 | unsigned{id[3]};
    }
    at += NLA_ALIGN(attribute.nla_len < NLA_HDRLEN ? NLA_HDRLEN : attribute.nla_len);
  }
  throw std::runtime_error("the kernel does not tell its nf_tables generation");
}

}  // namespace kubenatd::test
