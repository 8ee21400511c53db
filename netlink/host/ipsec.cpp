#include "netlink/host/ipsec.h"

#include <linux/xfrm.h>

#include <cerrno>
#include <cstring>

#include "netlink/core/attributes.h"
#include "netlink/host/kernel_talk.h"

namespace kubenatd::netlink::host {

rules::Result<bool> has_ipsec_policies() {
  auto talk = KernelTalk::open(NETLINK_XFRM, "policies of IPsec");
  if (!talk && talk.error().code == EPROTONOSUPPORT) return false;
  if (!talk) return std::unexpected(std::move(talk.error()));
  std::uint32_t counted = 0;
  bool answered = false;
  const auto read = [&](const Message& message) {
    // Four bytes of flags, as in the question; then the counts.
    if (message.type != XFRM_MSG_NEWSPDINFO || message.payload.size() < sizeof(std::uint32_t)) return;
    xfrmu_spdinfo info{};
    const auto counts = find_attribute(message.payload.substr(sizeof(std::uint32_t)), XFRMA_SPD_INFO).payload;
    if (counts.size() < sizeof info) return;
    std::memcpy(&info, counts.data(), sizeof info);
    answered = true;
    counted = info.incnt + info.outcnt + info.fwdcnt;
  };
  const std::uint32_t flags = 0;
  const auto asked = talk->ask(KernelRequest(XFRM_MSG_GETSPDINFO, 0, flags), "policies of IPsec", read);
  if (!asked) return std::unexpected(asked.error());
  if (!answered) return rules::fail("policies of IPsec", "ask the kernel", "the answer is not understood", EBADMSG);
  return counted != 0;
}

}  // namespace kubenatd::netlink::host
