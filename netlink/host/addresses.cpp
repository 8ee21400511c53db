#include "netlink/host/addresses.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <netlink/errno.h>
#include <netlink/route/addr.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "netlink/host/libnl.h"

namespace kubenatd::netlink::host {
namespace {

constexpr const char* kObject = "interface addresses";

struct CacheDelete {
  void operator()(nl_cache* cache) const { nl_cache_free(cache); }
};
using Cache = std::unique_ptr<nl_cache, CacheDelete>;

std::optional<rules::Address> address_of(const nl_addr* source) {
  if (source == nullptr) return std::nullopt;
  rules::Address address;
  switch (nl_addr_get_family(source)) {
    case AF_INET: address.family = rules::Family::kIpv4; break;
    case AF_INET6: address.family = rules::Family::kIpv6; break;
    default: return std::nullopt;
  }
  const std::size_t size = address.octets().size();
  if (nl_addr_get_len(source) != size) return std::nullopt;
  std::copy_n(static_cast<const std::uint8_t*>(nl_addr_get_binary_addr(source)), size, address.bytes.begin());
  return address;
}

/// Lets the kernel drop, before they are queued, notifications of routes that are neither of type local nor of table
/// `local`: a router with the routes of the Internet sends thousands a second, which would push out all others and wake
/// the agent for nothing. A route of another type counts in table `local`, where it may have taken a local one's place.
rules::Status drop_other_routes(LibnlSocket& socket, const char* object) {
  constexpr std::uint32_t kAll = 0xffffffff;
  constexpr std::uint32_t kType = offsetof(nlmsghdr, nlmsg_type);
  constexpr std::uint32_t kRouteType = NLMSG_HDRLEN + offsetof(rtmsg, rtm_type);
  constexpr std::uint32_t kRouteTable = NLMSG_HDRLEN + offsetof(rtmsg, rtm_table);
  // Loads of a filter take numbers from network order; netlink's are in that of the host.
  std::array<sock_filter, 9> program{{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, kType),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELROUTE), 0, 4),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kRouteType),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RTN_LOCAL, 2, 0),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kRouteTable),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RT_TABLE_LOCAL, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, kAll),
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::setsockopt(nl_socket_get_fd(socket.get()), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) == 0)
    return {};
  const int code = errno;
  return rules::fail(object, "filter messages", std::strerror(code), code);
}

}  // namespace

rules::Result<std::vector<rules::Address>> local_addresses() {
  rules::Result<LibnlSocket> socket = LibnlSocket::connect(NETLINK_ROUTE, kObject);
  if (!socket) return std::unexpected(std::move(socket.error()));

  // libnl repeats an interrupted dump by itself (nl_cache_refill).
  nl_cache* filled = nullptr;
  if (const int error = rtnl_addr_alloc_cache(socket->get(), &filled); error < 0) return socket->failure("list", error);
  const Cache cache(filled);

  std::vector<rules::Address> addresses;
  addresses.reserve(static_cast<std::size_t>(std::max(0, nl_cache_nitems(cache.get()))));
  for (nl_object* object = nl_cache_get_first(cache.get()); object != nullptr; object = nl_cache_get_next(object)) {
    // On a point-to-point interface the local address is the node's; the peer is not. libnl gives IFA_ADDRESS as the
    // local one when the kernel sent nothing else, as it does for IPv6.
    auto* entry = reinterpret_cast<rtnl_addr*>(object);
    if (std::optional<rules::Address> address = address_of(rtnl_addr_get_local(entry))) addresses.push_back(*address);
  }
  std::ranges::sort(addresses);
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

struct AddressMonitor::Impl {
  LibnlSocket socket;
  LibnlCallbacks callbacks;
  bool changed = false;
};

rules::Result<AddressMonitor> AddressMonitor::open() {
  constexpr const char* kMonitor = "address monitor";
  rules::Result<LibnlSocket> socket = LibnlSocket::connect(NETLINK_ROUTE, kMonitor);
  if (!socket) return std::unexpected(std::move(socket.error()));
  if (auto filtered = drop_other_routes(*socket, kMonitor); !filtered) return std::unexpected(filtered.error());
  if (const int error = nl_socket_add_memberships(socket->get(), RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                                  RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,
                                                  RTNLGRP_IPV6_RULE, RTNLGRP_NONE);
      error < 0)
    return socket->failure("join groups", error);
  if (const int error = nl_socket_set_nonblocking(socket->get()); error < 0)
    return socket->failure("set non-blocking", error);

  LibnlCallbacks callbacks = socket->make_callbacks(false);
  auto impl = std::make_unique<Impl>(std::move(*socket), std::move(callbacks));
  if (!impl->callbacks) return rules::fail(kMonitor, "allocate callbacks", "out of memory", ENOMEM);
  const auto note = [](nl_msg* message, void* arg) -> int {
    switch (nlmsg_hdr(message)->nlmsg_type) {
      case RTM_NEWADDR:
      case RTM_DELADDR:
      case RTM_NEWLINK:
      case RTM_DELLINK:
      case RTM_NEWROUTE:
      case RTM_DELROUTE:
      case RTM_NEWRULE:
      case RTM_DELRULE: static_cast<Impl*>(arg)->changed = true; break;
      default: break;
    }
    return NL_OK;
  };
  nl_cb_set(impl->callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, note, impl.get());
  return AddressMonitor(impl.release());
}

AddressMonitor::AddressMonitor(Impl* impl) : impl_(impl) {}

AddressMonitor::AddressMonitor(AddressMonitor&& other) noexcept : impl_(std::exchange(other.impl_, nullptr)) {}

AddressMonitor& AddressMonitor::operator=(AddressMonitor&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}

AddressMonitor::~AddressMonitor() {
  delete impl_;
}

int AddressMonitor::fd() const {
  return nl_socket_get_fd(impl_->socket.get());
}

bool AddressMonitor::drain() {
  // The bound keeps a storm of events from holding the caller for ever: the descriptor stays readable.
  constexpr int kMostReads = 4096;
  impl_->changed = false;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const int error = nl_recvmsgs(impl_->socket.get(), impl_->callbacks.get());
    if (error == -NLE_AGAIN) break;
    if (error < 0) {
      // ENOBUFS (libnl: NLE_NOMEM) means lost events, and reading can go on. Whatever else it is: look again.
      impl_->changed = true;
      if (error != -NLE_NOMEM) break;
    }
  }
  return impl_->changed;
}

}  // namespace kubenatd::netlink::host
