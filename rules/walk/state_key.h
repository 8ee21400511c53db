#pragma once

#include <string>

#include "rules/walk/state.h"

namespace kubenatd::rules::walk {

/// Bytes that are equal for two states of one walk's packet exactly when nothing tells the states apart. `with_marks`
/// false: but for the bits of marks and priority.
[[nodiscard]] std::string key_of(const PacketState& state, bool with_marks = true);

}  // namespace kubenatd::rules::walk
