#include "agent/config/field_reader.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "agent/base/printable.h"
#include "agent/config/duration.h"
#include "agent/config/scalar.h"

namespace kubenatd::agent::config {
namespace {

constexpr std::size_t kDeepestMerge = 8;
constexpr std::size_t kMostMerges = 64;

/// The value as a person would name it in a sentence.
std::string named(const YAML::Node& node) {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  return base::in_quotes(node.Scalar());
}

/// The value, when it is a scalar of this type.
template <class T>
std::optional<T> scalar_as(const YAML::Node& node) {
  if (!node.IsScalar()) return std::nullopt;
  const Scalar scalar = resolve(node);
  if (const T* value = std::get_if<T>(&scalar)) return *value;
  return std::nullopt;
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

FieldReader::FieldReader(const YAML::Node& node, std::string path, ConfigFindings& findings)
    : path_(std::move(path)), findings_(&findings) {
  if (is_null(node)) return;
  if (!node.IsMap()) {
    findings_->mistake(path_, named(node) + " is not a group of fields");
    return;
  }
  collect(node, 0);
  for (const auto& [key, field] : fields_) {
    if (field.times > 1) {
      findings_->remark(path_of(key), fmt::format("is given {} times, the last one counts", field.times));
    }
  }
}

std::string FieldReader::path_of(std::string_view key) const {
  const std::string name = base::one_line(key, 80);
  return path_.empty() ? name : path_ + "." + name;
}

void FieldReader::collect(const YAML::Node& node, std::size_t depth) {
  std::vector<YAML::Node> merges;
  std::map<std::string, Field> own;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      findings_->mistake(path_, named(entry.first) + " is not the name of a field");
      continue;
    }
    const std::string& key = entry.first.Scalar();
    if (key == "<<" && entry.first.Tag() != "!") {
      merges.push_back(entry.second);
      continue;
    }
    const auto [place, is_new] = own.try_emplace(key, Field{entry.second});
    if (!is_new) {
      // Assigning to a Node writes through to the document; reset() only points elsewhere.
      place->second.node.reset(entry.second);
      ++place->second.times;
    }
  }
  // What is written here comes before what is merged in, and of that the first.
  for (auto& [key, field] : own) fields_.try_emplace(key, std::move(field));
  for (const YAML::Node& merged : merges) merge(merged, depth + 1);
}

void FieldReader::merge(const YAML::Node& node, std::size_t depth) {
  if (depth > kDeepestMerge || ++merged_ > kMostMerges) {
    findings_->mistake(path_of("<<"), "merges too much");
    return;
  }
  if (node.IsMap()) {
    collect(node, depth);
  } else if (node.IsSequence()) {
    for (const YAML::Node& each : node) merge(each, depth + 1);
  } else {
    findings_->mistake(path_of("<<"), named(node) + " is not a mapping");
  }
}

const YAML::Node* FieldReader::find(std::string_view key) {
  const auto place = fields_.find(key);
  if (place == fields_.end()) return nullptr;
  place->second.used = true;
  return is_null(place->second.node) ? nullptr : &place->second.node;
}

bool FieldReader::read(std::string_view key, std::string& value) {
  const YAML::Node* node = find(key);
  if (node == nullptr) return false;
  if (std::optional<std::string> text = scalar_as<std::string>(*node)) {
    if (text->find('\0') != std::string::npos) {
      findings_->mistake(path_of(key), named(*node) + " holds a zero byte");
      return false;
    }
    value = std::move(*text);
    return true;
  }
  findings_->mistake(path_of(key),
                     named(*node) + (node->IsScalar() ? " is not text: put it in quotes" : " is not text"));
  return false;
}

bool FieldReader::read_word(std::string_view key, std::string& value) {
  const YAML::Node* node = find(key);
  if (node == nullptr) return false;
  const std::optional<bool> truth = scalar_as<bool>(*node);
  if (!truth) return read(key, value);
  value = *truth ? "on" : "off";
  return true;
}

bool FieldReader::read(std::string_view key, bool& value) {
  const YAML::Node* node = find(key);
  if (node == nullptr) return false;
  if (const std::optional<bool> truth = scalar_as<bool>(*node)) {
    value = *truth;
    return true;
  }
  findings_->mistake(path_of(key), named(*node) + " is not true or false");
  return false;
}

bool FieldReader::read(std::string_view key, int& value) {
  const YAML::Node* node = find(key);
  if (node == nullptr) return false;
  std::optional<std::int64_t> number = scalar_as<std::int64_t>(*node);
  if (const std::optional<double> other = scalar_as<double>(*node)) {
    if (std::trunc(*other) != *other) {
      findings_->mistake(path_of(key), named(*node) + " is not a whole number");
      return false;
    }
    constexpr double kTooLarge = 1e15;  // any number that no int holds
    number = static_cast<std::int64_t>(std::fmax(-kTooLarge, std::fmin(kTooLarge, *other)));
  }
  if (!number) {
    findings_->mistake(path_of(key), named(*node) + " is not a number");
    return false;
  }
  if (*number < std::numeric_limits<int>::min() || *number > std::numeric_limits<int>::max()) {
    findings_->mistake(path_of(key), named(*node) + " is out of range");
    return false;
  }
  value = static_cast<int>(*number);
  return true;
}

bool FieldReader::read(std::string_view key, double& value) {
  const YAML::Node* node = find(key);
  if (node == nullptr) return false;
  if (const std::optional<std::int64_t> number = scalar_as<std::int64_t>(*node)) {
    value = static_cast<double>(*number);
    return true;
  }
  if (const std::optional<double> number = scalar_as<double>(*node)) {
    value = *number;
    return true;
  }
  findings_->mistake(path_of(key), named(*node) + " is not a number");
  return false;
}

bool FieldReader::read(std::string_view key, Duration& value) {
  const YAML::Node* node = find(key);
  if (node == nullptr) return false;
  std::optional<Duration> duration;
  if (const std::optional<std::string> text = scalar_as<std::string>(*node)) duration = parse_duration(*text);
  // Zero needs no unit, quoted or not.
  if (scalar_as<std::int64_t>(*node) == 0) duration = Duration::zero();
  if (!duration) {
    findings_->mistake(path_of(key), named(*node) + R"( is not a duration such as "30s" or "1h15m")");
    return false;
  }
  value = *duration;
  return true;
}

bool FieldReader::read(std::string_view key, std::vector<std::string>& value) {
  const YAML::Node* node = find(key);
  if (node == nullptr) return false;
  if (!node->IsSequence()) {
    findings_->mistake(path_of(key), named(*node) + " is not a list");
    return false;
  }
  std::vector<std::string> texts;
  for (const YAML::Node& each : *node) {
    std::optional<std::string> text = scalar_as<std::string>(each);
    if (!text) {
      findings_->mistake(fmt::format("{}[{}]", path_of(key), texts.size()),
                         is_null(each) ? "is null" : named(each) + " is not text");
      return false;
    }
    texts.push_back(std::move(*text));
  }
  value = std::move(texts);
  return true;
}

bool FieldReader::read(std::string_view key, std::map<std::string, bool>& value) {
  FieldReader reader = group(key);
  std::map<std::string, bool> entries;
  for (const auto& [name, field] : reader.fields_) {
    bool entry = false;
    if (reader.read(name, entry)) {
      entries.emplace(name, entry);
    } else if (is_null(field.node)) {
      findings_->mistake(reader.path_of(name), "has no value");
    }
  }
  const bool has_any = !entries.empty();
  if (has_any) value = std::move(entries);
  return has_any;
}

FieldReader FieldReader::group(std::string_view key) {
  const YAML::Node* node = find(key);
  return {node == nullptr ? YAML::Node() : *node, path_of(key), *findings_};
}

bool FieldReader::skip(std::string_view key) {
  const YAML::Node* node = find(key);
  if (node == nullptr) return false;
  return node->IsScalar() || node->size() > 0;
}

void FieldReader::finish() {
  for (const auto& [key, field] : fields_) {
    if (!field.used) findings_->remark(path_of(key), "is not a known field and is ignored");
  }
}

}  // namespace kubenatd::agent::config
