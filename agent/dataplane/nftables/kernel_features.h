#pragma once

#include <string>

#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::agent::dataplane::nftables {

/// In words which part of the kernel is missing when it refused a message of nftables mode for that reason; empty when
/// it was another reason. Pure.
[[nodiscard]] std::string missing_feature(const rules::Error& refusal, rules::Family family);

}  // namespace kubenatd::agent::dataplane::nftables
