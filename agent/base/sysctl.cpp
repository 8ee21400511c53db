#include "agent/base/sysctl.h"

#include <cerrno>
#include <charconv>
#include <system_error>

#include "agent/base/file.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::base {
namespace {

constexpr std::size_t kLongestSetting = 65536;
constexpr std::string_view kProcSys = "/proc/sys";

/// The path of the setting; an error for names that lead elsewhere.
rules::Result<std::filesystem::path> path_of(std::string_view name, const std::filesystem::path& root) {
  const std::filesystem::path relative(name);
  bool valid = !name.empty() && relative.is_relative() && name.find('\0') == std::string_view::npos;
  for (const std::filesystem::path& part : relative) {
    if (part == ".." || part == "." || part.empty()) valid = false;
  }
  if (!valid) return rules::fail("sysctl " + in_quotes(name), "find setting", "is not a name of a setting", EINVAL);
  return root / relative;
}

}  // namespace

rules::Result<std::string> read_sysctl(std::string_view name, const std::filesystem::path& root) {
  const rules::Result<std::filesystem::path> path = path_of(name, root);
  if (!path) return std::unexpected(path.error());
  rules::Result<std::string> text = read_file(*path, kLongestSetting, "read setting");
  if (!text) return text;
  return std::string(trimmed(*text));
}

std::optional<std::uint64_t> read_sysctl_number(std::string_view name) {
  const auto text = read_sysctl(name);
  std::uint64_t number = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), number).ec != std::errc())
    return std::nullopt;
  return number;
}

rules::Status write_sysctl(std::string_view name, std::string_view value, const std::filesystem::path& root) {
  const rules::Result<std::filesystem::path> path = path_of(name, root);
  if (!path) return std::unexpected(path.error());
  rules::Status written = write_existing_file(*path, value, "write setting " + in_quotes(value));
  if (written || written.error().code != EROFS || root != kProcSys) return written;
  const rules::Result<std::filesystem::path> mounted = path_of(name, kMountedSysctls);
  if (!mounted) return written;
  rules::Status second = write_existing_file(*mounted, value, "write setting " + in_quotes(value));
  if (!second && second.error().code == ENOENT) return written;
  return second;
}

}  // namespace kubenatd::agent::base
