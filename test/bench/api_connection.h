#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "test/support/process.h"

using SSL = struct ssl_st;

namespace kubenatd::bench {

/// One connection to an API server over TLS, kept open, as a client that writes objects has it. The server's
/// certificate is not checked: it is made for the run.
///
/// Threading: one thread; several connections may be used by several threads. Failure: throws std::runtime_error.
class ApiConnection {
 public:
  struct Answer {
    int status = 0;
    std::string body;
  };
  /// Connects from the namespace that the calling thread is in.
  ApiConnection(const std::string& address, std::uint16_t port, std::string token);
  ApiConnection(ApiConnection&&) noexcept;
  ApiConnection& operator=(ApiConnection&&) = delete;
  ~ApiConnection();

  Answer ask(std::string_view method, std::string_view path, std::string_view body = {});
  /// As ask(); an answer that is not 2xx throws.
  Answer must(std::string_view method, std::string_view path, std::string_view body = {});

 private:
  /// Waits for more of the answer.
  void read_more();
  [[nodiscard]] std::string take_line();
  [[nodiscard]] std::string take(std::size_t size);

  test::Descriptor socket_;
  std::unique_ptr<SSL, void (*)(SSL*)> tls_;
  std::string token_;
  std::string read_;
};

}  // namespace kubenatd::bench
