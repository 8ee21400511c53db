#pragma once

#include <optional>

#include "rules/address.h"
#include "rules/walk/statement.h"

namespace kubenatd::rules::walk {

/// Which part of a packet an expression looks at, for people. `family`: of the packets; none: of both, where the
/// network header is not known.
[[nodiscard]] Part part_of(const ExpressionPtr& expression, std::optional<Family> family);

}  // namespace kubenatd::rules::walk
