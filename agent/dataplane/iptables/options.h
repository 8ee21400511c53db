#pragma once

#include "agent/dataplane/dataplane.h"
#include "netlink/iptables/rule_encoder.h"
#include "rules/iptables/options.h"

namespace kubenatd::agent::dataplane::iptables {

/// The options of one family's chains. Pure.
[[nodiscard]] rules::iptables::CompileOptions compile_options(const NodeFacts& facts, rules::Family family);
/// How they are written.
[[nodiscard]] netlink::iptables::RuleForm rule_form(const NodeFacts& facts);

}  // namespace kubenatd::agent::dataplane::iptables
