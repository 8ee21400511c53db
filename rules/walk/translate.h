#pragma once

#include <optional>

#include "rules/walk/state.h"
#include "rules/walk/statement.h"

namespace kubenatd::rules::walk {

/// What the expressions of a Nat are for the packet; none: not given.
struct NatValues {
  std::optional<Value> address, last_address, port, last_port;
};

/// What nf_nat does with the connection's first packet (net/netfilter/nf_nat_core.c, nf_nat_redirect.c,
/// nf_nat_masquerade.c). False: where the packet goes then cannot be told.
[[nodiscard]] bool translate(const Nat& nat, const NatValues& values, PacketState& state,
                             const Surroundings& surroundings);

}  // namespace kubenatd::rules::walk
