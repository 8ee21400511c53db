#include "agent/objects/field.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "agent/base/printable.h"
#include "agent/base/rfc3339.h"
#include "agent/objects/api_words.h"

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

}  // namespace

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
  if (wrong == Wrong::kRefuse || (wrong == Wrong::kLeave && is_from_folder()))
    findings_->refuse(path_, cause);
  else
    findings_->remark(path_, cause + ", left out");
}

void Field::disallow(const std::string& cause) const {
  if (is_from_folder()) findings_->refuse(path_, cause);
}

void Field::wrong_type(Wrong wrong, std::string_view wanted) const {
  // Nothing decodes it, even where any text would do.
  tell(wrong == Wrong::kRemark ? Wrong::kRefuse : wrong, fmt::format("is {}, not {}", type_of(*value_), wanted));
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

Field Field::entry(std::string_view key) const {
  Field field(nullptr, fmt::format("{}[{}]", path_, base::one_line(key)), *findings_);
  if (!present()) return field;
  if (!value_->is_object()) {
    wrong_type(Wrong::kRefuse, "a map");
    return field;
  }
  if (const auto found = value_->find(key); found != value_->end() && !found->is_null()) field.value_ = &*found;
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
    fields.push_back(Field(element.is_null() ? nullptr : &element, fmt::format("{}[{}]", path_, i), *findings_));
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

std::optional<std::int32_t> Field::integer(Wrong wrong) const {
  if (!present()) return std::nullopt;
  if (!value_->is_number()) {
    wrong_type(wrong, "a number");
    return std::nullopt;
  }
  // Every value of 32 bits is exact as a double; YAML and kubectl give 80 for "80.0", too.
  using Limits = std::numeric_limits<std::int32_t>;
  const double value = value_->get<double>();
  if (!(value >= Limits::min() && value <= Limits::max()) || value != std::floor(value)) {
    tell(wrong == Wrong::kRemark ? Wrong::kRefuse : wrong,
         fmt::format("{} is not a whole number of 32 bits", base::one_line(value_->dump())));
    return std::nullopt;
  }
  return static_cast<std::int32_t>(value);
}

std::optional<std::uint32_t> Field::number(std::uint32_t least, std::uint32_t most, Wrong wrong) const {
  const auto value = integer(wrong);
  if (!value) return std::nullopt;
  if (*value < 0 || static_cast<std::uint32_t>(*value) < least || static_cast<std::uint32_t>(*value) > most) {
    tell(wrong, invalid(*value, between(least, most)));
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(*value);
}

std::uint16_t Field::port(Wrong wrong) const {
  constexpr std::uint32_t kHighest = 65535;
  return static_cast<std::uint16_t>(number(1, kHighest, wrong).value_or(0));
}

std::uint16_t Field::port_or_zero(Wrong wrong) const {
  const bool is_zero = present() && value_->is_number() && value_->get<double>() == 0;
  return is_zero ? std::uint16_t{0} : port(wrong);
}

Labels Field::labels(Wrong wrong) const {
  check_labels(wrong);
  Labels labels;
  if (!present() || !value_->is_object()) return labels;
  for (const auto& [name, value] : value_->get_ref<const json::object_t&>())
    if (value.is_string() || value.is_null())
      labels.emplace(name, value.is_null() ? std::string() : value.get<std::string>());
  return labels;
}

void Field::check_labels(Wrong wrong) const {
  if (!present()) return;
  if (!value_->is_object()) return wrong_type(wrong, "a map");
  for (const auto& [name, value] : value_->get_ref<const json::object_t&>())
    if (!value.is_string() && !value.is_null())
      tell(wrong, fmt::format("the value of {} is {}, not a string", base::in_quotes(name), type_of(value)));
}

std::optional<rules::Address> Field::parse_address(const std::string& value, Wrong wrong) const {
  auto parsed = rules::Address::parse(value);
  if (!parsed) tell(wrong, invalid(value, kMustBeIp));
  return parsed;
}

std::optional<rules::Address> Field::address(Wrong wrong) const {
  const std::string value = text(wrong);
  if (value.empty()) return std::nullopt;
  return parse_address(value, wrong);
}

std::optional<rules::Address> Field::listed_address(Wrong wrong) const {
  if (present() && !is_text()) return address(wrong);
  return parse_address(text(wrong), wrong);
}

std::optional<rules::Prefix> Field::prefix(Wrong wrong) const {
  const std::string value = text(wrong);
  if (present() && !is_text()) return std::nullopt;
  auto parsed = rules::Prefix::parse(value);
  if (!parsed) tell(wrong, invalid(value, kMustBeCidr));
  return parsed;
}

std::int64_t Field::time() const {
  if (!present()) return 0;
  const std::string written = text();
  if (!is_text()) return 0;
  const auto parsed = base::parse_rfc3339(written);
  if (!parsed) {
    tell(Wrong::kRefuse, base::in_quotes(written) + " is not a time like 2026-05-01T12:00:00Z");
    return 0;
  }
  return std::chrono::floor<std::chrono::seconds>(parsed->time_since_epoch()).count();
}

std::optional<rules::Protocol> Field::protocol(Wrong wrong) const {
  const std::string value = text(wrong);
  if (present() && !is_text()) return std::nullopt;
  if (value == "TCP" || value.empty()) return rules::Protocol::kTcp;
  if (value == "UDP") return rules::Protocol::kUdp;
  if (value == "SCTP") return rules::Protocol::kSctp;
  constexpr std::string_view kSupported[] = {"SCTP", "TCP", "UDP"};
  tell(wrong, not_supported(value, kSupported));
  return std::nullopt;
}

}  // namespace kubenatd::agent::objects
