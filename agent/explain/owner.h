#pragma once

#include <string>
#include <string_view>

#include "rules/walk/walker.h"

/// Whose a rule is: made for Services and hostPorts (by kubenatd, kube-proxy or the portmap plugin), or somebody
/// else's.
namespace kubenatd::agent::explain {

/// True for a table as iptables has it.
[[nodiscard]] bool is_of_iptables(const rules::walk::WalkTable& table);

/// True for a chain of iptables whose rules are made for Services and hostPorts.
[[nodiscard]] bool is_service_chain(std::string_view chain);

/// True for a table of nft whose rules are all made for Services and hostPorts.
[[nodiscard]] bool is_service_table(const rules::walk::WalkTable& table);

/// The chain that the rule jumps or goes to; empty when it does not.
[[nodiscard]] std::string_view jump_of(const rules::walk::WalkRule& rule);

/// True for a rule of somebody else.
[[nodiscard]] bool is_foreign(const rules::walk::Hop& hop);

/// The table as people name it: "nat", "nat (legacy)", "kubenatd", "inet firewalld".
[[nodiscard]] std::string label_of(const rules::walk::WalkTable& table);

/// The rule in the words of the program that it is for.
[[nodiscard]] std::string text_of(const rules::walk::WalkRule& rule, const rules::walk::WalkTable& table);

/// "nat KUBE-SERVICES: -d 10.96.0.80/32 ...", "filter FORWARD: policy DROP".
[[nodiscard]] std::string describe(const rules::walk::Hop& hop);

}  // namespace kubenatd::agent::explain
