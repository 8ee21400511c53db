#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "rules/walk/judge_rule.h"
#include "rules/walk/state_key.h"

namespace kubenatd::rules::walk {
namespace {

[[nodiscard]] std::string key_of_branch(const Branch& branch) {
  std::string key = key_of(branch.after);
  key += static_cast<char>(branch.verdict.verdict);
  key += branch.verdict.chain;
  key += '\0';
  key += static_cast<char>((branch.nat_done ? 1 : 0) | (branch.anything ? 2 : 0) |
                           (branch.destination_from_memory ? 4 : 0));
  const auto place = reinterpret_cast<std::uintptr_t>(branch.refuse);
  key.append(reinterpret_cast<const char*>(&place), sizeof place);
  return key;
}

void add_odds(Branch& one, const Branch& other) {
  one.odds += other.odds;
  one.odds_known = one.odds_known && other.odds_known;
  if (one.fit == other.fit && one.assumed == other.assumed) return;
  if (one.fit == Fit::kUnknown || other.fit == Fit::kUnknown) {
    if (one.fit != Fit::kUnknown) one.part = other.part;
    one.fit = Fit::kUnknown;
    one.assumed = false;
  } else if (one.fit == Fit::kNo) {
    one.fit = other.fit;
    one.part = other.part;
  }
}

void merge_mark(Mark& one, const Mark& other) {
  one.unknown |= other.unknown | (one.bits ^ other.bits);
  one.bits &= ~one.unknown;
}

[[nodiscard]] bool only_goes_on(const Branch& branch) {
  return branch.verdict.verdict == Verdict::kContinue && branch.refuse == nullptr && !branch.nat_done &&
         !branch.anything;
}

/// Branches that all go on and differ only in marks become one, when nobody can tell their odds.
void join_marks(std::vector<Branch>& branches) {
  const auto usual = [](const Branch& branch) { return !branch.remembered; };
  if (std::ranges::none_of(branches, [](const Branch& branch) { return branch.fit == Fit::kUnknown; })) return;
  const auto first = std::ranges::find_if(branches, usual);
  if (first == branches.end()) return;
  const std::string key = key_of(first->after, false);
  for (const Branch& branch : branches)
    if (usual(branch) && (!only_goes_on(branch) || key_of(branch.after, false) != key)) return;
  Branch all = std::move(*first);
  std::vector<Branch> kept;
  for (auto branch = branches.begin(); branch != branches.end(); ++branch) {
    if (branch == first) continue;
    if (branch->remembered) {
      kept.push_back(std::move(*branch));
      continue;
    }
    merge_mark(all.after.mark, branch->after.mark);
    merge_mark(all.after.connmark, branch->after.connmark);
    merge_mark(all.after.priority, branch->after.priority);
    if (all.fit != Fit::kUnknown && branch->fit == Fit::kUnknown) all.part = branch->part;
  }
  all.fit = Fit::kUnknown;
  all.assumed = false;
  all.odds = 1;
  all.odds_known = true;
  kept.insert(kept.begin(), std::move(all));
  branches = std::move(kept);
}

}  // namespace

void join(std::vector<Branch>& branches) {
  if (branches.size() < 2) return;
  std::unordered_map<std::string, std::size_t> places;
  std::vector<Branch> kept;
  for (const bool remembered : {false, true}) {
    for (Branch& branch : branches) {
      if (branch.remembered != remembered) continue;
      const auto [at, is_new] = places.try_emplace(key_of_branch(branch), kept.size());
      if (is_new) {
        kept.push_back(std::move(branch));
      } else if (!remembered) {
        add_odds(kept[at->second], branch);
      }  // a remembered way that comes to the same as another one is none
    }
  }
  branches = std::move(kept);
  if (branches.size() > 1) join_marks(branches);
  const auto usual = [](const Branch& branch) { return !branch.remembered; };
  if (std::ranges::count_if(branches, usual) == 1) {
    Branch& only = *std::ranges::find_if(branches, usual);
    only.odds = 1;
    only.odds_known = true;
  }
}

}  // namespace kubenatd::rules::walk
