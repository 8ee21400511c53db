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

/// The rules in CNI-HOSTPORT-DNAT that lead there: one a protocol and 15 ports.
[[nodiscard]] std::vector<Rule> compile_entries(const PodPorts& pod);

/// CNI-HOSTPORT-SETMARK and CNI-HOSTPORT-MASQ, which are the same for everybody.
[[nodiscard]] const std::vector<ChainRules>& compile_shared();

/// A jump from a builtin chain of nat. Like portmap's, those for DNAT stand behind whatever is there, KUBE-SERVICES
/// included, and the one for masquerading before it.
struct EntryJump {
  std::string_view chain;
  Rule rule;
  bool first = false;
};
[[nodiscard]] const std::vector<EntryJump>& entry_jumps();

}  // namespace kubenatd::rules::hostport
