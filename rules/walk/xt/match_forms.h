#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "rules/walk/xt/matches.h"
#include "rules/walk/xt/option.h"
#include "rules/walk/xt/words.h"
#include "rules/words.h"

/// What the readers of matches share.
namespace kubenatd::rules::walk::xt {

[[nodiscard]] std::span<const Form> transport_forms();
[[nodiscard]] std::span<const Form> connection_forms();
[[nodiscard]] std::span<const Form> packet_forms();
[[nodiscard]] std::span<const Form> history_forms();
[[nodiscard]] std::span<const Form> node_forms();

template <class Number>
struct Named {
  std::string_view name;
  Number number;
};

template <class Number, std::size_t kCount>
[[nodiscard]] std::optional<Number> number_of(const Named<Number> (&names)[kCount], std::string_view name) {
  const auto* found = std::ranges::find(names, name, &Named<Number>::name);
  if (found == std::end(names)) return std::nullopt;
  return found->number;
}

/// "NEW,RELATED" as bits.
template <class Number, std::size_t kCount>
[[nodiscard]] std::optional<Number> bits_of(const Named<Number> (&names)[kCount], std::string_view list) {
  Number bits = 0;
  for (const std::string_view part : split(list, ',')) {
    const auto bit = number_of(names, part);
    if (!bit) return std::nullopt;
    bits = static_cast<Number>(bits | *bit);
  }
  return bits;
}

/// "5", "5:9", "5:", ":9".
[[nodiscard]] std::optional<std::pair<std::uint16_t, std::uint16_t>> read_range(std::string_view text);

void add_to_model(Parts& parts, Match match);

/// The packets that are asked about are of tcp, udp or sctp, and have no extension headers.
bool read_never(const Group& group, Parts& parts);
/// A match whose options are known, so that nothing behind it is taken for one of them; whether it fits is not.
bool read_unjudged(const Group& group, Parts& parts);

}  // namespace kubenatd::rules::walk::xt
