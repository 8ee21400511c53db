#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "netlink/core/attributes.h"

namespace kubenatd::test::fake {

/// Why a message is refused, as an extended acknowledgement says it.
struct Problem {
  int code = 0;
  std::uint32_t offset = 0;  ///< of the attribute at fault, 0: not said
  std::string explanation;
};
using Outcome = std::expected<void, Problem>;

/// One message that was sent to the fake. A view.
struct Request {
  std::uint16_t type = 0;  ///< with the subsystem
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::string_view message;  ///< with its header

  [[nodiscard]] std::uint8_t subsystem() const { return static_cast<std::uint8_t>(type >> 8); }
  [[nodiscard]] std::uint16_t operation() const { return type & 0xff; }
  [[nodiscard]] std::uint8_t family() const;
  [[nodiscard]] std::string_view attributes() const;
  [[nodiscard]] bool has(std::uint16_t attribute) const { return find(attribute).has_value(); }
  [[nodiscard]] std::optional<netlink::Attribute> find(std::uint16_t attribute) const;
  [[nodiscard]] std::string_view text(std::uint16_t attribute) const;

  /// A refusal that points at an attribute within the message.
  [[nodiscard]] std::unexpected<Problem> refuse(int code, const netlink::Attribute& at) const;
  [[nodiscard]] std::unexpected<Problem> refuse(int code, std::uint16_t attribute) const;
  [[nodiscard]] static std::unexpected<Problem> refuse(int code) { return std::unexpected(Problem{code, 0, {}}); }
};

/// Splits what was sent into messages.
class RequestReader {
 public:
  explicit RequestReader(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool next(Request& request);

 private:
  std::string_view rest_;
};

}  // namespace kubenatd::test::fake
