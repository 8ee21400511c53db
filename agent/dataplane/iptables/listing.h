#pragma once

#include <vector>

#include "rules/iptables/desired.h"
#include "rules/text.h"

namespace kubenatd::agent::dataplane::iptables {

/// The whole desired content of filter and nat of one family, with the builtin chains and our jumps in them: what
/// iptables-save would print of a kernel that holds nothing else.
[[nodiscard]] std::vector<rules::TableText> list_desired(rules::iptables::DesiredTables& desired);

}  // namespace kubenatd::agent::dataplane::iptables
