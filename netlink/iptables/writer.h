#pragma once

#include <cstdint>
#include <string_view>

#include "netlink/core/batch.h"
#include "netlink/iptables/rule_encoder.h"
#include "rules/iptables/plan.h"
#include "rules/rule.h"

/// Tables, chains and rules of iptables mode as messages of a transaction, byte for byte as iptables-nft writes them
/// (see rule_encoder.h).
namespace kubenatd::netlink::iptables {

using rules::iptables::Placement;

void add_table(Batch& batch, rules::Family family, rules::Table table);
void delete_table(Batch& batch, rules::Family family, rules::Table table);
/// A builtin chain ("INPUT", "PREROUTING", ...) with iptables' hook, priority and type, policy accept. Only for
/// chains that are not there: it would reset the policy.
void add_base_chain(Batch& batch, rules::Family family, rules::Table table, std::string_view chain);
/// With `only_new` the transaction fails (EEXIST) when the chain is there already.
void add_chain(Batch& batch, rules::Family family, rules::Table table, std::string_view chain, bool only_new = false);
/// The chain must be empty and nothing may jump to it.
void delete_chain(Batch& batch, rules::Family family, rules::Table table, std::string_view chain);
/// Removes every rule of the chain.
void flush_chain(Batch& batch, rules::Family family, rules::Table table, std::string_view chain);
/// With `echo` the commit reports the handle that the kernel gave to the rule.
void add_rule(Batch& batch, rules::Family family, rules::Table table, std::string_view chain, const rules::Rule& rule,
              Placement placement = {}, bool echo = false, RuleForm form = RuleForm::kPortable);
void delete_rule(Batch& batch, rules::Family family, rules::Table table, std::string_view chain, std::uint64_t handle);
/// The same in a table of another program.
void delete_rule(Batch& batch, rules::Family family, std::string_view table, std::string_view chain,
                 std::uint64_t handle);

}  // namespace kubenatd::netlink::iptables
