#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/iptables/compiler.h"
#include "rules/iptables/names.h"

/// What the parts of the compiler share. Not for other users.
namespace kubenatd::rules::iptables {

inline constexpr std::string_view kMarkMasq = "KUBE-MARK-MASQ";
inline constexpr std::string_view kFirewallChain = "KUBE-FIREWALL";
inline constexpr Prefix kLoopbackIpv4{{Family::kIpv4, {127}}, 8};
inline constexpr Prefix kLoopbackIpv6{{Family::kIpv6, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, 128};

/// Which chains one service port gets and where its traffic goes: decided once, read by every part.
///
/// Only chains that will exist are jumped to, whatever the view says: a view without chosen endpoints has
/// has_internal and has_external false. Refers to the view and the options, which must outlive it.
struct PortPlan {
  PortPlan(const ServicePortView& port, const CompileOptions& compile_options);

  const ServicePortView& view;
  const CompileOptions& options;
  ServicePortNames names;

  bool cluster_wanted = false;   ///< KUBE-SVC-
  bool local_wanted = false;     ///< KUBE-SVL-
  bool external_wanted = false;  ///< KUBE-EXT-
  bool firewall_wanted = false;  ///< KUBE-FW-
  bool has_internal = false;     ///< cluster IP traffic has endpoints
  bool has_external = false;     ///< outside traffic has endpoints

  [[nodiscard]] const ChainName& internal_chain() const {
    return view.internal_policy_local ? names.local : names.cluster;
  }
  [[nodiscard]] const ChainName& external_policy_chain() const {
    return view.external_policy_local ? names.local : names.cluster;
  }
};

/// A comment as the kernel takes it: 255 bytes at most (struct xt_comment_info), what is over is cut.
[[nodiscard]] CommentMatch comment(std::string text);

/// The texts in a row, in one allocation.
template <class... Texts>
[[nodiscard]] std::string concat(const Texts&... texts) {
  std::string out;
  out.reserve((std::string_view(texts).size() + ...));
  (out.append(std::string_view(texts)), ...);
  return out;
}

[[nodiscard]] inline Jump jump_to(std::string_view chain) {
  return Jump{std::string(chain), false};
}

/// -d ADDRESS -p PROTOCOL -m comment --comment TEXT -m PROTOCOL --dport PORT
[[nodiscard]] Rule service_rule(std::string text, Protocol protocol, const Address& destination, std::uint16_t port,
                                Target target);

/// Adds the detector's condition to `rule`: "from a pod", or "not from a pod" when `negate`. False when no packet can
/// meet it; then the rule is not to be written.
[[nodiscard]] bool add_local_condition(Rule& rule, const LocalDetector& detector, bool negate);

/// -s or -d of a block. Nothing for a block of all addresses: iptables writes no match for it.
[[nodiscard]] std::optional<AddressMatch> match_of(const Prefix& prefix);

/// The chains of the service port, in the order that `compile` promises.
void append_chains(const PortPlan& plan, std::vector<ChainRules>& chains);

}  // namespace kubenatd::rules::iptables
