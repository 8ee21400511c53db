#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "agent/config/bind_address.h"
#include "agent/serve/http_transport.h"

/// A client that may do what no good client does.
namespace kubenatd::test {

/// One TCP connection over loopback. Everything gives up after ten seconds. Failure: throws std::runtime_error.
class Connection {
 public:
  Connection(const std::string& address, std::uint16_t port);
  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&&) = delete;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// False when the other end has gone.
  bool send(const std::string& text);
  /// What came until the other end closed or reset the connection.
  std::string read_to_end();
  /// What came until `mark` was in it, or the connection ended.
  std::string read_until(const std::string& mark);
  [[nodiscard]] int fd() const { return fd_; }

 private:
  std::string read(const std::string* mark);
  int fd_ = -1;
};

struct Reply {
  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

[[nodiscard]] Reply parse_reply(const std::string& text);

/// One request on a connection of its own.
[[nodiscard]] Reply fetch(const std::string& address, std::uint16_t port, const std::string& path,
                          const std::string& method = "GET");

/// Loopback, port 0: any free one.
[[nodiscard]] agent::config::BindAddress loopback(bool ipv6 = false);

/// The loopback interface has ::1.
[[nodiscard]] bool has_ipv6();

}  // namespace kubenatd::test
