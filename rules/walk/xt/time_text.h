#pragma once

#include <optional>

#include "rules/walk/xt/option.h"

namespace kubenatd::rules::walk::xt {

/// -m time. None: an option is not understood.
[[nodiscard]] std::optional<InTime> time_of(const Group& group);

}  // namespace kubenatd::rules::walk::xt
