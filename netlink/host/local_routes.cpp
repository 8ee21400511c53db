#include "netlink/host/local_routes.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"
#include "netlink/host/kernel_talk.h"
#include "netlink/host/rtnetlink.h"

namespace kubenatd::netlink::host {
namespace {

constexpr const char* kObject = "local routes";

struct LocalRoute {
  rules::Prefix prefix;
  bool in_local_table = false;
};

std::optional<LocalRoute> local_route_of(const Message& message) {
  const auto route = fixed_part<rtmsg>(message);
  if (!route || message.type != RTM_NEWROUTE || route->rtm_type != RTN_LOCAL) return std::nullopt;
  const auto family = family_of(route->rtm_family);
  if (!family || route->rtm_dst_len > rules::bits_of(*family)) return std::nullopt;
  const std::string_view attributes = attributes_behind<rtmsg>(message);
  const auto table = find_attribute(attributes, RTA_TABLE).payload;
  rules::Address any;
  any.family = *family;
  // The route to everywhere (`local default`) has no destination.
  const auto destination = address_of(*family, find_attribute(attributes, RTA_DST).payload);
  return LocalRoute{rules::Prefix::of(destination.value_or(any), route->rtm_dst_len),
                    (table.empty() ? route->rtm_table : number_in(table)) == RT_TABLE_LOCAL};
}

/// A question to fib_frontend.c (nl_fib_input) and its answer: struct fib_result_nl of the kernel's
/// include/net/ip_fib.h, which is in no header for programs.
struct FibQuestion {
  std::uint32_t address;  ///< network order
  std::uint32_t mark;
  std::uint8_t tos, scope, table_asked;
  std::uint8_t table, length, next_hop, type, scope_found;
  std::int32_t error;
};
static_assert(sizeof(FibQuestion) == 20);

rules::Result<bool> is_local_ipv4(const rules::Address& address) {
  const std::string object = "type of " + address.to_string();
  auto socket = LibnlSocket::connect(NETLINK_FIB_LOOKUP, object);
  if (!socket) return std::unexpected(std::move(socket.error()));
  const int fd = nl_socket_get_fd(socket->get());
  struct {
    nlmsghdr header;
    FibQuestion question;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_flags = NLM_F_REQUEST;
  std::memcpy(&message.question.address, octets_of(address).data(), sizeof message.question.address);
  message.question.table_asked = RT_TABLE_LOCAL;
  const auto failed = [&](const char* operation, int code) {
    return rules::fail(object, operation, std::strerror(code), code);
  };
  // The kernel answers inside the call.
  if (::send(fd, &message, sizeof message, MSG_NOSIGNAL) < 0) return failed("ask", errno);
  const ssize_t size = ::recv(fd, &message, sizeof message, 0);
  if (size < 0) return failed("read the answer", errno);
  if (size != sizeof message) return failed("read the answer", EBADMSG);
  return message.question.error == 0 && message.question.type == RTN_LOCAL;
}

rules::Result<bool> is_local_ipv6(const rules::Address& address) {
  auto talk = KernelTalk::open(NETLINK_ROUTE, kObject);
  if (!talk) return std::unexpected(std::move(talk.error()));
  rtmsg fixed{};
  fixed.rtm_family = AF_INET6;
  fixed.rtm_dst_len = rules::bits_of(address.family);
  KernelRequest request(RTM_GETROUTE, 0, fixed);
  request.attribute(RTA_DST, octets_of(address));
  bool local = false;
  const auto read = [&](const Message& message) {
    const auto route = fixed_part<rtmsg>(message);
    if (route && message.type == RTM_NEWROUTE) local = route->rtm_type == RTN_LOCAL;
  };
  const auto asked = talk->ask(std::move(request), "route to " + address.to_string(), read);
  // A refusal is the kernel's word on the route: there is none, or it leads nowhere.
  if (!asked && asked.error().code != ENETUNREACH && asked.error().code != EHOSTUNREACH &&
      asked.error().code != EACCES && asked.error().code != EINVAL)
    return std::unexpected(asked.error());
  return local;
}

/// The first and the last address of each half. Longer routes may have some of them.
std::vector<rules::Address> corners_of(const rules::Prefix& prefix) {
  const unsigned bits = rules::bits_of(prefix.address.family);
  if (prefix.length == bits) return {prefix.address};
  std::vector<rules::Address> corners;
  for (const bool second : {false, true})
    for (const bool end : {false, true}) {
      rules::Address address = prefix.address;
      for (unsigned bit = prefix.length; bit < bits; ++bit)
        if (bit == prefix.length ? second : end)
          address.bytes[bit / 8] = static_cast<std::uint8_t>(address.bytes[bit / 8] | (0x80U >> (bit % 8)));
      corners.push_back(address);
    }
  return corners;
}

/// A kernel without IPv6 has no such routes.
bool means_none(const rules::Error& error) {
  return error.code == EOPNOTSUPP || error.code == EAFNOSUPPORT || error.code == ENOENT;
}

}  // namespace

rules::Result<bool> is_local(const rules::Address& address) {
  return address.family == rules::Family::kIpv4 ? is_local_ipv4(address) : is_local_ipv6(address);
}

rules::Result<std::vector<rules::Prefix>> local_prefixes(const std::vector<rules::Address>& addresses) {
  auto talk = KernelTalk::open(NETLINK_ROUTE, kObject);
  if (!talk) return std::unexpected(std::move(talk.error()));
  std::vector<rules::Prefix> prefixes;
  std::vector<rules::Prefix> of_other_tables;
  const auto read = [&](const Message& message) {
    const auto route = local_route_of(message);
    if (!route) return;
    const rules::Prefix& prefix = route->prefix;
    if (prefix.address.is_loopback() && prefix.length >= 8) return;
    if (prefix.length == rules::bits_of(prefix.address.family) && std::ranges::binary_search(addresses, prefix.address))
      return;
    (route->in_local_table ? prefixes : of_other_tables).push_back(prefix);
  };
  for (const rules::Family family : rules::kFamilies) {
    rtmsg fixed{};
    fixed.rtm_family = number_of(family);
    fixed.rtm_type = RTN_LOCAL;
    const std::size_t before = prefixes.size();
    const std::size_t others_before = of_other_tables.size();
    const auto asked = talk->ask(KernelRequest(RTM_GETROUTE, NLM_F_DUMP, fixed), kObject, read, [&] {
      prefixes.resize(before);
      of_other_tables.resize(others_before);
    });
    if (!asked && !means_none(asked.error())) return std::unexpected(asked.error());
  }
  int asked = 0;
  const auto takes = [&](const rules::Address& address) {
    if (++asked > kMostAsked) return false;
    const auto local = is_local(address);
    return local && *local;
  };
  for (const rules::Prefix& prefix : of_other_tables)
    if (prefix.length != 0 && std::ranges::any_of(corners_of(prefix), takes)) prefixes.push_back(prefix);
  std::ranges::sort(prefixes);
  const auto doubles = std::ranges::unique(prefixes);
  prefixes.erase(doubles.begin(), doubles.end());
  return prefixes;
}

}  // namespace kubenatd::netlink::host
