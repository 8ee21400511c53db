#include "agent/explain/masquerade.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <variant>

#include "agent/dataplane/left_behind.h"
#include "agent/explain/owner.h"

namespace kubenatd::agent::explain {
namespace {

using rules::walk::Fit;
using rules::walk::Hook;
using rules::walk::Hop;
using rules::walk::Nat;
using rules::walk::Outcome;
using rules::walk::PacketState;
using rules::walk::Part;
using rules::walk::Walk;

constexpr const char* kItself = "the endpoint would speak to itself, and must not see that it does";
constexpr const char* kOutside =
    "it comes in from outside under traffic policy Cluster: the answer has to come back through this node";
constexpr const char* kNodeAsks =
    "the node itself asks, and may reach endpoints on every node: the answer has to come back here";
constexpr const char* kNoPod =
    "the source is not known as a pod of this cluster: the answer has to come back through this node";

std::string rule_in(const Hop& hop) {
  return fmt::format("rule in {}: {}", hop.chain->name, text_of(*hop.rule, *hop.table));
}

bool replaces_source(const Hop& hop) {
  if (hop.rule == nullptr || !fits(hop)) return false;
  return std::ranges::any_of(hop.rule->statements, [](const auto& statement) {
    const auto* nat = std::get_if<Nat>(&statement);
    return nat != nullptr && (nat->kind == Nat::Kind::kMasquerade || nat->kind == Nat::Kind::kSource);
  });
}

bool asks_for(const Hop& hop, std::initializer_list<Part> parts) {
  const auto is = [&](Part part) { return std::ranges::find(parts, part) != parts.end(); };
  return std::ranges::any_of(hop.rule->statements, [&](const auto& statement) {
    return std::visit(
        [&](const auto& one) {
          if constexpr (requires { one.part; }) return is(one.part);
          return false;
        },
        statement);
  });
}

/// By the chains of kube-proxy in iptables mode and of portmap; empty when it is none of them.
std::string by_iptables(const Hop& hop, const char* outside) {
  const std::string_view to = jump_of(*hop.rule);
  if (to != "KUBE-MARK-MASQ" && to != "CNI-HOSTPORT-SETMARK") return {};
  const std::string_view chain = hop.chain->name;
  if (chain.starts_with("KUBE-SEP-")) return kItself;
  if (chain.starts_with("KUBE-EXT-")) return outside;
  if (chain.starts_with("KUBE-SVC-") || chain.starts_with("KUBE-SVL-")) return kNoPod;
  if (chain.starts_with("CNI-DN-")) return "a hostPort asked by its own pod or by way of localhost";
  return rule_in(hop);
}

/// By the chains of kube-proxy in nftables mode.
std::string by_kube_proxy(const Hop& hop, const char* outside) {
  if (jump_of(*hop.rule) != "mark-for-masquerade") return {};
  const std::string_view chain = hop.chain->name;
  if (chain.starts_with("endpoint-")) return kItself;
  if (chain.starts_with("external-")) return outside;
  if (chain.starts_with("service-")) return kNoPod;
  return rule_in(hop);
}

/// By the chains of the table kubenatd. `hop` is the rule that marked the packet, or the one that replaces its source.
std::string by_kubenatd(const Hop& hop, const Outcome& outcome, const char* outside) {
  const std::string_view chain = hop.chain->name;
  if (chain == "nat-postrouting")
    return outcome.state.packet.source == outcome.state.packet.destination ? kItself
                                                                           : "a hostPort asked by way of localhost";
  if (chain == "cluster-ip" && asks_for(hop, {Part::kSource, Part::kInInterface})) return kNoPod;
  if (chain == "external" || chain == "nodeport") return outside;
  if (chain == "external-local" || chain == "nodeport-local") return kNodeAsks;
  return rule_in(hop);
}

}  // namespace

bool fits(const Hop& hop) {
  return hop.fit == Fit::kUnknown ? hop.assumed : hop.fit != Fit::kNo;
}

bool is_source_replaced(const PacketState& state) {
  return state.masqueraded || state.source_changed || state.packet.source != state.original.source;
}

bool may_keep_source(const PacketState& state) {
  if (state.packet.source != state.original.source) return false;
  // The address of a masquerade is the node's own, also when it is not known which one; of SNAT a range may hold it.
  return state.new_source ? *state.new_source == state.original.source : !state.masqueraded;
}

std::string describe_masquerade(const Walk& walk, const std::vector<std::uint32_t>& path, const Outcome& outcome) {
  const bool arrives = outcome.state.original.origin == rules::walk::Packet::Origin::kArriving;
  const char* const outside = arrives ? kOutside : kNodeAsks;
  const Hop* marked = nullptr;
  const Hop* replaced = nullptr;
  for (const std::uint32_t index : path) {
    const Hop& hop = walk.hops[index];
    if (hop.rule == nullptr || !fits(hop)) continue;
    if (is_of_iptables(*hop.table)) {
      if (std::string why = by_iptables(hop, outside); !why.empty()) return why;
    } else if (hop.table->name == dataplane::kKubeProxyTable) {
      if (std::string why = by_kube_proxy(hop, outside); !why.empty()) return why;
    }
    if (replaces_source(hop)) {
      replaced = &hop;
      break;
    }
    if (hop.marked && hop.table->name == "kubenatd" && hop.hook != Hook::kPostrouting) marked = &hop;
  }
  if (replaced == nullptr) return "a rule replaces the source";
  if (replaced->table->name != "kubenatd") return rule_in(*replaced);
  const bool by_mark = asks_for(*replaced, {Part::kMark});
  return by_kubenatd(by_mark && marked != nullptr ? *marked : *replaced, outcome, outside);
}

}  // namespace kubenatd::agent::explain
