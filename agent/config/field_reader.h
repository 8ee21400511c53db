#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/config/config.h"

namespace kubenatd::agent::config {

/// What is wrong with a file, and what is only worth saying. Bounded, however bad the file is.
class ConfigFindings {
 public:
  ConfigFindings() = default;
  /// For fields that were not written in a file: `names` says what to call them, by path.
  explicit ConfigFindings(std::map<std::string, std::string, std::less<>> names) : names_(std::move(names)) {}

  void mistake(std::string_view path, std::string_view what);
  void remark(std::string_view path, std::string_view what);

  [[nodiscard]] bool has_mistakes() const { return !mistakes_.empty(); }
  /// All mistakes in one line, separated by "; ".
  [[nodiscard]] std::string mistakes() const;
  /// One line each.
  [[nodiscard]] std::vector<std::string> remarks() const;

 private:
  static constexpr std::size_t kMostMistakes = 20;
  static constexpr std::size_t kMostRemarks = 50;

  /// What to call the field at `path`, in front of a colon.
  [[nodiscard]] std::string name_of(std::string_view path) const;

  std::map<std::string, std::string, std::less<>> names_;
  std::vector<std::string> mistakes_, remarks_;
  std::size_t further_mistakes_ = 0, further_remarks_ = 0;
};

/// Reads the fields of one mapping of a document into typed values.
///
/// Purpose: a field that is absent or null leaves the value as it is; a wrong type is a mistake that names the path of
/// the field. Threading: none. Failure: goes to `findings`, which has to outlive the reader, as has the document.
/// Cost: each mapping is walked once.
class FieldReader {
 public:
  /// One that is null reads as an empty mapping.
  FieldReader(const nlohmann::json& node, std::string path, ConfigFindings& findings);

  /// True when the field is there with a value of the right type and within its range.
  bool read(std::string_view key, std::string& value);
  bool read(std::string_view key, bool& value);
  /// One of some words: plain `on` and `off`, which YAML 1.1 takes for bools, are words, too. A bool that some tool has
  /// made of one of them ("true" for `on`) is taken back.
  bool read_word(std::string_view key, std::string& value);
  bool read(std::string_view key, int& value);
  bool read(std::string_view key, std::uint32_t& value);
  bool read(std::string_view key, double& value);
  bool read(std::string_view key, Duration& value);
  /// One for which null is a mistake, as Go's metav1.Duration has it where it is no pointer.
  bool read_non_null(std::string_view key, Duration& value);
  /// A duration, or a number of nanoseconds without quotes.
  bool read_duration_or_number(std::string_view key, Duration& value, bool& is_number);
  /// Text, or a number without quotes: its digits.
  bool read_quantity(std::string_view key, std::string& value);
  bool read(std::string_view key, std::vector<std::string>& value);
  /// A mapping of names to bools.
  bool read(std::string_view key, std::map<std::string, bool>& value);
  /// A group of fields.
  [[nodiscard]] FieldReader group(std::string_view key);
  /// True when the field is there and text.
  [[nodiscard]] bool has_text(std::string_view key);
  /// A list of groups of fields.
  [[nodiscard]] std::vector<FieldReader> list(std::string_view key);
  /// Notes that the field may be there; true when it holds something else than null and an empty list or mapping.
  bool skip(std::string_view key);

  /// Says which fields were never asked for. To be called when all have been.
  void finish();

  [[nodiscard]] std::string path_of(std::string_view key) const;

 private:
  struct Field {
    const nlohmann::json* node = nullptr;
    bool used = false;
  };

  /// The field's value; none when it is absent or null.
  const nlohmann::json* find(std::string_view key);
  /// A whole number within the range; none when the field is absent or something else, which is a mistake.
  std::optional<std::int64_t> find_number(std::string_view key, std::int64_t least, std::int64_t most);

  std::string path_;
  ConfigFindings* findings_;
  std::map<std::string, Field, std::less<>> fields_;
};

}  // namespace kubenatd::agent::config
