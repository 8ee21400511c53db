#pragma once

#include <optional>
#include <utility>

#include "rules/walk/nft/language.h"
#include "rules/walk/nft/vocabulary.h"

/// Constants of nft's language as bytes. Pure.
namespace kubenatd::rules::walk::nft {

/// Where a constant is going to: its type, how many bytes it has, and how far bits of a field are shifted to the left.
struct Place {
  Type type = Type::kUnknown;
  std::uint16_t size = 0;
  std::uint8_t shift = 0;
};

/// One value; none: it is none of that type, or what it stands for is known only on the node itself (names of users).
[[nodiscard]] std::optional<Bytes> read_value(const Term& term, const Place& place);
/// The first and the last one of values, prefixes, ranges, beginnings of names; "*" is everything.
/// `turn`: numbers in the host's order come out in network order, as ranges of them need it.
[[nodiscard]] std::optional<std::pair<Bytes, Bytes>> read_range(const Term& term, const Place& place, bool turn);
/// More than one value: a prefix, a range, the beginning of a name.
[[nodiscard]] bool is_range(const Term& term, const Place& place);

[[nodiscard]] std::optional<std::uint64_t> read_number(std::string_view text);

}  // namespace kubenatd::rules::walk::nft
