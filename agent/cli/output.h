#pragma once

#include <filesystem>
#include <string>

namespace kubenatd::agent::cli {

/// Writes what is left of standard output. False when anything could not be written, which is logged: whoever reads
/// the output would take half of it for all.
[[nodiscard]] bool finish_output();

/// Writes a file that --output or the like names; 0, or the errno.
[[nodiscard]] int write_file(const std::filesystem::path& path, const std::string& text);

}  // namespace kubenatd::agent::cli
