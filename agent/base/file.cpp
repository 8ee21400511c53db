#include "agent/base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::base {
namespace {

/// A file descriptor that is closed at the end of its scope.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& file, int flags) {
    do {
      fd_ = ::open(file.c_str(), flags | O_CLOEXEC | O_NOCTTY);
    } while (fd_ < 0 && errno == EINTR);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_ = -1;
};

std::unexpected<rules::Error> failed(const std::filesystem::path& file, std::string operation, int code) {
  return rules::fail(one_line(file.native(), 512), std::move(operation), std::generic_category().message(code), code);
}

}  // namespace

rules::Result<std::string> read_file(const std::filesystem::path& file, std::size_t limit, std::string operation) {
  const Descriptor descriptor(file, O_RDONLY);
  if (descriptor.get() < 0) return failed(file, std::move(operation), errno);
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
  const Descriptor descriptor(file, O_WRONLY);
  if (descriptor.get() < 0) return failed(file, std::move(operation), errno);
  ssize_t size = 0;
  do {
    size = ::write(descriptor.get(), content.data(), content.size());
  } while (size < 0 && errno == EINTR);
  if (size < 0) return failed(file, std::move(operation), errno);
  if (static_cast<std::size_t>(size) != content.size()) return failed(file, std::move(operation), EIO);
  return {};
}

}  // namespace kubenatd::agent::base
