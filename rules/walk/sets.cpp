#include "rules/walk/sets.h"

#include <algorithm>

namespace kubenatd::rules::walk {
namespace {

constexpr std::size_t kMostCandidates = 16;

enum class Match : std::uint8_t { kNo, kMaybe, kYes };

/// Whether a part of a key lies in the same part of an element. Unknown bits may be anything.
[[nodiscard]] Match match_part(const Value& key, const SetElement& element, std::size_t offset, std::size_t size) {
  const std::uint8_t* bits = key.bits.data.data() + offset;
  const std::uint8_t* known = key.known.data.data() + offset;
  const std::uint8_t* first = element.first.data.data() + offset;
  const std::uint8_t* last = element.last.data.data() + offset;
  if (std::memcmp(first, last, size) == 0) {
    Match match = Match::kYes;
    for (std::size_t i = 0; i < size; ++i) {
      if (((bits[i] ^ first[i]) & known[i]) != 0) return Match::kNo;
      if (known[i] != 0xff) match = Match::kMaybe;
    }
    return match;
  }
  std::array<std::uint8_t, Bytes::kCapacity> highest;
  for (std::size_t i = 0; i < size; ++i) highest[i] = static_cast<std::uint8_t>(bits[i] | ~known[i]);
  if (std::memcmp(highest.data(), first, size) < 0 || std::memcmp(bits, last, size) > 0) return Match::kNo;
  const bool inside = std::memcmp(bits, first, size) >= 0 && std::memcmp(highest.data(), last, size) <= 0;
  return inside ? Match::kYes : Match::kMaybe;
}

[[nodiscard]] Match match(const WalkSet& set, const Value& key, const SetElement& element) {
  if (set.parts.size() <= 1) return match_part(key, element, 0, key.bits.size);
  Match all = Match::kYes;
  std::size_t offset = 0;
  for (const std::uint16_t part : set.parts) {
    const std::size_t size = std::min<std::size_t>(part, key.bits.size - std::min<std::size_t>(key.bits.size, offset));
    all = std::min(all, match_part(key, element, offset, size));
    if (all == Match::kNo) break;
    offset += (part + 3U) / 4 * 4;
    if (offset >= key.bits.size) break;
  }
  return all;
}

[[nodiscard]] LookUp there(const SetElement& element) {
  LookUp found;
  if (element.conditional) {
    found.candidates.push_back(&element);
    return found;
  }
  found.answer = Found::Answer::kThere;
  found.element = element;
  found.maybe_absent = false;
  return found;
}

[[nodiscard]] LookUp nothing_but_catch_all(const WalkSet& set) {
  if (set.catch_all) return there(*set.catch_all);
  LookUp found;
  found.answer = Found::Answer::kAbsent;
  return found;
}

/// Of all elements, those that may be meant.
[[nodiscard]] LookUp compare_all(const WalkSet& set, const Value& key, const std::vector<const SetElement*>* some) {
  std::vector<const SetElement*> maybe;
  const auto look = [&](const SetElement& element) {
    const Match matched = match(set, key, element);
    if (matched == Match::kMaybe && maybe.size() <= kMostCandidates) maybe.push_back(&element);
    return matched == Match::kYes;
  };
  if (some != nullptr) {
    for (const SetElement* element : *some)
      if (look(*element)) return there(*element);
  } else {
    for (const SetElement& element : set.elements)
      if (look(element)) return there(element);
  }
  if (maybe.empty()) return nothing_but_catch_all(set);
  LookUp found;
  if (set.catch_all) maybe.push_back(&*set.catch_all);
  found.maybe_absent = !set.catch_all;
  if (maybe.size() <= kMostCandidates) found.candidates = std::move(maybe);
  return found;
}

[[nodiscard]] std::string_view text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data.data()), bytes.size};
}

}  // namespace

std::size_t key_size(const WalkSet& set) {
  if (set.parts.empty()) return 0;
  if (set.parts.size() == 1) return std::min<std::size_t>(set.parts.front(), Bytes::kCapacity);
  std::size_t size = 0;
  for (const std::uint16_t part : set.parts) size += (part + 3U) / 4 * 4;
  return std::min(size, Bytes::kCapacity);
}

const SetIndexes::Index& SetIndexes::index_of(const WalkSet& set) {
  const auto [at, is_new] = indexes_.try_emplace(&set);
  Index& index = at->second;
  if (!is_new) return index;
  const std::size_t size = key_size(set);
  index.single.reserve(set.elements.size());
  for (const SetElement& element : set.elements) {
    if (element.first == element.last && element.first.size == size) {
      index.single.emplace(text_of(element.first), &element);
    } else {
      index.ranges.push_back(&element);
    }
  }
  if (set.parts.size() > 1) return index;
  std::ranges::sort(index.ranges, [](const auto* one, const auto* other) { return one->first < other->first; });
  index.sorted = true;
  for (std::size_t i = 0; i < index.ranges.size(); ++i) {
    const SetElement& element = *index.ranges[i];
    if (element.first.size != size || element.last.size != size) index.sorted = false;
    if (i != 0 && element.first <= index.ranges[i - 1]->last) index.sorted = false;
  }
  return index;
}

LookUp SetIndexes::find_known(const WalkSet& set, const Bytes& key) {
  const Index& index = index_of(set);
  if (const auto found = index.single.find(text_of(key)); found != index.single.end()) return there(*found->second);
  if (!index.sorted) return compare_all(set, Value::of(key), &index.ranges);
  const auto after = std::ranges::upper_bound(index.ranges, key, {}, [](const auto* one) { return one->first; });
  if (after != index.ranges.begin() && key <= (*std::prev(after))->last) return there(**std::prev(after));
  return nothing_but_catch_all(set);
}

LookUp SetIndexes::find(const Ruleset& ruleset, const WalkTable& table, const WalkSet& set, const Value& key) {
  Value whole = key;
  if (const std::size_t size = key_size(set); size != 0 && whole.bits.size != size) {
    // Bytes behind the end are zero in Bytes, so that a longer key is one with zeros.
    whole.bits = key.bits.slice(0, size);
    whole.known = key.known.slice(0, size);
    while (whole.bits.size < size) {
      whole.bits.append(Bytes::filled(1, 0));
      whole.known.append(Bytes::filled(1, 0xff));
    }
  }
  const bool known = whole.is_known();
  if (set.complete) return known ? find_known(set, whole.bits) : compare_all(set, whole, nullptr);
  LookUp found;
  if (known && !set.elements.empty()) {
    found = find_known(set, whole.bits);
    if (found.answer == Found::Answer::kThere && !(set.catch_all && found.element.first.size == 0)) return found;
  }
  found = {};
  if (!known || !ruleset.look_up) return found;
  Found told = ruleset.look_up(table, set, whole.bits);
  if (told.answer == Found::Answer::kAbsent) return nothing_but_catch_all(set);
  if (told.answer == Found::Answer::kUnknown || told.element.conditional) return found;
  found.answer = Found::Answer::kThere;
  found.element = std::move(told.element);
  found.maybe_absent = false;
  return found;
}

}  // namespace kubenatd::rules::walk
