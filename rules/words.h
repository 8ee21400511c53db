#pragma once

#include <string>
#include <string_view>
#include <vector>

/// Texts taken apart. Pure.
namespace kubenatd::rules {

/// The parts between separators; of an empty text one empty part, as Go's strings.Split has it.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

/// The 26 letters in lower case; other characters stay as they are, whatever the locale.
[[nodiscard]] constexpr char lower_case(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
[[nodiscard]] std::string lower_case(std::string_view text);

}  // namespace kubenatd::rules
