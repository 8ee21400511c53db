#include "agent/objects/api_words.h"

#include <fmt/format.h>

#include "agent/base/printable.h"

namespace kubenatd::agent::objects {
namespace {

std::string with_detail(std::string text, std::string_view detail) {
  if (!detail.empty()) text.append(": ").append(detail);
  return text;
}

}  // namespace

std::string invalid(std::string_view value, std::string_view detail) {
  return with_detail("Invalid value: " + base::in_quotes(value), detail);
}

std::string invalid(std::int64_t value, std::string_view detail) {
  return with_detail(fmt::format("Invalid value: {}", value), detail);
}

std::string not_supported(std::string_view value, std::span<const std::string_view> supported) {
  std::string text = fmt::format("Unsupported value: {}: supported values:", base::in_quotes(value));
  std::string_view separator = " ";
  for (const std::string_view one : supported) {
    text.append(separator).append(base::in_quotes(one));
    separator = ", ";
  }
  return text;
}

std::string duplicate(std::string_view value) {
  return "Duplicate value: " + base::in_quotes(value);
}

std::string duplicate(std::int64_t value) {
  return fmt::format("Duplicate value: {}", value);
}

std::string required(std::string_view detail) {
  return with_detail("Required value", detail);
}

std::string forbidden(std::string_view detail) {
  return with_detail("Forbidden", detail);
}

std::string too_many(std::size_t count, std::size_t most) {
  return fmt::format("Too many: {}: must have at most {} items", count, most);
}

std::string between(std::int64_t least, std::int64_t most) {
  return fmt::format("must be between {} and {}, inclusive", least, most);
}

}  // namespace kubenatd::agent::objects
