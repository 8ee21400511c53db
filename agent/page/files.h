#pragma once

#include <string_view>
#include <vector>

namespace kubenatd::agent::page {

/// A file of static/, as it is compiled in.
struct File {
  std::string_view name;  ///< "index.html"
  std::string_view content;
};

/// Made by scripts/embed.cmake.
[[nodiscard]] std::vector<File> files();

}  // namespace kubenatd::agent::page
