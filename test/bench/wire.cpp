#include "test/bench/wire.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace kubenatd::bench {
namespace {

bool recording = false;
std::vector<std::string> recorded;

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

/// One that begins and ends: without its end it only tries something out, and the kernel takes it back.
bool is_transaction(std::string_view bytes) {
  constexpr std::size_t kEnd = sizeof(nlmsghdr) + sizeof(nfgenmsg);
  if (bytes.size() < 2 * kEnd) return false;
  nlmsghdr begin, end;
  std::memcpy(&begin, bytes.data(), sizeof begin);
  std::memcpy(&end, bytes.data() + bytes.size() - kEnd, sizeof end);
  return begin.nlmsg_type == NFNL_MSG_BATCH_BEGIN && end.nlmsg_type == NFNL_MSG_BATCH_END;
}

void record(const msghdr* message) {
  std::string bytes;
  for (std::size_t i = 0; i < message->msg_iovlen; ++i)
    bytes.append(static_cast<const char*>(message->msg_iov[i].iov_base), message->msg_iov[i].iov_len);
  if (is_transaction(bytes)) recorded.push_back(std::move(bytes));
}

/// The generation attribute is the only one of a begin message.
void put_generation(std::string& transaction, std::uint32_t generation) {
  constexpr std::size_t kAttribute = sizeof(nlmsghdr) + sizeof(nfgenmsg);
  const auto* header = reinterpret_cast<const nlmsghdr*>(transaction.data());
  if (header->nlmsg_len < kAttribute + sizeof(nlattr) + sizeof generation) return;
  generation = htonl(generation);
  std::memcpy(transaction.data() + kAttribute + sizeof(nlattr), &generation, sizeof generation);
}

void expect_accepted(int fd) {
  static char buffer[1 << 20];
  for (;;) {
    const ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
    if (size < 0) die("the floor's sender got no answer");
    int left = static_cast<int>(size);
    for (auto* message = reinterpret_cast<nlmsghdr*>(buffer); mnl_nlmsg_ok(message, left);
         message = mnl_nlmsg_next(message, &left)) {
      if (message->nlmsg_type != NLMSG_ERROR) continue;
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
      if (error->error == 0) return;
      errno = -error->error;
      die("the floor's transaction was refused");
    }
  }
}

std::uint32_t current_generation(int fd) {
  alignas(nlmsghdr) char buffer[8192];
  auto* message = mnl_nlmsg_put_header(buffer);
  message->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
  message->nlmsg_flags = NLM_F_REQUEST;
  auto* family = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(nfgenmsg)));
  *family = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = 0};
  if (::send(fd, buffer, message->nlmsg_len, 0) < 0) die("asking for the generation");
  const ssize_t size = ::recv(fd, buffer, sizeof buffer, 0);
  if (size < 0) die("reading the generation");
  std::optional<std::uint32_t> generation;
  const auto take = [](const nlattr* attribute, void* out) {
    if (mnl_attr_get_type(attribute) == NFTA_GEN_ID)
      *static_cast<std::optional<std::uint32_t>*>(out) = ntohl(mnl_attr_get_u32(attribute));
    return MNL_CB_OK;
  };
  (void)mnl_attr_parse(reinterpret_cast<nlmsghdr*>(buffer), sizeof(nfgenmsg), take, &generation);
  if (!generation) die("the generation");
  return *generation;
}

}  // namespace

void start_recording() {
  recorded.clear();
  recording = true;
}

std::vector<std::string> stop_recording() {
  recording = false;
  return std::exchange(recorded, {});
}

double replay(const std::vector<std::string>& transactions) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) die("socket");
  const int size = 1 << 30;
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  const int answers = 64 << 20;
  (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &answers, sizeof answers);
  std::uint32_t generation = current_generation(fd);
  std::vector<std::string> copies = transactions;
  const auto start = std::chrono::steady_clock::now();
  for (std::string& transaction : copies) {
    put_generation(transaction, generation++);
    if (::send(fd, transaction.data(), transaction.size(), 0) < 0) die("the floor's sender");
    expect_accepted(fd);
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ::close(fd);
  return took.count();
}

void save(int fd, const std::vector<std::string>& transactions) {
  for (const std::string& one : transactions) {
    const std::size_t size = one.size();
    if (::write(fd, &size, sizeof size) != static_cast<ssize_t>(sizeof size)) std::exit(1);
    for (std::size_t at = 0; at < size;) {
      const ssize_t written = ::write(fd, one.data() + at, size - at);
      if (written <= 0) std::exit(1);
      at += static_cast<std::size_t>(written);
    }
  }
}

std::vector<std::string> restore(int fd) {
  std::vector<std::string> all;
  (void)::lseek(fd, 0, SEEK_SET);
  std::size_t size = 0;
  while (::read(fd, &size, sizeof size) == static_cast<ssize_t>(sizeof size)) {
    std::string one(size, '\0');
    for (std::size_t at = 0; at < size;) {
      const ssize_t got = ::read(fd, one.data() + at, size - at);
      if (got <= 0) std::exit(1);
      at += static_cast<std::size_t>(got);
    }
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace kubenatd::bench

// The linker sends every call of sendmsg in this program here (--wrap=sendmsg).
extern "C" ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
extern "C" ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  if (kubenatd::bench::recording) kubenatd::bench::record(message);
  return __real_sendmsg(fd, message, flags);
}
