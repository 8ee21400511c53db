#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "rules/error.h"

namespace kubenatd::agent::base {

/// The whole content of a file. More than `limit` bytes are an error (EFBIG), found after reading no more than that,
/// so a device or a file that grows cannot fill the memory. Errors carry errno and name the file; `operation` says
/// what it was read for.
[[nodiscard]] rules::Result<std::string> read_file(const std::filesystem::path& file, std::size_t limit,
                                                   std::string operation);

/// Writes `content` to a file that exists, in one write(2), as the files of /proc/sys want it.
[[nodiscard]] rules::Status write_existing_file(const std::filesystem::path& file, std::string_view content,
                                                std::string operation);

}  // namespace kubenatd::agent::base
