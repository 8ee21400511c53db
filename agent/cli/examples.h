#pragma once

#include <span>
#include <string_view>

namespace kubenatd::agent::cli {

/// A command line that can be typed, and what it is for.
struct Example {
  std::string_view line;
  std::string_view about;
};

/// Of a command, by its word; none for a word that is no command.
[[nodiscard]] std::span<const Example> examples_of(std::string_view word);

}  // namespace kubenatd::agent::cli
