#include "netlink/host/counters.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "netlink/core/messages.h"
#include "netlink/core/request.h"
#include "netlink/core/socket.h"

namespace kubenatd::netlink::host {
namespace {

constexpr std::uint32_t kSequence = 1;

std::string object_of(std::string_view name) {
  return "nfacct counter " + std::string(name.substr(0, NFACCT_NAME_MAX));
}

std::unexpected<rules::Error> refused(std::string_view name, const char* operation, const Acknowledgement& answer) {
  // nfnetlink answers EINVAL to a subsystem that it does not have (nfnetlink_rcv_msg). The messages sent here are
  // right in themselves, so that is what it means.
  if (answer.code == EINVAL || answer.code == EOPNOTSUPP)
    return rules::fail(object_of(name), operation, "this kernel has no nfnetlink_acct", EOPNOTSUPP);
  return rules::fail(object_of(name), operation, answer.cause(), answer.code);
}

std::unexpected<rules::Error> failed(std::string_view name, const char* operation, const rules::Error& error) {
  return rules::fail(object_of(name), operation, error.to_string(), error.code);
}

struct Question {
  std::uint16_t type;
  std::uint16_t flags;
  const char* operation;
};

/// Sends one request about one counter and waits for the acknowledgement. Gives the packets if they were told.
rules::Result<std::optional<std::uint64_t>> exchange(std::string_view name, const Question& what) {
  if (name.empty() || name.size() >= NFACCT_NAME_MAX || name.find('\0') != std::string_view::npos)
    return rules::fail(object_of(name), what.operation, "the name must have 1 to 31 bytes", EINVAL);

  const auto socket = open_socket();
  if (!socket) return failed(name, what.operation, socket.error());
  Request request(NFNL_SUBSYS_ACCT, what.type, static_cast<std::uint16_t>(NLM_F_ACK | what.flags), kSequence,
                  AF_UNSPEC);
  request.name(NFACCT_NAME, name);
  if (const auto sent = (*socket)->send(request.finish()); !sent) return failed(name, what.operation, sent.error());
  std::optional<std::uint64_t> packets;
  for (;;) {
    const auto received = (*socket)->receive();
    if (!received) return failed(name, what.operation, received.error());
    MessageReader reader(received->data);
    for (Message message; reader.next(message);) {
      if (message.sequence != kSequence) continue;
      if (message.type == NLMSG_ERROR) {
        const Acknowledgement answer = read_acknowledgement(message);
        if (answer.code != 0) return refused(name, what.operation, answer);
        return packets;
      }
      const Attribute counted = find_attribute(message.attributes(), NFACCT_PKTS);
      if (counted.payload.size() == sizeof(std::uint64_t)) packets = counted.be64();
    }
  }
}

}  // namespace

rules::Status ensure_counter(std::string_view name) {
  const auto made = exchange(name, {NFNL_MSG_ACCT_NEW, NLM_F_CREATE | NLM_F_EXCL, "create"});
  // Without NLM_F_EXCL an existing counter gives EBUSY; NLM_F_REPLACE would set it to zero (nfnl_acct_new).
  if (!made && made.error().code != EEXIST && made.error().code != EBUSY) return std::unexpected(made.error());
  return {};
}

rules::Result<std::uint64_t> read_counter(std::string_view name) {
  const auto packets = exchange(name, {NFNL_MSG_ACCT_GET, 0, "read"});
  if (!packets) return std::unexpected(packets.error());
  if (!*packets) return rules::fail(object_of(name), "read", "the kernel's answer has no packet count", EBADMSG);
  return **packets;
}

}  // namespace kubenatd::netlink::host
