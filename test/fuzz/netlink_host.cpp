#include <sys/socket.h>

#include <cerrno>

#include "netlink/host/addresses.h"
#include "netlink/host/conntrack.h"
#include "netlink/host/conntrack_stats.h"
#include "netlink/host/counters.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/ipsec.h"
#include "netlink/host/ipset.h"
#include "netlink/host/listeners.h"
#include "netlink/host/local_routes.h"
#include "netlink/host/neighbour.h"
#include "netlink/host/route_question.h"
#include "netlink/host/routes.h"
#include "test/fuzz/fuzz_answers.h"

/// Questions to the kernel about the node: addresses, interfaces, routes, neighbours, sockets, sets, counters. They
/// open their sockets themselves, so libc's calls are taken over here: what is sent goes nowhere, and what is read is
/// the input.
namespace kubenatd::fuzz {
namespace {

FuzzAnswers* kernel = nullptr;
// libnl looks at a datagram before it reads it.
std::optional<std::string_view> looked_at;

ssize_t answer(char* to, std::size_t room, int flags, bool& truncated) {
  if (!looked_at) looked_at = kernel->next();
  if (!looked_at || looked_at->empty()) {
    errno = looked_at ? ENOBUFS : EAGAIN;
    looked_at.reset();
    return -1;
  }
  const std::string_view datagram = *looked_at;
  if ((flags & MSG_PEEK) == 0) looked_at.reset();
  const std::size_t copied = std::min(room, datagram.size());
  if (copied != 0) std::memcpy(to, datagram.data(), copied);
  truncated = copied < datagram.size();
  return static_cast<ssize_t>((flags & MSG_TRUNC) != 0 ? datagram.size() : copied);
}

void name_kernel(void* name, socklen_t& size) {
  sockaddr_nl sender{};
  sender.nl_family = AF_NETLINK;
  std::memcpy(name, &sender, std::min<std::size_t>(size, sizeof sender));
  size = sizeof sender;
}

ssize_t question(std::string_view bytes) {
  looked_at.reset();
  kernel->ask(bytes);
  return static_cast<ssize_t>(bytes.size());
}

}  // namespace
}  // namespace kubenatd::fuzz

// NOLINTBEGIN
extern "C" {
ssize_t send(int, const void* bytes, size_t size, int) {
  return kubenatd::fuzz::question({static_cast<const char*>(bytes), size});
}
ssize_t sendto(int, const void* bytes, size_t size, int, const sockaddr*, socklen_t) {
  return kubenatd::fuzz::question({static_cast<const char*>(bytes), size});
}
ssize_t sendmsg(int, const msghdr* message, int) {
  std::string bytes;
  for (size_t i = 0; i < message->msg_iovlen; ++i)
    bytes.append(static_cast<const char*>(message->msg_iov[i].iov_base), message->msg_iov[i].iov_len);
  return kubenatd::fuzz::question(bytes);
}
ssize_t recvfrom(int, void* to, size_t room, int flags, sockaddr* sender, socklen_t* sender_size) {
  bool truncated = false;
  const ssize_t size = kubenatd::fuzz::answer(static_cast<char*>(to), room, flags, truncated);
  if (size >= 0 && sender != nullptr) kubenatd::fuzz::name_kernel(sender, *sender_size);
  return size;
}
ssize_t recv(int fd, void* to, size_t room, int flags) {
  return recvfrom(fd, to, room, flags, nullptr, nullptr);
}
ssize_t recvmsg(int, msghdr* message, int flags) {
  kubenatd::fuzz::require(message->msg_iovlen == 1, "a datagram is read into one piece");
  bool truncated = false;
  const iovec& part = message->msg_iov[0];
  const ssize_t size = kubenatd::fuzz::answer(static_cast<char*>(part.iov_base), part.iov_len, flags, truncated);
  message->msg_flags = truncated ? MSG_TRUNC : 0;
  message->msg_controllen = 0;
  if (size >= 0 && message->msg_name != nullptr) kubenatd::fuzz::name_kernel(message->msg_name, message->msg_namelen);
  return size;
}
}
// NOLINTEND

namespace kubenatd::fuzz {
namespace {

using namespace netlink::host;
using rules::Address;
using rules::Family;

Address ip(std::string_view text) {
  return Address::parse(text).value();
}

template <class T>
void require_sorted(const std::vector<T>& all) {
  require(std::ranges::is_sorted(all) && std::ranges::adjacent_find(all) == all.end(), "in order, each once");
}

void require_told(const auto& result) {
  if (!result) require_line(result.error());
}

void ask_route(std::uint8_t more) {
  auto asker = RouteAsker::open();
  require_told(asker);
  if (!asker) return;
  rules::walk::RouteQuestion question;
  question.destination = ip((more & 1U) == 0 ? "10.96.0.10" : "fd00:10:96::10");
  if ((more & 2U) != 0) question.source = ip((more & 1U) == 0 ? "192.0.2.1" : "2001:db8::1");
  if ((more & 4U) != 0) question.in_interface = (more & 8U) != 0 ? "lo" : "";
  if ((more & 16U) != 0) question.unknown_mark = 0x4003;
  const auto answer = asker->ask(question);
  require(!answer.source || answer.source->family == question.destination.family, "a source is of the family");
}

void ask_set(std::uint8_t more) {
  auto asker = IpsetAsker::open();
  require_told(asker);
  if (!asker) return;
  rules::walk::Packet packet;
  packet.source = ip("192.0.2.1");
  packet.destination = ip("10.96.0.10");
  packet.in_interface = "lo";
  rules::walk::InIpset set;
  set.name = (more & 1U) == 0 ? "set" : "#5";
  set.source = {(more & 2U) != 0, (more & 4U) != 0, true};
  (void)asker->has(set, packet);
}

void ask_counters(std::uint8_t more) {
  constexpr const char* kCounter = "ct_state_invalid_dropped_pkts";
  if ((more & 1U) == 0) require_told(read_conntrack_stats());
  if ((more & 2U) == 0) require_told(ensure_counter(kCounter));
  require_told(read_counter(kCounter));
}

void sweep(std::uint8_t more) {
  const auto family = (more & 1U) == 0 ? Family::kIpv4 : Family::kIpv6;
  std::size_t seen = 0;
  const auto swept = sweep_conntrack(family, 17, [&](const ConntrackFlow& flow) {
    require(flow.original_source.family == family, "a flow is of the family that was asked for");
    return ++seen % 3 != 0;
  });
  require_told(swept);
  if (swept) require(swept->seen <= seen, "what was seen was asked about");
}

}  // namespace

void check(std::string_view input) {
  const std::uint8_t choice = take_byte(input);
  const std::uint8_t more = take_byte(input);
  FuzzAnswers answers(input);
  kernel = &answers;
  looked_at.reset();
  const Address address = ip((more & 1U) == 0 ? "192.0.2.7" : "2001:db8::7");
  switch (choice % 14) {
    case 0: {
      const auto links = read_links();
      require_told(links);
      if (links) require(!links->contains(""), "an interface has a name");
      break;
    }
    case 1: {
      const auto addresses = local_addresses();
      require_told(addresses);
      if (addresses) require_sorted(*addresses);
      break;
    }
    case 2: {
      const auto prefixes = local_prefixes({address});
      require_told(prefixes);
      if (prefixes) require_sorted(*prefixes);
      break;
    }
    case 3: require_told(is_local(address)); break;
    case 4: require_told(neighbour_interface(address)); break;
    case 5: ask_route(more); break;
    case 6: require_told(main_routes()); break;
    case 7: require_told(has_ipsec_policies()); break;
    case 8: {
      const auto sockets = listening_sockets((more & 1U) == 0 ? rules::Protocol::kTcp : rules::Protocol::kUdp);
      require_told(sockets);
      if (sockets) require_sorted(*sockets);
      break;
    }
    case 9: ask_set(more); break;
    case 10: ask_counters(more); break;
    case 11: {
      auto monitor = AddressMonitor::open();
      require_told(monitor);
      if (monitor) (void)monitor->drain();
      break;
    }
    case 12:
      for (const auto& one : programs_on("lo", (more & 1U) != 0)) require_line(one.what);
      break;
    default: sweep(more);
  }
  kernel = nullptr;
}

}  // namespace kubenatd::fuzz
