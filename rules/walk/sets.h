#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "rules/walk/ruleset.h"

/// Look-ups in sets, by keys of which some bits may not be known.
namespace kubenatd::rules::walk {

/// A key's place in a set of nf_tables: parts of a concatenation are filled up to whole registers.
[[nodiscard]] std::size_t key_size(const WalkSet& set);

struct LookUp {
  Found::Answer answer = Found::Answer::kUnknown;
  SetElement element;  ///< kThere
  /// kUnknown: elements that may be the one, when they are few and all known; `maybe_absent`: or none is.
  std::vector<const SetElement*> candidates;
  bool maybe_absent = true;
};

/// Indexes of large sets, made at the first look-up and good as long as the sets do not change.
///
/// Threading: one thread. Cost: an index is linear in the set, a look-up then one of a hash table or a search in sorted
/// ranges; only ranges of concatenations, and keys that are not wholly known, are compared with every element.
class SetIndexes {
 public:
  /// An answer is kThere or kAbsent only when it is so whatever the unknown bits are.
  [[nodiscard]] LookUp find(const Ruleset& ruleset, const WalkTable& table, const WalkSet& set, const Value& key);

 private:
  struct Index {
    std::unordered_map<std::string_view, const SetElement*> single;  ///< by the key's bytes
    std::vector<const SetElement*> ranges;                           ///< sorted, when they do not overlap
    bool sorted = false;
  };
  const Index& index_of(const WalkSet& set);
  [[nodiscard]] LookUp find_known(const WalkSet& set, const Bytes& key);

  std::unordered_map<const WalkSet*, Index> indexes_;
};

}  // namespace kubenatd::rules::walk
