#pragma once

#include <string>
#include <string_view>

/// Where the tests find what they need. Known to one object alone: all others are the same wherever the project lies,
/// so that ccache has them for every clone.
namespace kubenatd::test {

/// The program under test.
[[nodiscard]] std::string program();
/// A file or folder of the project, by its path in there.
[[nodiscard]] std::string project_file(std::string_view path);

}  // namespace kubenatd::test
