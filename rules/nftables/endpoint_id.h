#pragma once

#include <cstdint>
#include <span>

#include "rules/address.h"

/// Session affinity remembers at which endpoint a client is: not by number, which changes when others go, but by what
/// packets themselves can say of it.
namespace kubenatd::rules::nftables {

/// The kernel's jhash (lookup3 of Bob Jenkins, linux/jhash.h).
[[nodiscard]] std::uint32_t jhash(std::span<const std::uint8_t> bytes, std::uint32_t seed);

/// Of an endpoint. That two of one service port have the same happens to one pair in 10^9; clients of the second then
/// are with the first from their second connection on.
[[nodiscard]] std::uint32_t endpoint_id(const Address& address, std::uint16_t port);

}  // namespace kubenatd::rules::nftables
