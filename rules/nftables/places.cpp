#include <algorithm>

#include "rules/nftables/desired.h"

namespace kubenatd::rules::nftables {

std::vector<Backend> keep_places(std::vector<Backend> present, const std::vector<Backend>& wanted) {
  std::vector<Backend> sorted = wanted;
  std::ranges::sort(sorted);
  const auto doubles = std::ranges::unique(sorted);
  sorted.erase(doubles.begin(), doubles.end());
  std::vector<bool> placed(sorted.size(), false);
  std::vector<std::size_t> holes;
  for (std::size_t i = 0; i < present.size(); ++i) {
    const auto found = std::ranges::lower_bound(sorted, present[i]);
    const auto at = static_cast<std::size_t>(found - sorted.begin());
    if (found != sorted.end() && *found == present[i] && !placed[at]) {
      placed[at] = true;
    } else {
      holes.push_back(i);
    }
  }
  std::size_t filled = 0;
  for (const Backend& backend : wanted) {
    const auto at = static_cast<std::size_t>(std::ranges::lower_bound(sorted, backend) - sorted.begin());
    if (placed[at]) continue;
    placed[at] = true;
    if (filled < holes.size()) {
      present[holes[filled++]] = backend;
    } else {
      present.push_back(backend);
    }
  }
  // From the back: the last one that stays moves into the first hole that is left.
  std::size_t last_hole = holes.size();
  while (filled < last_hole) {
    if (holes[last_hole - 1] + 1 == present.size()) {
      --last_hole;
    } else {
      present[holes[filled++]] = present.back();
    }
    present.pop_back();
  }
  return present;
}

}  // namespace kubenatd::rules::nftables
