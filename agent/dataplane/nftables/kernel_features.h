#pragma once

#include <string>

#include "rules/change.h"

namespace kubenatd::agent::dataplane::nftables {

/// In words which part of the kernel is missing when it refused a message of nftables mode for that reason; empty when
/// it was another reason. Pure.
[[nodiscard]] std::string missing_feature(const rules::Refusal& refusal);

}  // namespace kubenatd::agent::dataplane::nftables
