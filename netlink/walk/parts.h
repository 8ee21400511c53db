#pragma once

#include <cstdint>
#include <optional>

#include "rules/walk/expression.h"
#include "rules/walk/statement.h"

namespace kubenatd::netlink::walk {

/// Which part of a packet an expression looks at, for people. `family`: NFPROTO_* of the packets; none: of both.
[[nodiscard]] rules::walk::Part part_of(const rules::walk::ExpressionPtr& expression,
                                        std::optional<std::uint8_t> family);

}  // namespace kubenatd::netlink::walk
