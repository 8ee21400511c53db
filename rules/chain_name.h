#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

namespace kubenatd::rules {

/// Name of a chain that kubenatd owns, kept inline: a node of 10 000 services has 50 000 of them.
///
/// iptables limits chain names to 28 characters (XT_EXTENSION_MAXNAMELEN - 1 in linux/netfilter/x_tables.h);
/// names of other writers' chains may be longer (NFT_CHAIN_MAXNAMELEN is 256) and stay std::string.
class ChainName {
 public:
  static constexpr std::size_t kCapacity = 31;

  constexpr ChainName() = default;

  /// For names known to fit; longer text is cut.
  constexpr explicit ChainName(std::string_view text)
      : size_(static_cast<std::uint8_t>(std::min(text.size(), kCapacity))) {
    std::copy_n(text.data(), size_, text_.data());
  }

  /// Nothing when `text` does not fit: then it cannot be one of ours.
  [[nodiscard]] static constexpr std::optional<ChainName> from(std::string_view text) {
    if (text.size() > kCapacity) return std::nullopt;
    return ChainName(text);
  }

  [[nodiscard]] constexpr std::string_view view() const { return {text_.data(), size_}; }
  constexpr operator std::string_view() const { return view(); }  // NOLINT: a name is text

  constexpr auto operator<=>(const ChainName& other) const { return view() <=> other.view(); }
  constexpr bool operator==(const ChainName& other) const { return view() == other.view(); }

 private:
  std::array<char, kCapacity> text_{};
  std::uint8_t size_ = 0;
};

/// The tables that kubenatd writes to, and mangle, which it only cleans.
enum class Table : std::uint8_t { kFilter, kNat, kMangle };

/// "filter", "nat", "mangle".
[[nodiscard]] constexpr std::string_view name_of(Table table) {
  switch (table) {
    case Table::kFilter: return "filter";
    case Table::kNat: return "nat";
    case Table::kMangle: return "mangle";
  }
  return "";
}

/// A chain of ours within one family.
struct ChainId {
  Table table = Table::kFilter;
  ChainName name;

  auto operator<=>(const ChainId&) const = default;
};

}  // namespace kubenatd::rules

template <>
struct std::hash<kubenatd::rules::ChainName> {
  std::size_t operator()(const kubenatd::rules::ChainName& name) const noexcept {
    return std::hash<std::string_view>{}(name.view());
  }
};

template <>
struct std::hash<kubenatd::rules::ChainId> {
  std::size_t operator()(const kubenatd::rules::ChainId& id) const noexcept {
    return std::hash<std::string_view>{}(id.name.view()) ^ (static_cast<std::size_t>(id.table) + 1);
  }
};
