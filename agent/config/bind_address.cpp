#include "agent/config/bind_address.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

namespace kubenatd::agent::config {

std::optional<BindAddress> parse_bind_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  // "::1:80" without brackets could be read in two ways.
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;
  const std::optional<rules::Address> address = rules::Address::parse(host);
  if (port.starts_with('+')) port.remove_prefix(1);  // Go's Atoi takes it
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (!address || error != std::errc{} || end != port.data() + port.size() || number == 0) return std::nullopt;
  return BindAddress{*address, number};
}

std::string with_port(std::string_view text, std::uint16_t port) {
  const std::optional<rules::Address> address = rules::Address::parse(text);
  if (!address) return std::string(text);
  // The text stays as it was written: "::ffff:1.2.3.4" is an IPv4 address, but needs the brackets.
  if (text.find(':') != std::string_view::npos) return fmt::format("[{}]:{}", text, port);
  return fmt::format("{}:{}", text, port);
}

}  // namespace kubenatd::agent::config
