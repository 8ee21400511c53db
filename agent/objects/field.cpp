#include "agent/objects/field.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "agent/base/printable.h"

namespace kubenatd::agent::objects {
namespace {

using nlohmann::json;

constexpr std::size_t kMostRemarks = 10;

std::string_view type_of(const json& value) {
  switch (value.type()) {
    case json::value_t::object: return "a map";
    case json::value_t::array: return "a list";
    case json::value_t::string: return "a string";
    case json::value_t::boolean: return "a boolean";
    case json::value_t::null: return "null";
    default: return "a number";
  }
}

bool is_label_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_dns_name(std::string_view name, std::size_t longest, bool dots) {
  if (name.empty() || name.size() > longest || !is_label_character(name.front()) || !is_label_character(name.back()))
    return false;
  return std::all_of(name.begin(), name.end(),
                     [dots](char c) { return is_label_character(c) || c == '-' || (dots && c == '.'); });
}

}  // namespace

bool is_dns_label(std::string_view name) {
  constexpr std::size_t kLongest = 63;
  return is_dns_name(name, kLongest, false);
}

bool is_dns_subdomain(std::string_view name) {
  constexpr std::size_t kLongest = 253;
  return is_dns_name(name, kLongest, true);
}

void Findings::refuse(std::string field, std::string cause) {
  if (!refusal_) refusal_ = rules::Error{object_, std::move(field), std::move(cause)};
}

void Findings::remark(const std::string& field, const std::string& cause) {
  if (remarks_.size() < kMostRemarks)
    remarks_.push_back(fmt::format("{}: {}: {}", object_, field, cause));
  else
    ++more_remarks_;
}

std::vector<std::string> Findings::take_remarks() {
  if (more_remarks_ > 0) remarks_.push_back(fmt::format("{}: {} more fields were left out", object_, more_remarks_));
  return std::move(remarks_);
}

void Field::tell(Wrong wrong, const std::string& cause) const {
  if (wrong == Wrong::kRefuse)
    findings_->refuse(path_, cause);
  else
    findings_->remark(path_, cause + ", left out");
}

void Field::wrong_type(Wrong wrong, std::string_view wanted) const {
  tell(wrong, fmt::format("is {}, not {}", type_of(*value_), wanted));
}

Field Field::member(std::string_view name, Wrong wrong) const {
  Field field(nullptr, path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name), *findings_);
  if (!present()) return field;
  if (!value_->is_object()) {
    wrong_type(wrong, "a map");
    return field;
  }
  if (const auto found = value_->find(name); found != value_->end() && !found->is_null()) field.value_ = &*found;
  return field;
}

std::vector<Field> Field::elements(Wrong wrong) const {
  std::vector<Field> fields;
  if (!present()) return fields;
  if (!value_->is_array()) {
    wrong_type(wrong, "a list");
    return fields;
  }
  fields.reserve(value_->size());
  for (std::size_t i = 0; i < value_->size(); ++i) {
    const json& element = (*value_)[i];
    Field field(element.is_null() ? nullptr : &element, fmt::format("{}[{}]", path_, i), *findings_);
    if (element.is_null())
      field.tell(wrong, "is null");
    else
      fields.push_back(std::move(field));
  }
  return fields;
}

std::string Field::text(Wrong wrong) const {
  if (!present()) return {};
  if (value_->is_string()) return value_->get<std::string>();
  wrong_type(wrong, "a string");
  return {};
}

std::string Field::text_or_number(Wrong wrong) const {
  return present() && value_->is_number() ? value_->dump() : text(wrong);
}

std::optional<bool> Field::flag(Wrong wrong) const {
  if (!present()) return std::nullopt;
  if (value_->is_boolean()) return value_->get<bool>();
  wrong_type(wrong, "a boolean");
  return std::nullopt;
}

std::optional<std::uint32_t> Field::number(std::uint32_t least, std::uint32_t most, Wrong wrong) const {
  if (!present()) return std::nullopt;
  if (!value_->is_number()) {
    wrong_type(wrong, "a number");
    return std::nullopt;
  }
  // Every value that can be in range is exact as a double; YAML gives 80 for "80.0" too.
  const double value = value_->get<double>();
  if (!(value >= least && value <= most) || value != std::floor(value)) {
    tell(wrong, fmt::format("{} is not in {}..{}", base::one_line(value_->dump()), least, most));
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(value);
}

std::uint16_t Field::port(Wrong wrong) const {
  constexpr std::uint32_t kHighest = 65535;
  return static_cast<std::uint16_t>(number(1, kHighest, wrong).value_or(0));
}

Labels Field::labels(Wrong wrong) const {
  Labels labels;
  if (!present()) return labels;
  if (!value_->is_object()) {
    wrong_type(wrong, "a map");
    return labels;
  }
  for (const auto& [name, value] : value_->get_ref<const json::object_t&>()) {
    if (value.is_string())
      labels.emplace(name, value.get<std::string>());
    else
      tell(wrong, fmt::format("the value of {} is {}, not a string", base::in_quotes(name), type_of(value)));
  }
  return labels;
}

std::optional<rules::Address> Field::address(Wrong wrong) const {
  const std::string value = text(wrong);
  if (value.empty()) return std::nullopt;
  auto parsed = rules::Address::parse(value);
  if (!parsed) tell(wrong, base::in_quotes(value) + " is not an IP address");
  return parsed;
}

std::optional<rules::Prefix> Field::prefix(Wrong wrong) const {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::string value = text(wrong);
  std::string_view trimmed(value);
  trimmed.remove_prefix(std::min(trimmed.find_first_not_of(kBlanks), trimmed.size()));
  trimmed = trimmed.substr(0, trimmed.find_last_not_of(kBlanks) + 1);
  if (trimmed.empty()) return std::nullopt;
  auto parsed = rules::Prefix::parse(trimmed);
  if (!parsed) tell(wrong, base::in_quotes(value) + " is not an address block");
  return parsed;
}

std::int64_t Field::time() const {
  const std::string written = text(Wrong::kLeave);
  if (written.empty()) return 0;
  std::tm time{};
  const char* end = ::strptime(written.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time);
  if (end == nullptr || *end != '\0') {
    tell(Wrong::kLeave, "is not a time like 2026-05-01T12:00:00Z");
    return 0;
  }
  return ::timegm(&time);
}

std::optional<rules::Protocol> Field::protocol(Wrong wrong) const {
  if (!present()) return rules::Protocol::kTcp;
  const std::string value = text(wrong);
  if (value == "TCP" || (value.empty() && is_text())) return rules::Protocol::kTcp;
  if (value == "UDP") return rules::Protocol::kUdp;
  if (value == "SCTP") return rules::Protocol::kSctp;
  if (is_text()) tell(wrong, base::in_quotes(value) + " is not TCP, UDP or SCTP");
  return std::nullopt;
}

}  // namespace kubenatd::agent::objects
