#pragma once

#include <cstdint>
#include <optional>

#include "rules/walk/expression.h"

namespace kubenatd::netlink::walk {

/// Where the field of a header ends that holds the byte at `offset`; none for a header that is not known. nft compares
/// neighbouring fields at once ("ip saddr 10.0.0.1 ip daddr 10.0.0.2").
[[nodiscard]] std::optional<std::uint16_t> end_of_field(rules::walk::Payload::Base base, std::uint16_t offset,
                                                        std::optional<std::uint8_t> family);

}  // namespace kubenatd::netlink::walk
