#include "netlink/host/conntrack_stats.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

#include "netlink/core/messages.h"
#include "netlink/core/request.h"
#include "netlink/core/socket.h"

namespace kubenatd::netlink::host {
namespace {

constexpr const char* kObject = "connection tracking";
constexpr const char* kOperation = "read statistics";
constexpr std::uint32_t kSequence = 1;

std::unexpected<rules::Error> refused(const Acknowledgement& answer) {
  // nfnetlink answers EINVAL for a subsystem that it does not have (nfnetlink_rcv_msg).
  if (answer.code == EINVAL || answer.code == EOPNOTSUPP)
    return rules::fail(kObject, kOperation, "this kernel has no ctnetlink", EOPNOTSUPP);
  return rules::fail(kObject, kOperation, answer.cause(), answer.code);
}

void add(const Message& message, ConntrackStats& stats) {
  const auto number = [&](std::uint16_t type) -> std::uint64_t {
    const Attribute found = find_attribute(message.attributes(), type);
    return found.payload.size() == sizeof(std::uint32_t) ? found.be32() : 0;
  };
  stats.insert_failed += number(CTA_STATS_INSERT_FAILED);
  stats.dropped += number(CTA_STATS_DROP);
  stats.early_dropped += number(CTA_STATS_EARLY_DROP);
}

}  // namespace

rules::Result<ConntrackStats> read_conntrack_stats() {
  const auto socket = open_socket();
  if (!socket) return std::unexpected(socket.error());
  Request request(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET_STATS_CPU, NLM_F_DUMP, kSequence, AF_UNSPEC);
  if (const auto sent = (*socket)->send(request.finish()); !sent) return std::unexpected(sent.error());
  ConntrackStats stats;
  for (;;) {
    const auto received = (*socket)->receive();
    if (!received) return std::unexpected(received.error());
    MessageReader reader(received->data);
    for (Message message; reader.next(message);) {
      if (message.sequence != kSequence) continue;
      if (message.type == NLMSG_ERROR) return refused(read_acknowledgement(message));
      if (message.type == NLMSG_DONE) {
        const Acknowledgement end = read_end_of_dump(message);
        if (end.code != 0) return refused(end);
        return stats;
      }
      add(message, stats);
    }
  }
}

}  // namespace kubenatd::netlink::host
