#include "netlink/host/listeners.h"

#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cstring>

#include "netlink/host/kernel_talk.h"

namespace kubenatd::netlink::host {
namespace {

/// A socket of UDP that is not connected is in this state.
constexpr std::uint32_t kWaits = (1U << TCP_LISTEN) | (1U << TCP_CLOSE);

ListeningSocket socket_of(const inet_diag_msg& told, rules::Protocol protocol, rules::Family family) {
  ListeningSocket socket{.protocol = protocol, .port = ntohs(told.id.idiag_sport), .address = std::nullopt};
  rules::Address address{.family = family};
  std::memcpy(address.bytes.data(), &told.id.idiag_src, family == rules::Family::kIpv4 ? 4 : 16);
  // One of IPv6 may be bound to an address of IPv4.
  if (family == rules::Family::kIpv6)
    if (const auto plain = rules::Address::parse(address.to_string())) address = *plain;
  if (!address.is_unspecified()) socket.address = address;
  return socket;
}

}  // namespace

rules::Result<std::vector<ListeningSocket>> listening_sockets(rules::Protocol protocol) {
  const std::string what = fmt::format("listening sockets of {}", name_of(protocol));
  auto talk = KernelTalk::open(NETLINK_SOCK_DIAG, what);
  if (!talk) return std::unexpected(std::move(talk.error()));
  std::vector<ListeningSocket> found;
  for (const rules::Family family : rules::kFamilies) {
    inet_diag_req_v2 question{};
    question.sdiag_family = family == rules::Family::kIpv4 ? AF_INET : AF_INET6;
    question.sdiag_protocol = protocol == rules::Protocol::kTcp ? IPPROTO_TCP : IPPROTO_UDP;
    question.idiag_states = kWaits;
    const auto read = [&](const Message& message) {
      inet_diag_msg told{};
      if (message.type != SOCK_DIAG_BY_FAMILY || message.payload.size() < sizeof told) return;
      std::memcpy(&told, message.payload.data(), sizeof told);
      if (told.id.idiag_sport == 0) return;  // not bound
      found.push_back(socket_of(told, protocol, family));
    };
    const auto asked = talk->ask(KernelRequest(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, question), what, read);
    if (!asked) return std::unexpected(asked.error());
  }
  std::ranges::sort(found);
  const auto doubles = std::ranges::unique(found);
  found.erase(doubles.begin(), doubles.end());
  return found;
}

}  // namespace kubenatd::netlink::host
