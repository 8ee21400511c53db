#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "netlink/core/attributes.h"
#include "rules/address.h"

namespace kubenatd::agent::test {

/// Expressions of a rule of nft's own form, as another program would write it.
///
/// Threading: one thread. Failure: none. Cost: none worth telling.
class FakeExpressions {
 public:
  explicit FakeExpressions(rules::Family family) : family_(family), memory_(kBound, '\0'), out_(memory_.data()) {}

  void protocol(std::string_view name);
  void port(std::uint16_t number);
  void address(bool source, const rules::Address& address);
  void mark(std::uint32_t value);
  void counter();
  void verdict(std::string_view name);
  void jump(std::string_view chain);
  /// To one address and port; without them where to is not told.
  void dnat(const std::optional<rules::Address>& address, std::uint16_t port);
  /// What NFTA_RULE_EXPRESSIONS holds.
  [[nodiscard]] std::string take();

 private:
  static constexpr std::size_t kBound = 2048;

  void expression(std::string_view name, auto&& write);
  void immediate(std::uint32_t code, std::string_view chain);
  void load(std::uint32_t number, const void* data, std::uint16_t size);
  void compare(const void* data, std::uint16_t size);
  void payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size);

  rules::Family family_;
  std::string memory_;
  netlink::AttributeWriter out_;
};

}  // namespace kubenatd::agent::test
