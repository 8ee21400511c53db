#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/objects.h"
#include "rules/error.h"

namespace kubenatd::agent::objects {

/// What is wrong with one object: at most one refusal (the first), and remarks on fields that were left out.
class Findings {
 public:
  explicit Findings(std::string object) : object_(std::move(object)) {}
  void rename(std::string object) { object_ = std::move(object); }

  void refuse(std::string field, std::string cause);
  void remark(const std::string& field, const std::string& cause);

  [[nodiscard]] bool refused() const { return refusal_.has_value(); }
  [[nodiscard]] rules::Error refusal() const { return *refusal_; }
  /// The lines, only a few: an object with ten thousand wrong fields does not give as many lines.
  [[nodiscard]] std::vector<std::string> take_remarks();

 private:
  std::string object_;
  std::optional<rules::Error> refusal_;
  std::vector<std::string> remarks_;
  std::size_t more_remarks_ = 0;
};

/// What a field of the wrong type or with an impossible value does.
enum class Wrong : std::uint8_t {
  kRefuse,  ///< the object is refused
  kLeave,   ///< the field is left out with a remark
};

/// A place in the JSON of an object, with its path. Reading an absent (or null) field gives the default. Reading a
/// wrong one reports it to the findings and gives the default. The JSON and the findings must outlive it.
class Field {
 public:
  Field(const nlohmann::json& root, Findings& findings) : value_(&root), findings_(&findings) {}

  /// A member. It is absent when there is none or it is null. A value that is not a map is reported.
  [[nodiscard]] Field member(std::string_view name, Wrong wrong = Wrong::kRefuse) const;
  /// The elements of a list; none when it is absent.
  [[nodiscard]] std::vector<Field> elements(Wrong wrong = Wrong::kRefuse) const;

  [[nodiscard]] bool present() const { return value_ != nullptr; }
  [[nodiscard]] bool is_text() const { return present() && value_->is_string(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  [[nodiscard]] std::string text(Wrong wrong) const;
  /// Of a string or a number: for quantities, which may be either.
  [[nodiscard]] std::string text_or_number(Wrong wrong) const;
  [[nodiscard]] std::optional<bool> flag(Wrong wrong) const;
  /// A number without fraction in [least, most].
  [[nodiscard]] std::optional<std::uint32_t> number(std::uint32_t least, std::uint32_t most, Wrong wrong) const;
  [[nodiscard]] std::uint16_t port(Wrong wrong) const;  ///< 1..65535; 0 when absent or wrong
  [[nodiscard]] Labels labels(Wrong wrong) const;
  /// Absent and empty text: none, silently.
  [[nodiscard]] std::optional<rules::Address> address(Wrong wrong) const;
  [[nodiscard]] std::optional<rules::Prefix> prefix(Wrong wrong) const;
  /// "2026-05-01T12:00:00Z", the only form in which the API server writes times, in seconds of the epoch; 0 when absent
  /// or wrong, which is a remark.
  [[nodiscard]] std::int64_t time() const;
  /// TCP when absent.
  [[nodiscard]] std::optional<rules::Protocol> protocol(Wrong wrong) const;

  void tell(Wrong wrong, const std::string& cause) const;
  void note(const std::string& cause) const { findings_->remark(path_, cause); }

 private:
  Field(const nlohmann::json* value, std::string path, Findings& findings)
      : value_(value), path_(std::move(path)), findings_(&findings) {}
  void wrong_type(Wrong wrong, std::string_view wanted) const;

  const nlohmann::json* value_;
  std::string path_;
  Findings* findings_;
};

/// DNS-1123: lower-case letters, digits and "-", and "." in a subdomain; begins and ends with a letter or digit.
[[nodiscard]] bool is_dns_label(std::string_view name);      ///< at most 63
[[nodiscard]] bool is_dns_subdomain(std::string_view name);  ///< at most 253

}  // namespace kubenatd::agent::objects
