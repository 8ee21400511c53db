#pragma once

#include <cstdint>
#include <string_view>

#include "rules/error.h"

/// Named packet counters of nfnetlink_acct, which rules refer to by -m nfacct.
namespace kubenatd::netlink::host {

/// Makes sure that the counter exists. ENOSYS/EOPNOTSUPP-like failures mean that the kernel has no nfnetlink_acct.
[[nodiscard]] rules::Status ensure_counter(std::string_view name);

/// Packets counted so far.
[[nodiscard]] rules::Result<std::uint64_t> read_counter(std::string_view name);

}  // namespace kubenatd::netlink::host
