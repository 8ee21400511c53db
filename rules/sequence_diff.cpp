#include "rules/sequence_diff.h"

#include <algorithm>
#include <unordered_map>

namespace kubenatd::rules {
namespace {

/// Positions of a longest strictly increasing subsequence of `values`; patience sorting.
std::vector<std::size_t> longest_increasing(const std::vector<std::size_t>& values) {
  constexpr auto kNone = static_cast<std::size_t>(-1);
  std::vector<std::size_t> tails;  // position of the smallest last value of an increasing run of each length
  std::vector<std::size_t> previous(values.size(), kNone);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto place =
        std::ranges::lower_bound(tails, values[i], {}, [&](std::size_t position) { return values[position]; });
    if (place != tails.begin()) previous[i] = *(place - 1);
    if (place == tails.end()) {
      tails.push_back(i);
    } else {
      *place = i;
    }
  }
  std::vector<std::size_t> result(tails.size());
  std::size_t at = tails.empty() ? kNone : tails.back();
  for (auto slot = result.rbegin(); slot != result.rend(); ++slot) {
    *slot = at;
    at = previous[at];
  }
  return result;
}

}  // namespace

bool SequenceEdit::empty() const {
  return removed.empty() && std::ranges::find(handles, std::uint64_t{0}) == handles.end();
}

std::uint64_t SequenceEdit::next_kept(std::size_t position) const {
  for (std::size_t i = position; i < handles.size(); ++i)
    if (handles[i] != 0) return handles[i];
  return 0;
}

SequenceEdit diff_sequences(std::span<const LiveRuleRef> live, std::span<const Digest> desired) {
  SequenceEdit edit;
  edit.handles.assign(desired.size(), 0);
  std::size_t head = 0;
  while (head < live.size() && head < desired.size() && live[head].digest == desired[head]) {
    edit.handles[head] = live[head].handle;
    ++head;
  }
  std::size_t tail = 0;
  while (head + tail < live.size() && head + tail < desired.size() &&
         live[live.size() - 1 - tail].digest == desired[desired.size() - 1 - tail]) {
    edit.handles[desired.size() - 1 - tail] = live[live.size() - 1 - tail].handle;
    ++tail;
  }
  const auto live_middle = live.subspan(head, live.size() - head - tail);
  const auto desired_middle = desired.subspan(head, desired.size() - head - tail);

  // Equal rules pair up in order of appearance; which of them pairs with which makes no difference to a packet.
  std::unordered_map<Digest, std::vector<std::size_t>> places;
  for (std::size_t i = desired_middle.size(); i-- > 0;) places[desired_middle[i]].push_back(i);
  std::vector<std::size_t> matched_live;
  std::vector<std::size_t> matched_desired;
  for (std::size_t i = 0; i < live_middle.size(); ++i) {
    const auto found = places.find(live_middle[i].digest);
    if (found == places.end() || found->second.empty()) continue;
    matched_live.push_back(i);
    matched_desired.push_back(found->second.back());
    found->second.pop_back();
  }
  std::vector<bool> stays(live_middle.size(), false);
  for (const std::size_t match : longest_increasing(matched_desired)) {
    stays[matched_live[match]] = true;
    edit.handles[head + matched_desired[match]] = live_middle[matched_live[match]].handle;
  }
  for (std::size_t i = 0; i < live_middle.size(); ++i)
    if (!stays[i]) edit.removed.push_back(live_middle[i].handle);
  return edit;
}

std::vector<JumpInsertion> missing_jumps(std::span<const LiveRuleRef> live, std::span<const Digest> desired) {
  std::vector<std::uint64_t> handles(desired.size(), 0);
  for (std::size_t i = 0; i < desired.size(); ++i) {
    const auto found = std::ranges::find(live, desired[i], &LiveRuleRef::digest);
    if (found != live.end()) handles[i] = found->handle;
  }
  std::vector<JumpInsertion> insertions;
  // Before one and the same neighbour, what is sent later stands nearer to it: ascending.
  std::size_t after_last = desired.size();
  while (after_last > 0 && handles[after_last - 1] == 0) --after_last;
  for (std::size_t i = 0; i < after_last; ++i) {
    if (handles[i] != 0) continue;
    std::size_t next = i;
    while (handles[next] == 0) ++next;
    insertions.push_back({i, JumpInsertion::Where::kBefore, handles[next]});
  }
  // After one neighbour, or on top, what is sent later stands first: descending.
  for (std::size_t i = desired.size(); i-- > after_last;) {
    if (after_last > 0) {
      insertions.push_back({i, JumpInsertion::Where::kAfter, handles[after_last - 1]});
    } else {
      insertions.push_back({i, JumpInsertion::Where::kFirst, 0});
    }
  }
  return insertions;
}

std::vector<std::uint64_t> surplus_jumps(std::span<const LiveRuleRef> live, std::span<const Digest> desired) {
  std::vector<std::uint64_t> handles;
  for (std::size_t i = 0; i < live.size(); ++i) {
    const auto before = live.first(i);
    const bool again = std::ranges::find(before, live[i].digest, &LiveRuleRef::digest) != before.end();
    if (again || std::ranges::find(desired, live[i].digest) == desired.end()) handles.push_back(live[i].handle);
  }
  return handles;
}

}  // namespace kubenatd::rules
