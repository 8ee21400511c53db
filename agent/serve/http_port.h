#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>
#include <list>
#include <memory>

#include "agent/base/cpprest_internals.h"
#include "agent/serve/http_connections.h"
#include "agent/serve/http_transport.h"
#include "agent/serve/listen_socket.h"

namespace kubenatd::agent::serve {

/// One listening socket of the transport and its connections.
///
/// Purpose: accepts connections within the bounds of the listener and of the lane. Threading: one lane's thread, but
/// for the constructor, executor() and adopt(). Failure: connections end; an accept(2) that fails is tried again a
/// little later, and for want of descriptors a silent connection of the lane ends. Cost: see HttpLimits.
class HttpPort : public std::enable_shared_from_this<HttpPort> {
 public:
  /// `lane` are the connections of the lane; they must outlive this.
  HttpPort(boost::asio::io_context& io, HttpConnections& lane, const HttpLimits& limits,
           base::cpprest::Listener& listener);

  /// Where its work is posted to.
  [[nodiscard]] boost::asio::any_io_executor executor() { return acceptor_.get_executor(); }
  [[nodiscard]] boost::system::error_code adopt(ListenSocket socket);
  void accept();
  /// Ends all connections. The listener is not called any more.
  void close();

  /// Sends the answer to the request that it belongs to.
  static void respond(web::http::http_response& response);

 private:
  friend class HttpSession;
  using Sessions = std::list<std::shared_ptr<class HttpSession>>;

  /// More that wait already, so that a flood of them is worked off faster than it comes.
  void accept_waiting();
  void add(boost::asio::ip::tcp::socket socket);

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ip::tcp::endpoint peer_;  ///< of the connection that is being accepted
  boost::asio::steady_timer retry_;
  HttpConnections& lane_;
  HttpConnections connections_;
  HttpLimits limits_;
  base::cpprest::Listener* listener_;  ///< none: closed
  Sessions sessions_;
};

}  // namespace kubenatd::agent::serve
