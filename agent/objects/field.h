#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/objects/decode.h"
#include "agent/objects/names.h"
#include "agent/objects/objects.h"
#include "rules/error.h"

namespace kubenatd::agent::objects {

/// What is wrong with one object: at most one refusal (the first), and remarks on fields that were left out.
class Findings {
 public:
  explicit Findings(std::string object, Origin origin = Origin::kFolder)
      : object_(std::move(object)), origin_(origin) {}
  void rename(std::string object) { object_ = std::move(object); }

  void refuse(std::string field, std::string cause);
  void remark(const std::string& field, const std::string& cause);

  [[nodiscard]] Origin origin() const { return origin_; }
  [[nodiscard]] bool refused() const { return refusal_.has_value(); }
  [[nodiscard]] rules::Error refusal() const { return *refusal_; }
  /// The lines, only a few: an object with ten thousand wrong fields does not give as many lines.
  [[nodiscard]] std::vector<std::string> take_remarks();

 private:
  std::string object_;
  Origin origin_;
  std::optional<rules::Error> refusal_;
  std::vector<std::string> remarks_;
  std::size_t more_remarks_ = 0;
};

/// What a field of the wrong type or with an impossible value does. The question for each field: what does the rest of
/// the object mean without it? A field that restricts must refuse.
enum class Wrong : std::uint8_t {
  kRefuse,  ///< the object is refused
  /// An object of a folder is refused. In one of an API server, which has taken it once, the field is left out with a
  /// remark: the rest of the object means the same without it, or less.
  kLeave,
  kRemark,  ///< the field is left out with a remark, as the API server takes anything for it
};

/// A place in the JSON of an object, with its path. Reading an absent (or null) field gives the default. Reading a
/// wrong one reports it to the findings and gives the default. The JSON and the findings must outlive it.
class Field {
 public:
  Field(const nlohmann::json& root, Findings& findings) : value_(&root), findings_(&findings) {}

  /// A member. It is absent when there is none or it is null. A value that is not a map is reported.
  [[nodiscard]] Field member(std::string_view name, Wrong wrong = Wrong::kRefuse) const;
  /// A value of a map whose keys are anybody's: "metadata.annotations[example.org/name]".
  [[nodiscard]] Field entry(std::string_view key) const;
  /// The elements of a list; none when it is absent. One that is null is absent, which means "empty", as in Go.
  [[nodiscard]] std::vector<Field> elements(Wrong wrong = Wrong::kRefuse) const;

  [[nodiscard]] bool present() const { return value_ != nullptr; }
  [[nodiscard]] bool is_text() const { return present() && value_->is_string(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  [[nodiscard]] std::string text(Wrong wrong = Wrong::kRefuse) const;
  /// Of a string or a number: for quantities, which may be either.
  [[nodiscard]] std::string text_or_number(Wrong wrong) const;
  [[nodiscard]] std::optional<bool> flag(Wrong wrong = Wrong::kRefuse) const;
  /// A number without fraction in [least, most].
  [[nodiscard]] std::optional<std::uint32_t> number(std::uint32_t least, std::uint32_t most, Wrong wrong) const;
  /// Any number that Go's int32 holds. Another one is as wrong as a text.
  [[nodiscard]] std::optional<std::int32_t> integer(Wrong wrong = Wrong::kRefuse) const;
  [[nodiscard]] std::uint16_t port(Wrong wrong) const;          ///< 1..65535; 0 when absent or wrong
  [[nodiscard]] std::uint16_t port_or_zero(Wrong wrong) const;  ///< the same, and 0 is not wrong
  [[nodiscard]] Labels labels(Wrong wrong = Wrong::kRefuse) const;
  /// As labels(), for who does not need them: only the types are looked at.
  void check_labels(Wrong wrong = Wrong::kRefuse) const;
  /// Absent and empty text: none, silently.
  [[nodiscard]] std::optional<rules::Address> address(Wrong wrong) const;
  /// An element of a list of addresses, in which an absent or empty one is wrong, too.
  [[nodiscard]] std::optional<rules::Address> listed_address(Wrong wrong) const;
  /// Absent or empty text is no prefix. No blanks around it.
  [[nodiscard]] std::optional<rules::Prefix> prefix(Wrong wrong) const;
  /// RFC 3339 in seconds of the epoch; 0 when absent.
  [[nodiscard]] std::int64_t time() const;
  /// TCP when absent or empty.
  [[nodiscard]] std::optional<rules::Protocol> protocol(Wrong wrong) const;

  void tell(Wrong wrong, const std::string& cause) const;
  void note(const std::string& cause) const { findings_->remark(path_, cause); }
  /// What the API server does not take today, but which would be used all the same when it was stored: refuses an
  /// object of a folder, is nothing in one of a server.
  void disallow(const std::string& cause) const;
  /// Whether disallow() does something; to save the work of finding out.
  [[nodiscard]] bool is_from_folder() const { return findings_->origin() == Origin::kFolder; }

 private:
  Field(const nlohmann::json* value, std::string path, Findings& findings)
      : value_(value), path_(std::move(path)), findings_(&findings) {}
  void wrong_type(Wrong wrong, std::string_view wanted) const;
  [[nodiscard]] std::optional<rules::Address> parse_address(const std::string& value, Wrong wrong) const;

  const nlohmann::json* value_;
  std::string path_;
  Findings* findings_;
};

}  // namespace kubenatd::agent::objects
