#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rules/digest.h"

namespace kubenatd::rules {

/// A rule that stands in a live chain.
struct LiveRuleRef {
  std::uint64_t handle = 0;
  Digest digest;
  bool operator==(const LiveRuleRef&) const = default;
};

/// How a live chain becomes the desired one with the fewest changes. Rules that stay keep their handle and counters.
struct SequenceEdit {
  std::vector<std::uint64_t> removed;  ///< handles to delete
  /// As long as the desired list: the handle of the live rule that stays, or 0 for a rule to insert. A rule to insert
  /// goes before the next rule that stays, or to the end when there is none; inserted in ascending order.
  std::vector<std::uint64_t> handles;

  [[nodiscard]] bool empty() const;
  /// Handle of the first rule that stays at or after `position`; 0 when there is none.
  [[nodiscard]] std::uint64_t next_kept(std::size_t position) const;
};

/// Keeps a longest common subsequence. O(n log n) in the part that differs, O(n) in the common head and tail.
[[nodiscard]] SequenceEdit diff_sequences(std::span<const LiveRuleRef> live, std::span<const Digest> desired);

/// One missing rule of ours in a chain that others use too.
struct JumpInsertion {
  enum class Where : std::uint8_t { kFirst, kBefore, kAfter };
  std::size_t desired = 0;  ///< index in the desired list
  Where where = Where::kFirst;
  std::uint64_t neighbour = 0;
};

/// Which rules of `desired` are missing in a shared builtin chain, in the order in which they must be sent. Rules that
/// are present stay where they are. A missing rule goes next to its neighbour of ours that is present, or to the top of
/// the chain.
[[nodiscard]] std::vector<JumpInsertion> missing_jumps(std::span<const LiveRuleRef> live,
                                                       std::span<const Digest> desired);

/// Handles of the rules of `live` that are none of `desired`, or one of them once more: the first of each stays.
[[nodiscard]] std::vector<std::uint64_t> surplus_jumps(std::span<const LiveRuleRef> live,
                                                       std::span<const Digest> desired);

}  // namespace kubenatd::rules
