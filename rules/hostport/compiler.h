#pragma once

#include <vector>

#include "rules/hostport/mapping.h"
#include "rules/rule.h"

/// Pure functions from host ports to the rules that the CNI portmap plugin (iptables backend, v1.x) writes for them.
namespace kubenatd::rules::hostport {

/// The bit that marks what has to be masqueraded: portmap's default markMasqBit.
inline constexpr std::uint32_t kMasqueradeMark = 1U << 13U;

/// The chain of one pod: hairpin and localhost masquerading, then DNAT, for each mapping. Mappings are of the family of
/// the pod's address.
[[nodiscard]] ChainRules compile_container(const PodPorts& pod);

/// The rules in CNI-HOSTPORT-DNAT that lead to this chain: one for each protocol and up to 15 ports.
[[nodiscard]] std::vector<Rule> compile_entries(const PodPorts& pod);

/// CNI-HOSTPORT-SETMARK and CNI-HOSTPORT-MASQ, which are the same for everybody.
[[nodiscard]] const std::vector<ChainRules>& compile_shared();

/// A jump from a builtin chain of nat. As with portmap, the jumps for DNAT go to the end of their chains, behind
/// KUBE-SERVICES; the jump for masquerading goes to the start.
struct EntryJump {
  std::string_view chain;
  Rule rule;
  bool first = false;
};
[[nodiscard]] const std::vector<EntryJump>& entry_jumps();
/// The rule is one of them.
[[nodiscard]] bool is_entry_jump(std::string_view chain, const Rule& rule);

}  // namespace kubenatd::rules::hostport
