#pragma once

#include <cstdint>
#include <string_view>

#include "netlink/core/messages.h"
#include "rules/change.h"

/// What the kernel refused, as values. Pure.
namespace kubenatd::netlink {

/// What a message of that type (NFT_MSG_*) does.
[[nodiscard]] rules::Operation operation_of(std::uint16_t type);

/// The refusal that an answer tells of the message: of which object, and of a rule which expression, where the kernel
/// says it.
[[nodiscard]] rules::Refusal name_refusal(const Acknowledgement& answer, std::string_view message);

}  // namespace kubenatd::netlink
