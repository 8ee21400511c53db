#include "netlink/host/neighbour.h"

#include <linux/rtnetlink.h>

#include <array>
#include <cerrno>
#include <utility>

#include "netlink/core/names.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/libnl.h"

namespace kubenatd::netlink::host {
namespace {

struct Answer {
  std::uint32_t interface = 0;
  bool gateway = false;
};

int read_answer(nl_msg* message, void* arg) {
  const nlmsghdr* header = nlmsg_hdr(message);
  if (header->nlmsg_type != RTM_NEWROUTE) return NL_OK;
  std::array<nlattr*, RTA_MAX + 1> attributes{};
  if (nlmsg_parse(const_cast<nlmsghdr*>(header), sizeof(rtmsg), attributes.data(), RTA_MAX, nullptr) < 0) return NL_OK;
  auto* answer = static_cast<Answer*>(arg);
  answer->gateway = attributes[RTA_GATEWAY] != nullptr || attributes[RTA_VIA] != nullptr;
  if (attributes[RTA_OIF] != nullptr) answer->interface = nla_get_u32(attributes[RTA_OIF]);
  return NL_OK;
}

/// What the kernel answers when no route leads there, or one of type unreachable, prohibit or blackhole (fib_props of
/// Linux 6.18; blackhole is EINVAL, which this request gives for nothing else).
bool means_no_route(int code) {
  return code == ENETUNREACH || code == EHOSTUNREACH || code == EACCES || code == EINVAL || code == ESRCH;
}

}  // namespace

rules::Result<std::optional<std::string>> neighbour_interface(const rules::Address& address) {
  const std::string object = "route to " + address.to_string();
  rules::Result<LibnlSocket> socket = LibnlSocket::connect(NETLINK_ROUTE, object);
  if (!socket) return std::unexpected(std::move(socket.error()));
  const LibnlMessage request(nlmsg_alloc_simple(RTM_GETROUTE, 0));
  rtmsg question{};
  question.rtm_family = number_of(address.family);
  question.rtm_dst_len = rules::bits_of(address.family);
  const auto octets = address.octets();
  if (!request || nlmsg_append(request.get(), &question, sizeof question, NLMSG_ALIGNTO) < 0 ||
      nla_put(request.get(), RTA_DST, static_cast<int>(octets.size()), octets.data()) < 0)
    return rules::fail(object, "build request", "out of memory", ENOMEM);
  const LibnlCallbacks callbacks = socket->make_callbacks(true);
  if (!callbacks) return rules::fail(object, "allocate callbacks", "out of memory", ENOMEM);
  Answer answer;
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, read_answer, &answer);
  if (const int error = nl_send_auto(socket->get(), request.get()); error < 0) return socket->failure("ask", error);
  // The answer, and the acknowledgement that libnl asks for with every request.
  for (int messages = 0; messages < 2; ++messages) {
    const int error = nl_recvmsgs(socket->get(), callbacks.get());
    if (error < 0 && means_no_route(socket->refusal().code)) return std::nullopt;
    if (error < 0) return socket->failure("ask", error);
  }
  if (answer.gateway || answer.interface == 0) return std::nullopt;
  std::string name = interface_name(answer.interface);
  return name.empty() ? std::nullopt : std::optional(std::move(name));
}

}  // namespace kubenatd::netlink::host
