#include "netlink/host/counters.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <endian.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

namespace kubenatd::netlink::host {
namespace {

struct SocketClose {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using MnlSocket = std::unique_ptr<mnl_socket, SocketClose>;

constexpr std::uint32_t kSequence = 1;

std::string object_of(std::string_view name) {
  return "nfacct counter " + std::string(name.substr(0, NFACCT_NAME_MAX));
}

std::unexpected<rules::Error> failure(std::string_view name, const char* operation, int code) {
  // nfnetlink answers EINVAL to a subsystem that it does not have (nfnetlink_rcv_msg). The messages sent here are
  // right in themselves, so that is what it means.
  if (code == EINVAL || code == ENOSYS || code == EPROTONOSUPPORT)
    return rules::fail(object_of(name), operation, "this kernel has no nfnetlink_acct", EOPNOTSUPP);
  return rules::fail(object_of(name), operation, std::strerror(code), code);
}

struct Request {
  std::uint16_t type;
  std::uint16_t flags;
  const char* operation;
};

/// Sends one request about one counter. With `packets` waits for the counter's message, else for the acknowledgement.
rules::Status exchange(std::string_view name, const Request& what, std::optional<std::uint64_t>* packets) {
  if (name.empty() || name.size() >= NFACCT_NAME_MAX || name.find('\0') != std::string_view::npos)
    return rules::fail(object_of(name), what.operation, "the name must have 1 to 31 bytes", EINVAL);

  const MnlSocket socket(mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC));
  if (!socket) return failure(name, "open netlink socket", errno);
  if (mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) != 0) return failure(name, "bind netlink socket", errno);
  // An answer that never comes must not hang the agent.
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  if (setsockopt(mnl_socket_get_fd(socket.get()), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
    return failure(name, "set receive timeout", errno);

  alignas(nlmsghdr) std::array<char, 8192> buffer{};
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = static_cast<std::uint16_t>(NFNL_SUBSYS_ACCT << 8 | what.type);
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | what.flags);
  header->nlmsg_seq = kSequence;
  auto* generic = static_cast<nfgenmsg*>(mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  generic->nfgen_family = AF_UNSPEC;
  generic->version = NFNETLINK_V0;
  generic->res_id = 0;
  mnl_attr_put_strz(header, NFACCT_NAME, std::string(name).c_str());
  if (mnl_socket_sendto(socket.get(), header, header->nlmsg_len) < 0) return failure(name, what.operation, errno);

  const auto visit = [](const nlmsghdr* message, void* data) -> int {
    auto* result = static_cast<std::optional<std::uint64_t>*>(data);
    if (result == nullptr) return MNL_CB_OK;
    const auto attribute = [](const nlattr* attr, void* value) -> int {
      if (mnl_attr_get_type(attr) == NFACCT_PKTS && mnl_attr_validate(attr, MNL_TYPE_U64) == 0)
        *static_cast<std::optional<std::uint64_t>*>(value) = be64toh(mnl_attr_get_u64(attr));
      return MNL_CB_OK;
    };
    mnl_attr_parse(message, sizeof(nfgenmsg), attribute, result);
    return MNL_CB_STOP;
  };
  const unsigned int port = mnl_socket_get_portid(socket.get());
  while (true) {
    const ssize_t size = mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failure(name, what.operation, errno);
    const int outcome = mnl_cb_run(buffer.data(), static_cast<std::size_t>(size), kSequence, port, visit, packets);
    if (outcome < 0) return failure(name, what.operation, errno);
    if (outcome == MNL_CB_STOP) return {};
  }
}

}  // namespace

rules::Status ensure_counter(std::string_view name) {
  const Request request{NFNL_MSG_ACCT_NEW, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, "create"};
  rules::Status status = exchange(name, request, nullptr);
  // Without NLM_F_EXCL an existing counter gives EBUSY; NLM_F_REPLACE would set it to zero (nfnl_acct_new).
  if (!status && (status.error().code == EEXIST || status.error().code == EBUSY)) return {};
  return status;
}

rules::Result<std::uint64_t> read_counter(std::string_view name) {
  std::optional<std::uint64_t> packets;
  if (rules::Status status = exchange(name, {NFNL_MSG_ACCT_GET, 0, "read"}, &packets); !status)
    return std::unexpected(std::move(status.error()));
  if (!packets) return rules::fail(object_of(name), "read", "the kernel's answer has no packet count", EBADMSG);
  return *packets;
}

}  // namespace kubenatd::netlink::host
