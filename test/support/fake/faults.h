#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/address.h"
#include "test/support/fake/request.h"

namespace kubenatd::test {

/// A message on its way to the fake kernel, for whoever decides whether it is refused. Views.
struct FakeMessage {
  std::uint16_t type = 0;               ///< NFT_MSG_*
  std::optional<rules::Family> family;  ///< ip or ip6
  std::string_view table;
  std::string_view name;        ///< of the chain or set; of a rule and of elements, where they are
  std::string_view attributes;  ///< all of the message, undecoded
  std::uint32_t port_id = 0;    ///< of the writer
};

inline constexpr std::size_t kForever = std::numeric_limits<std::size_t>::max();

namespace fake {

/// What goes wrong on order. Every order counts down by itself.
///
/// Threading: none; the core's lock guards it. Failure: none. Cost: each order is asked about each message.
class Faults {
 public:
  using MessageTest = std::function<bool(const FakeMessage&)>;
  /// The element is what NFTA_LIST_ELEM holds.
  using ElementTest = std::function<bool(const FakeMessage&, std::string_view element)>;

  void refuse(MessageTest test, int code, std::size_t times);
  void refuse_element(ElementTest test, int code, std::size_t times);
  void refuse_expression(std::string name, int code, std::size_t times);
  void forget_refusals();

  /// Whether a message is refused by order.
  [[nodiscard]] std::optional<Problem> asked(const Request& request, std::uint32_t port_id);

  /// Counts down; whether it was above zero.
  [[nodiscard]] static bool take(std::size_t& count);

  bool no_rights = false;
  bool no_positions = false;  ///< a refusal does not say which attribute is at fault
  int commit_code = 0, send_code = 0, sweep_code = 0;
  std::size_t failing_commits = 0, failing_sends = 0, failing_sweeps = 0;
  std::size_t interrupted_dumps = 0;
  std::size_t lost_events = 0;   ///< transactions whose events nobody hears
  std::size_t lost_answers = 0;  ///< transactions whose answers are lost
  std::size_t kept_answers = 0;  ///< messages that come through all the same
  std::function<void()> before_commit;

 private:
  struct Order {
    MessageTest message;
    ElementTest element;
    std::string expression;
    int code = 0;
    std::size_t left = 0;
  };
  std::vector<Order> orders_;
};

}  // namespace fake
}  // namespace kubenatd::test
