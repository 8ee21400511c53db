#include "agent/base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/base/descriptor.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::base {
namespace {

Descriptor open(const std::filesystem::path& file, int flags) {
  int fd = -1;
  do {
    fd = ::open(file.c_str(), flags | O_CLOEXEC | O_NOCTTY);
  } while (fd < 0 && errno == EINTR);
  return Descriptor(fd);
}

std::unexpected<rules::Error> failed(const std::filesystem::path& file, std::string operation, int code) {
  return rules::fail(one_line(file.native(), 512), std::move(operation), std::generic_category().message(code), code);
}

}  // namespace

rules::Result<std::string> read_file(const std::filesystem::path& file, std::size_t limit, std::string operation) {
  const Descriptor descriptor = open(file, O_RDONLY);
  if (!descriptor) return failed(file, std::move(operation), errno);
  std::string content;
  std::array<char, 16384> block{};
  for (;;) {
    const ssize_t size = ::read(descriptor.get(), block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed(file, std::move(operation), errno);
    if (size == 0) return content;
    content.append(block.data(), static_cast<std::size_t>(size));
    if (content.size() > limit) {
      return rules::fail(one_line(file.native(), 512), std::move(operation),
                         "is larger than " + std::to_string(limit) + " bytes", EFBIG);
    }
  }
}

rules::Status write_existing_file(const std::filesystem::path& file, std::string_view content, std::string operation) {
  const Descriptor descriptor = open(file, O_WRONLY);
  if (!descriptor) return failed(file, std::move(operation), errno);
  ssize_t size = 0;
  do {
    size = ::write(descriptor.get(), content.data(), content.size());
  } while (size < 0 && errno == EINTR);
  if (size < 0) return failed(file, std::move(operation), errno);
  if (static_cast<std::size_t>(size) != content.size()) return failed(file, std::move(operation), EIO);
  return {};
}

}  // namespace kubenatd::agent::base
