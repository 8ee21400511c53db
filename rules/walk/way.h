#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/walk/hooks.h"
#include "rules/walk/walker.h"

namespace kubenatd::rules::walk {

/// A chain that a way is in, and the next rule.
struct Frame {
  const WalkChain* chain = nullptr;
  std::size_t next = 0;
};

/// One way of a packet, as far as it has come.
struct Way {
  PacketState state;
  std::size_t entry = 0;            ///< the next one at the hook
  const AtHook* running = nullptr;  ///< the base chain that it is in
  std::vector<Frame> stack;         ///< the innermost chain last
  bool nat_done = false;            ///< a rule has set where nat leads, at this hook
  RouteAnswer route;                ///< as the last decision was
  bool local = false;               ///< it leads to the node itself
  std::optional<Cause> uncertain;
  /// What a chain of type route, or nat, has to change so that the kernel decides anew.
  std::string routed_by;
  /// As it was before a rule that knows who came lately, and gives such a client the endpoint it had.
  std::shared_ptr<const Way> memory;
  bool is_new_here = true;  ///< came to its place by a rule that splits ways or joins them
  Outcome outcome;
};

/// Bytes that are equal for two ways that go on in the same manner.
[[nodiscard]] std::string key_of(const Way& way);
/// What the kernel's routing looks at: addresses, mark and class.
[[nodiscard]] std::string routing_key(const PacketState& state);

/// Of outcomes that are alike for people, one is left, with the odds of all.
void join_equal(std::vector<Outcome>& outcomes);

}  // namespace kubenatd::rules::walk
