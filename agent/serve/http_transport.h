#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/serve/listen_socket.h"
#include "rules/error.h"

namespace kubenatd::agent::serve {

/// Bounds on what clients may cost. Those of connections are kept by ending the one that is silent longest of the
/// client that has most (HttpConnections): nobody is refused.
struct HttpLimits {
  std::size_t header_bytes = 16 << 10;   ///< request line and fields, with those after a body
  std::size_t body_bytes = 4 << 10;      ///< no page takes a body
  std::size_t connections = 512;         ///< of one listener
  std::size_t lane_connections = 1024;   ///< of all listeners of a lane together
  std::size_t client_connections = 256;  ///< of one client in a lane; a quarter of the lane's when that is less
  std::size_t lane_bytes = 2 << 20;      ///< halves of requests and unsent answers of a lane together
  std::size_t kernel_receive = 8 << 10;  ///< SO_RCVBUF; the kernel takes twice as much
  std::size_t kernel_send = 128 << 10;   ///< SO_SNDBUF, likewise
  std::size_t requests = 1000;           ///< of one connection
  std::chrono::milliseconds request = std::chrono::seconds(10);       ///< from its first byte, or from the connection
  std::chrono::milliseconds next_request = std::chrono::seconds(90);  ///< more than a usual scrape interval
  std::chrono::milliseconds response = std::chrono::seconds(30);
};

/// Which thread answers.
enum class HttpLane : std::uint8_t {
  kProbes,   ///< from memory, at once
  kScrapes,  ///< pages that ask the kernel first and may take long
};

/// The transport under cpprestsdk's http_listener: sockets, HTTP/1.1, limits.
///
/// Purpose: the transport that cpprestsdk brings along cannot listen on IPv6 addresses or on both families, waits for
/// ever for a slow client, keeps request headers of any size, does not count connections, and stops accepting after the
/// first error of accept(2). This one registers itself in its place (http_server_api) while it lives; http_listeners
/// are used as always. Parsing is Boost.Beast's. Threading: a thread for each lane serves the listeners of that lane,
/// and handlers run on it: they have to answer before they return, and one that takes long holds up its lane and no
/// other. These threads block all signals, as do those of cpprestsdk's pool when this starts it. Methods may be called
/// from any other thread. One transport can live at a time, as cpprestsdk knows but one, and http_listeners have to be
/// closed before it ends. Failure: start() fails when there is one already or no thread. What clients do wrong ends
/// their connection only. Cost: a connection keeps about 3 KiB while it is open, and with the others of its lane at
/// most what the limits say. When the process has no descriptor left, a silent connection of the lane ends.
class HttpTransport {
 public:
  [[nodiscard]] static rules::Result<std::unique_ptr<HttpTransport>> start(HttpLimits limits = {});
  ~HttpTransport();
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  /// The http_listener of this URI is to serve `socket` when it is opened.
  void provide(const std::string& uri, ListenSocket socket, HttpLane lane);

 private:
  class Anchor;
  class Core;
  class Server;

  HttpTransport();

  std::shared_ptr<Core> core_;
  std::unique_ptr<Anchor> anchor_;
};

}  // namespace kubenatd::agent::serve
