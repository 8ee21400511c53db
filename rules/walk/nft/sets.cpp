#include <fmt/format.h>

#include <algorithm>

#include "rules/walk/nft/compile.h"
#include "rules/walk/nft/loader.h"
#include "rules/walk/nft/value_text.h"

/// Sets and maps, named and anonymous, out of their definitions.
namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::string_view kVerdictType = "verdict";

std::string types_text(const std::vector<Place>& places) {
  std::string text;
  for (const Place& place : places) {
    if (!text.empty()) text += " . ";
    text += info_of(place.type).name;
  }
  return text;
}

/// An interface's number is its name in a text.
Place by_name(Place place) {
  if (place.type == Type::kInterfaceIndex) return {Type::kInterface, 16, 0};
  return place;
}

/// Places of a definition; none: a type is not known, or its size.
std::optional<std::vector<Place>> places_of(WalkTable& table, const std::vector<std::string>& types,
                                            const std::optional<Term>& of) {
  std::vector<Place> places;
  if (of) {
    std::vector<Statement> aside;
    Loader loader(table, aside);
    const Load load = loader.load(*of);
    if (!load.known) return std::nullopt;
    for (const Load& part : load.parts) places.push_back(part.place);
    if (places.empty()) places.push_back(load.place);
    // A field's bits are a number in a set that has a name.
    for (Place& place : places) {
      if (place.shift != 0 && place.size != 1) return std::nullopt;
      place.shift = 0;
    }
  }
  for (const std::string& name : types) {
    const Type type = type_named(name);
    places.push_back(by_name({type, info_of(type).size, 0}));
  }
  const bool known = std::ranges::all_of(places, [](const Place& place) { return place.size != 0; });
  if (places.empty() || !known) return std::nullopt;
  return places;
}

std::uint16_t size_of(const std::vector<Place>& places) {
  if (places.size() == 1) return places.front().size;
  std::size_t size = 0;
  for (const Place& place : places) size += filled_up(place.size);
  return static_cast<std::uint16_t>(size);
}

/// The parts of a key or of data.
std::span<const Term> parts_of(const Term& term) {
  if (term.kind == Term::Kind::kConcat) return term.parts;
  return {&term, 1};
}

/// First and last value, part by part, each filled up when there are more.
bool read_parts(const Term& term, const std::vector<Place>& places, bool turn, Bytes& first, Bytes& last) {
  const std::span<const Term> parts = parts_of(term);
  if (parts.size() != places.size() || size_of(places) > Bytes::kCapacity) return false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto range = read_range(parts[i], places[i], turn);
    if (!range) return false;
    first.append(range->first);
    last.append(range->second);
    if (places.size() == 1) continue;
    const Bytes filling = Bytes::filled(filled_up(places[i].size) - places[i].size, 0);
    first.append(filling);
    last.append(filling);
  }
  return true;
}

bool has_range(const Term& term, const std::vector<Place>& places) {
  const std::span<const Term> parts = parts_of(term);
  for (std::size_t i = 0; i < parts.size() && i < places.size(); ++i)
    if (is_range(parts[i], places[i])) return true;
  return false;
}

/// Fills the set with elements; those that cannot be read are left out.
class Filler {
 public:
  Filler(WalkSet& set, const std::vector<Place>& key, const std::vector<Place>& data, std::span<const Term> elements)
      : set_(set), key_(key), data_(data) {
    // Data that is a range is kept as its first and last value.
    data_ranges_ = std::ranges::any_of(elements, [this](const Term& element) {
      return element.parts.size() > 1 && has_range(element.parts[1], data_);
    });
    if (!data_.empty()) set_.data_size = static_cast<std::uint16_t>(size_of(data_) * (data_ranges_ ? 2 : 1));
    set_.elements.reserve(elements.size());
    for (const Term& element : elements)
      if (!add(element)) set_.complete = false;
  }

 private:
  bool add(const Term& term) {
    if (term.parts.empty()) return false;
    SetElement element;
    element.comment = term.text;
    element.conditional = term.conditional;
    const bool all = term.parts[0].kind == Term::Kind::kAny;
    if (!all && !read_parts(term.parts[0], key_, set_.interval, element.first, element.last)) return false;
    if (set_.is_map && !read_data(term, element)) return false;
    if (all) {
      set_.catch_all = std::move(element);
    } else {
      set_.elements.push_back(std::move(element));
    }
    return true;
  }
  bool read_data(const Term& term, SetElement& element) const {
    if (term.parts.size() < 2) return false;
    const Term& data = term.parts[1];
    if (data.kind == Term::Kind::kVerdict) {
      element.verdict = data.verdict;
      return true;
    }
    Bytes last;
    if (data_.empty() || !read_parts(data, data_, false, element.data, last)) return false;
    if (data_ranges_) element.data.append(last);
    return true;
  }

  WalkSet& set_;
  const std::vector<Place>& key_;
  const std::vector<Place>& data_;
  bool data_ranges_ = false;
};

bool has_flag(const SetDefinition& definition, std::string_view flag) {
  return std::ranges::find(definition.flags, flag) != definition.flags.end();
}

std::string free_name(const WalkTable& table, std::string_view kind) {
  const auto taken = [&](std::size_t number) { return table.sets.contains(fmt::format("__{}{}", kind, number)); };
  // They are numbered without gaps: the first free one is found by halving.
  if (!taken(0)) return fmt::format("__{}0", kind);
  std::size_t last_taken = 0;
  std::size_t free = 1;
  while (taken(free)) {
    last_taken = free;
    free *= 2;
  }
  while (free - last_taken > 1) {
    const std::size_t middle = last_taken + (free - last_taken) / 2;
    (taken(middle) ? last_taken : free) = middle;
  }
  return fmt::format("__{}{}", kind, free);
}

}  // namespace

void add_set(WalkTable& table, const SetDefinition& definition) {
  WalkSet set;
  set.name = definition.name;
  set.is_map = definition.is_map;
  set.interval = has_flag(definition, "interval");
  set.dynamic = has_flag(definition, "dynamic");
  set.complete = definition.complete;
  set.has_verdicts = std::ranges::find(definition.data_types, kVerdictType) != definition.data_types.end();
  const auto key = places_of(table, definition.key_types, definition.key_of);
  std::optional<std::vector<Place>> data;
  if (definition.is_map && !set.has_verdicts) data = places_of(table, definition.data_types, definition.data_of);
  if (data) set.data_type = types_text(*data);
  if (set.has_verdicts) set.data_type = kVerdictType;
  if (!key) {
    set.complete = false;
    table.sets[set.name] = std::move(set);
    return;
  }
  set.type = types_text(*key);
  for (const Place& place : *key) set.parts.push_back(place.size);
  Filler(set, *key, data.value_or(std::vector<Place>()), definition.elements);
  if (definition.conditional)
    for (SetElement& element : set.elements) element.conditional = true;
  table.sets[set.name] = std::move(set);
}

const WalkSet& add_anonymous_set(WalkTable& table, const Term& term, const std::vector<Place>& key, bool is_map,
                                 const std::vector<Place>& data) {
  WalkSet set;
  set.name = free_name(table, is_map ? "map" : "set");
  set.anonymous = true;
  set.is_map = is_map;
  set.type = types_text(key);
  set.data_type = types_text(data);
  for (const Place& place : key) set.parts.push_back(place.size);
  set.has_verdicts = std::ranges::any_of(term.parts, [](const Term& element) {
    return element.parts.size() > 1 && element.parts[1].kind == Term::Kind::kVerdict;
  });
  if (set.has_verdicts) set.data_type = kVerdictType;
  set.interval = std::ranges::any_of(
      term.parts, [&](const Term& element) { return !element.parts.empty() && has_range(element.parts[0], key); });
  Filler(set, key, data, term.parts);
  return table.sets[set.name] = std::move(set);
}

}  // namespace kubenatd::rules::walk::nft
