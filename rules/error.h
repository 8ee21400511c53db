#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <utility>

namespace kubenatd::rules {

/// What went wrong, as a value. Every fallible function of this project returns a Result.
///
/// `object` names what was worked on ("Service demo/web", "ip nat KUBE-SERVICES"), `operation` what was
/// tried ("create rule"), `cause` why it failed, in words. `code` is a positive errno value, 0 when the
/// failure has none.
struct Error {
  std::string object;
  std::string operation;
  std::string cause;
  int code = 0;

  /// One line: "OBJECT: OPERATION: CAUSE".
  [[nodiscard]] std::string to_string() const { return object + ": " + operation + ": " + cause; }
};

template <class T>
using Result = std::expected<T, Error>;

using Status = Result<void>;

[[nodiscard]] inline std::unexpected<Error> fail(std::string object, std::string operation, std::string cause,
                                                 int code = 0) {
  return std::unexpected(Error{std::move(object), std::move(operation), std::move(cause), code});
}

}  // namespace kubenatd::rules
