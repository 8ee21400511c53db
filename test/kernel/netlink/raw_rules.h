#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/rule.h"

/// What the kernel holds, read with libmnl and libnftnl alone: an oracle that shares no code with what is tested.
namespace kubenatd::test {

struct RawRule {
  std::uint64_t handle = 0;
  std::string expressions;                    ///< payload of NFTA_RULE_EXPRESSIONS
  std::vector<std::string> expression_names;  ///< as libnftnl parses the rule
};

/// The rules of one chain in order. Throws when the kernel or libnftnl refuses.
[[nodiscard]] std::vector<RawRule> raw_rules(rules::Family family, rules::Table table, const std::string& chain);

/// Runs a program in this namespace, gives its output, throws when it fails.
std::string must_run(const std::vector<std::string>& arguments, const std::string& input = {});

/// "iptables-save" and such, "ip6tables-save" for IPv6.
[[nodiscard]] std::string tool(rules::Family family, const std::string& suffix);

/// A rule that jumps to a chain, with a comment.
[[nodiscard]] rules::Rule jump_rule(const std::string& chain, const std::string& comment);

}  // namespace kubenatd::test
