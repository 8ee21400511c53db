#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "netlink/core/messages.h"
#include "rules/address.h"

/// What questions to rtnetlink share: the fixed part of a message, numbers in the host's order, addresses.
namespace kubenatd::netlink::host {

template <class Fixed>
[[nodiscard]] std::optional<Fixed> fixed_part(const Message& message) {
  Fixed fixed{};
  if (message.payload.size() < sizeof fixed) return std::nullopt;
  std::memcpy(&fixed, message.payload.data(), sizeof fixed);
  return fixed;
}

template <class Fixed>
[[nodiscard]] std::string_view attributes_behind(const Message& message) {
  return message.payload.substr(std::min<std::size_t>(message.payload.size(), NLMSG_ALIGN(sizeof(Fixed))));
}

/// 0 where the payload is shorter.
template <class Number = std::uint32_t>
[[nodiscard]] Number number_in(std::string_view payload) {
  Number number = 0;
  if (payload.size() >= sizeof number) std::memcpy(&number, payload.data(), sizeof number);
  return number;
}

[[nodiscard]] inline std::string_view octets_of(const rules::Address& address) {
  const auto octets = address.octets();
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

[[nodiscard]] inline std::optional<rules::Address> address_of(rules::Family family, std::string_view bytes) {
  rules::Address address;
  address.family = family;
  if (bytes.size() != address.octets().size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  return address;
}

}  // namespace kubenatd::netlink::host
