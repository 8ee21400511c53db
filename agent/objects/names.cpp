#include "agent/objects/names.h"

#include <algorithm>

namespace kubenatd::agent::objects {
namespace {

constexpr std::size_t kLongestLabel = 63;
constexpr std::size_t kLongestSubdomain = 253;
constexpr std::size_t kLongestPortName = 15;

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_dns_end(char c) {
  return is_lower(c) || is_digit(c);
}
bool is_name_end(char c) {
  return is_dns_end(c) || (c >= 'A' && c <= 'Z');
}

bool has_label_form(std::string_view name) {
  return !name.empty() && is_dns_end(name.front()) && is_dns_end(name.back()) &&
         std::ranges::all_of(name, [](char c) { return is_dns_end(c) || c == '-'; });
}

bool has_subdomain_form(std::string_view name) {
  for (;;) {
    const std::size_t dot = name.find('.');
    if (!has_label_form(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

/// The form of a label's value and of the last part of its key.
bool has_name_form(std::string_view name) {
  return !name.empty() && is_name_end(name.front()) && is_name_end(name.back()) &&
         std::ranges::all_of(name, [](char c) { return is_name_end(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

std::string_view wrong_dns_label(std::string_view name) {
  if (name.size() > kLongestLabel) return "must be no more than 63 characters";
  if (has_label_form(name)) return {};
  if (has_subdomain_form(name)) return "must not contain dots";
  return "must be a DNS label: lower-case letters, digits and \"-\", a letter or digit at both ends";
}

std::string_view wrong_dns_subdomain(std::string_view name) {
  if (name.size() > kLongestSubdomain) return "must be no more than 253 characters";
  if (has_subdomain_form(name)) return {};
  return "must be a DNS name: lower-case letters, digits, \"-\" and \".\", a letter or digit at both ends of each part";
}

std::string_view wrong_host(std::string_view name) {
  if (!name.contains('*')) return wrong_dns_subdomain(name);
  if (name.size() > kLongestSubdomain) return "must be no more than 253 characters";
  if (name.starts_with("*.") && has_subdomain_form(name.substr(2))) return {};
  return "must be \"*.\" and a DNS name";
}

std::string_view wrong_port_name(std::string_view name) {
  if (name.size() > kLongestPortName) return "must be no more than 15 characters";
  if (name.empty() || !std::ranges::all_of(name, [](char c) { return is_dns_end(c) || c == '-'; }))
    return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
  if (std::ranges::none_of(name, is_lower)) return "must contain at least one letter (a-z)";
  if (name.contains("--")) return "must not contain consecutive hyphens";
  if (name.front() == '-' || name.back() == '-') return "must not begin or end with a hyphen";
  return {};
}

std::string_view wrong_qualified_name(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash != std::string_view::npos) {
    const std::string_view prefix = name.substr(0, slash);
    if (prefix.empty()) return "prefix part must be non-empty";
    if (!wrong_dns_subdomain(prefix).empty()) return "prefix part must be a DNS name";
    name.remove_prefix(slash + 1);
  }
  if (name.empty()) return "name part must be non-empty";
  if (name.size() > kLongestLabel) return "name part must be no more than 63 characters";
  if (has_name_form(name)) return {};
  return "name part must be letters, digits, \"-\", \"_\" and \".\", a letter or digit at both ends";
}

std::string_view wrong_label_value(std::string_view value) {
  if (value.size() > kLongestLabel) return "must be no more than 63 characters";
  if (value.empty() || has_name_form(value)) return {};
  return "must be letters, digits, \"-\", \"_\" and \".\", a letter or digit at both ends";
}

bool is_dns_label(std::string_view name) {
  return wrong_dns_label(name).empty();
}

bool is_dns_subdomain(std::string_view name) {
  return wrong_dns_subdomain(name).empty();
}

}  // namespace kubenatd::agent::objects
