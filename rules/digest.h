#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

#include "rules/rule.h"

namespace kubenatd::rules {

/// 128 bits that stand for a rule or a list of rules. Keyed with a random key per process, so that nobody can choose
/// names to make two rules look alike; never stored or sent.
struct Digest {
  std::array<std::uint64_t, 2> words{};
  auto operator<=>(const Digest&) const = default;
};

/// SipHash-2-4 with 128-bit output over the whole content of the rule.
[[nodiscard]] Digest digest_of(const Rule& rule);

/// Digest of a list of rules, in order, fed one by one. A default-made one is the digest of no rules.
class ListDigest {
 public:
  void add(const Digest& rule);
  [[nodiscard]] Digest value() const { return state_; }

 private:
  Digest state_{};
};

[[nodiscard]] Digest digest_of(std::span<const Rule> rules);

}  // namespace kubenatd::rules

template <>
struct std::hash<kubenatd::rules::Digest> {
  std::size_t operator()(const kubenatd::rules::Digest& digest) const noexcept {
    return static_cast<std::size_t>(digest.words[0]);
  }
};
