#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "rules/iptables/options.h"
#include "rules/rule.h"
#include "rules/service_port.h"

/// Pure functions from service port views to kube-proxy's rules (iptables mode, v1.36).
/// No state, no I/O; cost is linear in the number of endpoints of the port.
namespace kubenatd::rules::iptables {

/// The chains that many service ports share.
enum class DispatchChain : std::uint8_t {
  kNatServices,             ///< nat KUBE-SERVICES
  kNatNodePorts,            ///< nat KUBE-NODEPORTS
  kFilterServices,          ///< filter KUBE-SERVICES
  kFilterExternalServices,  ///< filter KUBE-EXTERNAL-SERVICES
  kFilterNodePorts,         ///< filter KUBE-NODEPORTS
  kFilterProxyFirewall,     ///< filter KUBE-PROXY-FIREWALL
};
inline constexpr std::size_t kDispatchChains = 6;

[[nodiscard]] const ChainId& chain_of(DispatchChain chain);

/// One rule of a service port in a shared chain.
struct DispatchRule {
  DispatchChain chain;
  Rule rule;
};

/// All that one service port contributes. Every chain in `chains` belongs to this service port alone.
/// Chains that are jumped to come before the chains that jump.
struct CompiledServicePort {
  std::vector<DispatchRule> dispatch;
  std::vector<ChainRules> chains;
};

[[nodiscard]] CompiledServicePort compile(const ServicePortView& view, const CompileOptions& options);

/// Only the rules in shared chains: what `compile` gives as `dispatch`.
[[nodiscard]] std::vector<DispatchRule> compile_dispatch(const ServicePortView& view, const CompileOptions& options);

/// Chains whose content does not depend on any service: KUBE-MARK-MASQ, KUBE-POSTROUTING, KUBE-FORWARD and,
/// when localhost NodePorts are in force, KUBE-FIREWALL.
[[nodiscard]] std::vector<ChainRules> compile_fixed(const CompileOptions& options);

/// The last rules of nat KUBE-SERVICES: the jumps to KUBE-NODEPORTS.
[[nodiscard]] std::vector<Rule> compile_node_port_tail(const CompileOptions& options);

/// A jump from a builtin chain, and the chain it is in.
struct BuiltinJump {
  Table table;
  std::string_view chain;  ///< "INPUT", "PREROUTING", ...
  Rule rule;
  bool remove_on_cleanup = true;  ///< false: KUBE-FIREWALL, which kubelet uses too
};

/// In the order in which they stand in the chains on a node that started empty.
[[nodiscard]] const std::vector<BuiltinJump>& builtin_jumps();

/// Which of our jumps a rule of a builtin chain is; none: a rule of others. A jump counts whatever its comment says,
/// and with or without `--ctstate NEW`: kube-proxy wrote other forms in other versions, and restored dumps bring them
/// back. With any other condition, or with -g, it is a rule of others.
[[nodiscard]] const BuiltinJump* find_builtin_jump(Table table, std::string_view chain, const Rule& rule);

/// True for chains that may be made and removed with services: KUBE-SVC-, KUBE-SVL-, KUBE-SEP-, KUBE-FW-, KUBE-EXT-
/// in nat.
[[nodiscard]] bool is_service_chain(Table table, std::string_view name);

/// True for every chain whose whole content kubenatd decides: the fixed ones and is_service_chain. KUBE-FIREWALL is
/// not among them (shared with kubelet).
[[nodiscard]] bool is_own_chain(Table table, std::string_view name);

}  // namespace kubenatd::rules::iptables
