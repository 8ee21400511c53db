#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "rules/error.h"

namespace kubenatd::agent::base {

/// The whole content of a file. A file of more than `limit` bytes is an error (EFBIG); no more than that is read, so a
/// device or a growing file cannot fill the memory. Errors carry errno and name the file; `operation` says what the
/// file was read for.
[[nodiscard]] rules::Result<std::string> read_file(const std::filesystem::path& file, std::size_t limit,
                                                   std::string operation);

/// Writes `content` to an existing file with one write(2), as files of /proc/sys need it.
[[nodiscard]] rules::Status write_existing_file(const std::filesystem::path& file, std::string_view content,
                                                std::string operation);

}  // namespace kubenatd::agent::base
