#include "agent/config/field_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "agent/base/printable.h"
#include "agent/config/duration.h"

namespace kubenatd::agent::config {
namespace {

using nlohmann::json;

/// The value as a person would name it in a sentence.
std::string named(const json& node) {
  if (node.is_object()) return "a mapping";
  if (node.is_array()) return "a list";
  if (node.is_string()) return base::in_quotes(node.get_ref<const std::string&>());
  return node.dump();
}

/// The value, when it is a whole number that fits.
std::optional<std::int64_t> integer_of(const json& node) {
  if (!node.is_number_integer()) return std::nullopt;
  if (node.is_number_unsigned() && node.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max())
    return std::nullopt;
  return node.get<std::int64_t>();
}

std::string further(std::size_t count) {
  return fmt::format("and {} more", count);
}

}  // namespace

std::string ConfigFindings::name_of(std::string_view path) const {
  auto found = names_.find(path);
  std::string_view rest;
  if (found == names_.end()) {
    // "list[2]" and "map.key" belong to the list and the map.
    const std::size_t end = path.find_first_of("[.");
    if (end != std::string_view::npos) {
      found = names_.find(path.substr(0, end));
      rest = path.substr(end);
    }
  }
  return found == names_.end() ? std::string(path) : found->second + std::string(rest);
}

void ConfigFindings::mistake(std::string_view path, std::string_view what) {
  if (mistakes_.size() == kMostMistakes) {
    ++further_mistakes_;
    return;
  }
  mistakes_.push_back(path.empty() ? std::string(what) : fmt::format("{}: {}", name_of(path), what));
}

void ConfigFindings::remark(std::string_view path, std::string_view what) {
  if (remarks_.size() == kMostRemarks) {
    ++further_remarks_;
    return;
  }
  remarks_.push_back(path.empty() ? std::string(what) : fmt::format("{}: {}", name_of(path), what));
}

std::string ConfigFindings::mistakes() const {
  std::string all;
  for (const std::string& mistake : mistakes_) {
    if (!all.empty()) all += "; ";
    all += mistake;
  }
  if (further_mistakes_ > 0) all += "; " + further(further_mistakes_);
  return all;
}

std::vector<std::string> ConfigFindings::remarks() const {
  std::vector<std::string> all = remarks_;
  if (further_remarks_ > 0) all.push_back(further(further_remarks_));
  return all;
}

FieldReader::FieldReader(const json& node, std::string path, ConfigFindings& findings)
    : path_(std::move(path)), findings_(&findings) {
  if (node.is_null()) return;
  if (!node.is_object()) {
    findings_->mistake(path_, named(node) + " is not a group of fields");
    return;
  }
  for (const auto& [key, value] : node.get_ref<const json::object_t&>()) fields_.emplace(key, Field{&value});
}

std::string FieldReader::path_of(std::string_view key) const {
  const std::string name = base::one_line(key, 80);
  return path_.empty() ? name : path_ + "." + name;
}

const json* FieldReader::find(std::string_view key) {
  const auto place = fields_.find(key);
  if (place == fields_.end()) return nullptr;
  place->second.used = true;
  return place->second.node->is_null() ? nullptr : place->second.node;
}

bool FieldReader::read(std::string_view key, std::string& value) {
  const json* node = find(key);
  if (node == nullptr) return false;
  if (node->is_string()) {
    const auto& text = node->get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) {
      findings_->mistake(path_of(key), named(*node) + " holds a zero byte");
      return false;
    }
    value = text;
    return true;
  }
  findings_->mistake(path_of(key),
                     named(*node) + (node->is_structured() ? " is not text" : " is not text: put it in quotes"));
  return false;
}

bool FieldReader::read_word(std::string_view key, std::string& value) {
  const json* node = find(key);
  if (node == nullptr) return false;
  if (!node->is_boolean()) return read(key, value);
  value = node->get<bool>() ? "on" : "off";
  return true;
}

bool FieldReader::read(std::string_view key, bool& value) {
  const json* node = find(key);
  if (node == nullptr) return false;
  if (node->is_boolean()) {
    value = node->get<bool>();
    return true;
  }
  findings_->mistake(path_of(key), named(*node) + " is not true or false");
  return false;
}

std::optional<std::int64_t> FieldReader::find_number(std::string_view key, std::int64_t least, std::int64_t most) {
  const json* node = find(key);
  if (node == nullptr) return std::nullopt;
  std::optional<std::int64_t> number = integer_of(*node);
  if (node->is_number() && !number) {
    const auto other = node->get<double>();
    if (std::trunc(other) != other) {
      findings_->mistake(path_of(key), named(*node) + " is not a whole number");
      return std::nullopt;
    }
    constexpr double kTooLarge = 1e15;  // any number that no int holds
    number = static_cast<std::int64_t>(std::fmax(-kTooLarge, std::fmin(kTooLarge, other)));
  }
  if (!number) {
    findings_->mistake(path_of(key), named(*node) + " is not a number");
    return std::nullopt;
  }
  if (*number < least || *number > most) {
    findings_->mistake(path_of(key), named(*node) + " is out of range");
    return std::nullopt;
  }
  return number;
}

bool FieldReader::read(std::string_view key, int& value) {
  const auto number = find_number(key, std::numeric_limits<int>::min(), std::numeric_limits<int>::max());
  if (number) value = static_cast<int>(*number);
  return number.has_value();
}

bool FieldReader::read(std::string_view key, std::uint32_t& value) {
  const auto number = find_number(key, 0, std::numeric_limits<std::uint32_t>::max());
  if (number) value = static_cast<std::uint32_t>(*number);
  return number.has_value();
}

bool FieldReader::read(std::string_view key, double& value) {
  const json* node = find(key);
  if (node == nullptr) return false;
  if (node->is_number()) {
    const auto number = node->get<double>();
    // Go's field is a float32.
    if (!std::isfinite(static_cast<float>(number))) {
      findings_->mistake(path_of(key), named(*node) + " is out of range");
      return false;
    }
    value = std::fabs(number) < static_cast<double>(std::numeric_limits<float>::denorm_min()) / 2 ? 0 : number;
    return true;
  }
  findings_->mistake(path_of(key), named(*node) + " is not a number");
  return false;
}

bool FieldReader::read(std::string_view key, Duration& value) {
  const json* node = find(key);
  if (node == nullptr) return false;
  std::optional<Duration> duration;
  if (node->is_string()) duration = parse_duration(node->get_ref<const std::string&>());
  if (!duration) {
    findings_->mistake(path_of(key), named(*node) + R"( is not a duration such as "30s" or "1h15m")");
    return false;
  }
  value = *duration;
  return true;
}

bool FieldReader::read_non_null(std::string_view key, Duration& value) {
  if (const auto place = fields_.find(key); place != fields_.end() && place->second.node->is_null()) {
    place->second.used = true;
    findings_->mistake(path_of(key), "has no value");
    return false;
  }
  return read(key, value);
}

bool FieldReader::read_duration_or_number(std::string_view key, Duration& value, bool& is_number) {
  const json* node = find(key);
  is_number = node != nullptr && node->is_number();
  if (!is_number) return read(key, value);
  const auto number =
      find_number(key, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
  if (number) value = Duration(*number);
  return number.has_value();
}

bool FieldReader::read_quantity(std::string_view key, std::string& value) {
  const json* node = find(key);
  if (node == nullptr || !node->is_number()) return read(key, value);
  value = node->dump();
  return true;
}

bool FieldReader::read(std::string_view key, std::vector<std::string>& value) {
  const json* node = find(key);
  if (node == nullptr) return false;
  if (!node->is_array()) {
    findings_->mistake(path_of(key), named(*node) + " is not a list");
    return false;
  }
  std::vector<std::string> texts;
  for (const json& each : *node) {
    if (!each.is_string() && !each.is_null()) {
      findings_->mistake(fmt::format("{}[{}]", path_of(key), texts.size()), named(each) + " is not text");
      return false;
    }
    // Go makes the empty text of a null.
    texts.push_back(each.is_null() ? std::string() : each.get<std::string>());
  }
  value = std::move(texts);
  return true;
}

bool FieldReader::read(std::string_view key, std::map<std::string, bool>& value) {
  FieldReader reader = group(key);
  std::map<std::string, bool> entries;
  for (const auto& [name, field] : reader.fields_) {
    bool entry = false;
    // Go makes false of a null.
    if (reader.read(name, entry) || field.node->is_null()) entries.emplace(name, entry);
  }
  const bool has_any = !entries.empty();
  if (has_any) value = std::move(entries);
  return has_any;
}

FieldReader FieldReader::group(std::string_view key) {
  const json* node = find(key);
  static const json kNothing;
  return {node == nullptr ? kNothing : *node, path_of(key), *findings_};
}

bool FieldReader::has_text(std::string_view key) {
  const json* node = find(key);
  return node != nullptr && node->is_string();
}

std::vector<FieldReader> FieldReader::list(std::string_view key) {
  std::vector<FieldReader> items;
  const json* node = find(key);
  if (node == nullptr) return items;
  if (!node->is_array()) {
    findings_->mistake(path_of(key), named(*node) + " is not a list");
    return items;
  }
  for (const json& each : *node) {
    FieldReader item(each, fmt::format("{}[{}]", path_of(key), items.size()), *findings_);
    items.push_back(std::move(item));
  }
  return items;
}

bool FieldReader::skip(std::string_view key) {
  const json* node = find(key);
  if (node == nullptr) return false;
  return !node->is_structured() || !node->empty();
}

void FieldReader::finish() {
  for (const auto& [key, field] : fields_) {
    if (!field.used) findings_->remark(path_of(key), "is not a known field and is ignored");
  }
}

}  // namespace kubenatd::agent::config
