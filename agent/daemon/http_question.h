#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "agent/config/bind_address.h"
#include "rules/error.h"

namespace kubenatd::agent::daemon {

struct HttpAnswer {
  unsigned status = 0;
  std::string body;
};

/// Bounds on what an answer may cost.
struct HttpPatience {
  std::chrono::milliseconds patience{500};
  std::size_t longest = 4096;  ///< bytes, with the headers; the rest is cut off
};

/// Asks a server of this node for a page. One that listens on every address is asked over loopback. Errors name the
/// address; ECONNREFUSED: nobody listens there; ETIMEDOUT: no whole answer in time.
[[nodiscard]] rules::Result<HttpAnswer> ask_http(const config::BindAddress& server, std::string_view target,
                                                 HttpPatience limits);

}  // namespace kubenatd::agent::daemon
