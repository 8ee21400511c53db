#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kubenatd::agent::api {

/// A URL taken apart, or a part of one, as Go 1.26's net/url does it, because client-go and net/http do it with that.
struct Url {
  std::string scheme;   ///< in lower case; empty: none was given
  bool opaque = false;  ///< "mailto:x": what is behind the scheme is no path
  bool has_user = false;
  std::string user, password;  ///< decoded
  std::string host;            ///< decoded, IPv6 with its zone and without brackets
  std::string port;            ///< digits; may be empty, and of any size
  std::string path;            ///< decoded

  [[nodiscard]] bool has_host() const { return !host.empty() || !port.empty() || colon_without_port; }
  bool colon_without_port = false;  ///< "a:"

  /// Nothing: Go refuses the text, and `cause` says why. `request`: as the target of a request (ParseRequestURI), where
  /// "#" begins no fragment and something must be there.
  [[nodiscard]] static std::optional<Url> parse(std::string_view text, std::string& cause, bool request = false);
};

/// Go's path.Clean for a path that starts with "/".
[[nodiscard]] std::string cleaned_path(std::string_view path);
/// A path as it stands in a request.
[[nodiscard]] std::string escaped_path(std::string_view path);

[[nodiscard]] bool is_ipv4(const std::string& host);
/// Also with a zone: "fe80::1%eth0".
[[nodiscard]] bool is_ipv6(const std::string& host);

}  // namespace kubenatd::agent::api
