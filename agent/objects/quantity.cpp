#include "agent/objects/quantity.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

namespace kubenatd::agent::objects {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
constexpr int kNano = 9;

struct Scale {
  int tens = 0;   ///< power of ten
  int kibis = 0;  ///< power of 1024
};

std::optional<Scale> read_suffix(std::string_view suffix) {
  constexpr std::array<std::pair<std::string_view, int>, 10> kDecimal{
      {{"", 0}, {"n", -9}, {"u", -6}, {"m", -3}, {"k", 3}, {"M", 6}, {"G", 9}, {"T", 12}, {"P", 15}, {"E", 18}}};
  for (const auto& [name, tens] : kDecimal)
    if (suffix == name) return Scale{.tens = tens};
  constexpr std::array<std::string_view, 6> kBinary{"Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  const auto* const binary = std::ranges::find(kBinary, suffix);
  if (binary != kBinary.end()) return Scale{.kibis = static_cast<int>(binary - kBinary.begin()) + 1};
  if (suffix.front() != 'e' && suffix.front() != 'E') return std::nullopt;
  suffix.remove_prefix(1);
  if (suffix.size() > 1 && suffix.front() == '+' && suffix[1] != '-') suffix.remove_prefix(1);
  int tens = 0;
  const auto [end, failure] = std::from_chars(suffix.data(), suffix.data() + suffix.size(), tens);
  constexpr int kWidest = 100;  // beyond it everything is 0 or too large
  if (failure == std::errc::invalid_argument || end != suffix.data() + suffix.size()) return std::nullopt;
  if (failure != std::errc{}) tens = suffix.front() == '-' ? -kWidest : kWidest;
  return Scale{.tens = std::clamp(tens, -kWidest, kWidest)};
}

std::uint64_t times(std::uint64_t value, std::uint64_t factor) {
  return value > kMost / factor ? kMost : value * factor;
}

}  // namespace

std::optional<std::int64_t> parse_quantity(std::string_view text) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  constexpr std::uint64_t kRoom = kMost / 100;
  std::uint64_t value = 0;
  Scale scale{.tens = kNano};
  bool in_fraction = false;
  bool any_digit = false;
  bool rest = false;  // digits that are too far behind the point to be kept
  for (; !text.empty(); text.remove_prefix(1)) {
    const char c = text.front();
    if (c == '.' && !in_fraction) {
      in_fraction = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    any_digit = true;
    if (value < kRoom) {
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
      scale.tens -= in_fraction ? 1 : 0;
    } else {
      rest = rest || c != '0';
      scale.tens += in_fraction ? 0 : 1;
    }
  }
  if (!any_digit) return std::nullopt;
  const auto suffix = read_suffix(text);
  if (!suffix) return std::nullopt;
  if (rest) ++value;
  scale.tens += suffix->tens;
  for (int i = 0; i < suffix->kibis; ++i) value = times(value, 1024);
  for (; scale.tens > 0 && value != 0; --scale.tens) value = times(value, 10);
  for (; scale.tens < 0 && value > 1; ++scale.tens) value = value / 10 + (value % 10 != 0 ? 1 : 0);
  return static_cast<std::int64_t>(value);
}

}  // namespace kubenatd::agent::objects
