#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rules/error.h"

namespace kubenatd::agent::api {

struct UserPassword {
  std::string user;
  std::string password;
  [[nodiscard]] std::string header() const;  ///< "Basic ...", for Authorization and Proxy-Authorization
};

/// The address of an API server.
struct ServerUrl {
  bool tls = true;
  std::string host;  ///< IPv6 without brackets, perhaps with a zone ("fe80::1%eth0")
  std::uint16_t port = 443;
  std::string path;  ///< empty, or "/..." without a slash at the end, escaped
  std::optional<UserPassword> user;

  [[nodiscard]] std::string to_string() const;  ///< without the user
  [[nodiscard]] std::string authority() const;  ///< "HOST:PORT", IPv6 in brackets and without its zone
  /// An IPv4 or IPv6 address, not a name.
  [[nodiscard]] bool host_is_address() const;
  /// As client-go v0.36 reads a kubeconfig's `server` (rest.DefaultServerURL): http without a scheme; query and
  /// fragment go; the path is cleaned. Refused is also what Go takes and can never connect to: other schemes, no host,
  /// port 0, names that DNS cannot have or that are not written in ASCII. `object` and `field` say where the text came
  /// from; they are used in errors.
  [[nodiscard]] static rules::Result<ServerUrl> parse(const std::string& text, const std::string& object,
                                                      const std::string& field);
};

/// Letters, digits, "-", "." and "_", or an address.
[[nodiscard]] bool is_usable_host(const std::string& host);
/// 1 to 65535.
[[nodiscard]] std::optional<std::uint16_t> usable_port(const std::string& digits);

}  // namespace kubenatd::agent::api
