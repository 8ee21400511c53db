#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "rules/frontend.h"
#include "rules/service_ports.h"

namespace kubenatd::rules {

/// Several service ports claim one frontend, or do so no longer.
struct Clash {
  Frontend frontend;
  std::vector<std::string> claimants;  ///< by name; at most one: it is over
  std::string serves;                  ///< the one that serves it; empty: none of them has endpoints for it
};

/// Which service ports of one family claim which frontends, and who of them has each: the first by name of those with
/// usable endpoints. kube-proxy leaves it to the order of a Go map, which is another with each sync (v1.36).
///
/// Purpose: one order of claimants for both modes, and for what is told of them. `Entry` is the entry of a ServicePorts
/// store. Threading: one thread. Failure: none. Cost: a search in a tree for each call, and a walk over the claimants
/// of that frontend; some 80 bytes for each claim.
template <class Entry>
class FrontendClaims {
 public:
  /// Who has the frontend; none when nobody claims it, or only those that the kernel refused.
  [[nodiscard]] Entry* owner_of(const Frontend& frontend) const {
    const auto first = first_of(frontend);
    return first == claims_.end() || first->usability == Usability::kRefused ? nullptr : first->entry;
  }

  /// The entry claims the frontend, or its endpoints for it have changed. Its key must not change.
  void put(const Frontend& frontend, Entry& entry, Usability usability) {
    const auto present = find(frontend, entry);
    const bool is_new = present == claims_.end();
    if (!is_new) {
      if (present->usability == usability) return;
      claims_.erase(present);
    }
    const auto placed = claims_.insert({frontend, usability, &entry}).first;
    if (is_new && is_shared(placed)) concerned_.insert(frontend);
  }
  void remove(const Frontend& frontend, const Entry& entry) {
    const auto present = find(frontend, entry);
    if (present == claims_.end()) return;
    if (is_shared(present)) concerned_.insert(frontend);
    claims_.erase(present);
  }

  /// Each frontend that somebody has.
  template <class Visit>
  void for_each_owner(const Visit& visit) const {
    const Frontend* last = nullptr;
    for (const Claim& claim : claims_) {
      if (last != nullptr && *last == claim.frontend) continue;
      last = &claim.frontend;
      if (claim.usability != Usability::kRefused) visit(claim.frontend, *claim.entry);
    }
  }

  /// Clashes that are new, have a further claimant, or are over since the last call. Each is told once, however often
  /// the frontend changes hands.
  [[nodiscard]] std::vector<Clash> take_clashes() {
    std::vector<Clash> news;
    for (const Frontend& frontend : std::exchange(concerned_, {})) {
      Clash clash = clash_at(frontend);
      const bool is_over = clash.claimants.size() < 2;
      const auto told = told_.find(frontend);
      if (is_over) {
        if (told == told_.end()) continue;
        told_.erase(told);
      } else {
        std::set<std::string> claimants(clash.claimants.begin(), clash.claimants.end());
        const bool known = told != told_.end() && std::ranges::includes(told->second, claimants);
        told_.insert_or_assign(frontend, std::move(claimants));
        if (known) continue;
      }
      news.push_back(std::move(clash));
    }
    return news;
  }

 private:
  struct Claim {
    Frontend frontend;
    Usability usability = Usability::kNone;
    Entry* entry = nullptr;
    bool operator<(const Claim& other) const {
      if (frontend != other.frontend) return frontend < other.frontend;
      if (usability != other.usability) return usability < other.usability;
      if (entry == nullptr || other.entry == nullptr) return entry == nullptr && other.entry != nullptr;
      return entry->first < other.entry->first;
    }
  };
  using Claims = std::set<Claim>;

  [[nodiscard]] typename Claims::const_iterator first_of(const Frontend& frontend) const {
    const auto first = claims_.lower_bound({frontend, Usability::kUsable, nullptr});
    return first == claims_.end() || first->frontend != frontend ? claims_.end() : first;
  }
  [[nodiscard]] typename Claims::const_iterator find(const Frontend& frontend, const Entry& entry) const {
    for (auto claim = first_of(frontend); claim != claims_.end() && claim->frontend == frontend; ++claim)
      if (claim->entry == &entry) return claim;
    return claims_.end();
  }
  [[nodiscard]] bool is_shared(typename Claims::const_iterator claim) const {
    const auto next = std::next(claim);
    return (next != claims_.end() && next->frontend == claim->frontend) ||
           (claim != claims_.begin() && std::prev(claim)->frontend == claim->frontend);
  }
  [[nodiscard]] Clash clash_at(const Frontend& frontend) const {
    Clash clash{.frontend = frontend, .claimants = {}, .serves = {}};
    const auto first = first_of(frontend);
    for (auto claim = first; claim != claims_.end() && claim->frontend == frontend; ++claim)
      clash.claimants.push_back(claim->entry->first.first);
    std::ranges::sort(clash.claimants);
    if (first != claims_.end() && first->usability <= Usability::kElsewhere) clash.serves = first->entry->first.first;
    return clash;
  }

  Claims claims_;
  std::set<Frontend> concerned_;                    ///< a claim came or went since take_clashes()
  std::map<Frontend, std::set<std::string>> told_;  ///< clashes in force, by name of the claimants
};

}  // namespace kubenatd::rules
