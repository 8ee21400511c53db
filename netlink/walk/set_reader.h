#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// What the kernel says of a set, without its elements.
struct LiveSet {
  rules::walk::WalkSet set;
  std::size_t key_size = 0;
  std::size_t elements = 0;  ///< as the kernel counted them; 0: it did not say (before 6.16), or there are none
  /// Its elements are objects that may end a rule: limits, quotas, counts of connections.
  bool objects_decide = false;
};
/// `attributes` of NFT_MSG_NEWSET; none when it has no name.
[[nodiscard]] std::optional<LiveSet> read_set(std::string_view attributes);

/// Collects the elements of one set as messages bring them.
///
/// Threading: a value, one thread. Failure: none; an element without a key that fits is passed over, and the set is
/// then not complete. Cost: an element each; those behind the `limit` are only counted.
class ElementReader {
 public:
  /// What becomes of elements that only end an interval.
  enum class Ends : std::uint8_t { kJoin, kKeep };
  ElementReader(const LiveSet& set, std::size_t limit, Ends ends = Ends::kJoin)
      : live_(&set), limit_(limit), ends_(ends) {}

  /// `attributes` of NFT_MSG_NEWSETELEM.
  void add(std::string_view attributes);
  /// How many came, without "*".
  [[nodiscard]] std::size_t count() const { return count_; }
  /// Puts what came into the set. When it was more than the limit, the set has no elements and is not complete; the
  /// element "*" is there all the same.
  void finish(rules::walk::WalkSet& set);

 private:
  struct Live {
    rules::walk::SetElement element;
    bool ends = false;  ///< NFT_SET_ELEM_INTERVAL_END
  };
  void add_element(std::string_view attributes);
  /// In a tree of intervals the kernel keeps where they begin and the first value behind them.
  [[nodiscard]] std::vector<rules::walk::SetElement> join_intervals();

  const LiveSet* live_;
  std::size_t limit_;
  Ends ends_;
  std::size_t count_ = 0;
  bool strange_ = false;
  bool has_ranges_ = false;  ///< elements that have both ends (NFTA_SET_ELEM_KEY_END)
  std::vector<Live> elements_;
  std::optional<rules::walk::SetElement> catch_all_;
};

/// `bytes`, or the next smaller or greater value of that size; false when there is none.
bool step(rules::walk::Bytes& bytes, bool up);

}  // namespace kubenatd::netlink::walk
