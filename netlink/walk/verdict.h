#pragma once

#include <optional>
#include <string_view>

#include "rules/walk/statement.h"

namespace kubenatd::netlink::walk {

/// What NFTA_DATA_VERDICT holds; none for NFT_BREAK and for what is no verdict.
[[nodiscard]] std::optional<rules::walk::ToVerdict> read_verdict(std::string_view attributes);

}  // namespace kubenatd::netlink::walk
