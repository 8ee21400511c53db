#pragma once

#include <cstdint>
#include <string_view>

namespace kubenatd::agent::explain {

enum class RegexAnswer : std::uint8_t { kFits, kDiffers, kUnknown };

/// Whether a text begins with something that fits the regular expression, letters of either case: how nginx judges
/// `location ~* "^PATTERN"`. Characters, classes, groups, alternatives, repetitions and anchors are known; of a pattern
/// with anything else (looking ahead or back, references, flags) the answer is kUnknown.
///
/// Failure: none, whatever the pattern. Cost: at most the length of the text times that of the pattern, both limited;
/// nothing is tried twice.
[[nodiscard]] RegexAnswer fits_at_start(std::string_view pattern, std::string_view text);

}  // namespace kubenatd::agent::explain
