#pragma once

#include "rules/walk/expression.h"
#include "rules/walk/state.h"

/// What the leaves of expressions are for a packet at a rule: values with known bits, `absent` where the kernel leaves
/// the rule. Widths and byte orders as of net/netfilter/nft_{meta,ct,fib,socket,rt,exthdr}.c of Linux 6.18.
namespace kubenatd::rules::walk {

[[nodiscard]] Value load(const Meta& meta, const PacketState& state, const Surroundings& surroundings);
[[nodiscard]] Value load(const Ct& ct, const PacketState& state);
[[nodiscard]] Value load(const Fib& fib, const PacketState& state, const Surroundings& surroundings);
[[nodiscard]] Value load(const SocketField& field, const PacketState& state);
[[nodiscard]] Value load(const RouteField& field, const PacketState& state, const Surroundings& surroundings);
[[nodiscard]] Value load(const ExtensionHeader& header, const PacketState& state);

/// The question for the way of the packet as it is now.
[[nodiscard]] RouteQuestion route_question(const PacketState& state);

}  // namespace kubenatd::rules::walk
