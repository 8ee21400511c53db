#pragma once

#include "agent/dataplane/dataplane.h"
#include "rules/iptables/options.h"

namespace kubenatd::agent::dataplane::iptables {

/// The options of one family's chains. Pure.
[[nodiscard]] rules::iptables::CompileOptions compile_options(const NodeFacts& facts, rules::Family family);

}  // namespace kubenatd::agent::dataplane::iptables
