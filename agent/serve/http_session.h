#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/serve/http_connections.h"
#include "agent/serve/http_port.h"
#include "agent/serve/http_request_parser.h"

namespace kubenatd::agent::serve {

/// One connection of a client.
///
/// Purpose: reads requests one after the other, hands them to the http_listener, and sends what it answers. The next
/// request is looked at when the answer has been sent. Threading: the lane's thread. Failure: what the client does
/// wrong ends the connection. Cost: about 3 KiB, and what it has sent of a line or not yet read of its answer.
class HttpSession final : public HttpConnections::Member, public std::enable_shared_from_this<HttpSession> {
 public:
  HttpSession(std::shared_ptr<HttpPort> port, boost::asio::ip::tcp::socket socket);

  /// Where the port and its lane have it.
  void start(HttpConnections::Place place, HttpConnections::Place place_in_lane, HttpPort::Sessions::iterator session);
  void respond(web::http::http_response& response);
  /// Ends what is under way; the session goes with its last operation. What is on its way to the client still arrives.
  void end();
  void abort() override;

 private:
  /// Ties an http_request to its connection.
  class Exchange;
  friend class HttpPort;
  using ErrorCode = boost::system::error_code;

  void begin_request();
  /// Until the present request must have come.
  void read();
  void on_read(ErrorCode error, std::size_t count);
  void parse();
  void dispatch();
  void refuse(boost::beast::http::status status);
  void send(unsigned status, std::string header, std::string body);
  void on_sent(ErrorCode error);
  void linger();
  void discard(std::size_t left);
  void await_delivery();
  void wait(std::chrono::milliseconds time, std::function<void()> then);
  [[nodiscard]] bool is_delivered();
  /// Tells the lane what it holds.
  void count_memory();

  std::shared_ptr<HttpPort> port_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  std::optional<HttpRequestParser> parser_;  ///< while a request comes in
  HttpConnections::Place place_;
  HttpConnections::Place place_in_lane_;
  HttpPort::Sessions::iterator session_;
  std::chrono::steady_clock::time_point until_;  ///< the request must have come by then
  std::size_t requests_ = 0;
  bool listed_ = false;
  bool keep_alive_ = false;
  bool head_ = false;
  bool http_1_0_ = false;
  std::string header_;  ///< of the answer that is being sent
  std::string body_;
  std::optional<boost::asio::steady_timer> timer_;
};

}  // namespace kubenatd::agent::serve
