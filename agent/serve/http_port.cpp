#include "agent/serve/http_port.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "agent/serve/http_session.h"

namespace kubenatd::agent::serve {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr auto kAcceptAgain = std::chrono::milliseconds(100);
/// For want of descriptors, a connection that has asked nothing for so long ends. Clients ask when they have connected.
constexpr auto kSilent = std::chrono::seconds(1);
/// So many connections are accepted before others of the lane have their turn, and no more than this part of what it
/// may have: one that has just come must not end before it was looked at.
constexpr std::size_t kAcceptAtOnce = 32;
constexpr std::size_t kPartAtOnce = 16;

/// Connections have them from the listening socket.
error_code bound_kernel_buffers(int fd, const HttpLimits& limits) {
  struct Option {
    int level;
    int name;
    int value;
  };
  const std::array options{
      Option{SOL_SOCKET, SO_RCVBUF, static_cast<int>(limits.kernel_receive)},
      Option{SOL_SOCKET, SO_SNDBUF, static_cast<int>(limits.kernel_send)},
      // Also of a connection that was closed and whose client does not take what is left.
      Option{IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(limits.response.count())},
  };
  for (const Option& option : options)
    if (::setsockopt(fd, option.level, option.name, &option.value, sizeof option.value) != 0)
      return {errno, boost::system::system_category()};
  return {};
}

}  // namespace

HttpPort::HttpPort(boost::asio::io_context& io, HttpConnections& lane, const HttpLimits& limits,
                   base::cpprest::Listener& listener)
    : acceptor_(io),
      retry_(io),
      lane_(lane),
      connections_({.all = limits.connections}),
      limits_(limits),
      listener_(&listener) {}

error_code HttpPort::adopt(ListenSocket socket) {
  error_code error;
  const bool ipv6 = socket.ipv6();
  acceptor_.assign(ipv6 ? tcp::v6() : tcp::v4(), socket.release(), error);
  if (!error) error = bound_kernel_buffers(acceptor_.native_handle(), limits_);
  if (!error) acceptor_.non_blocking(true, error);
  return error;
}

void HttpPort::accept() {
  if (listener_ == nullptr) return;
  acceptor_.async_accept(peer_, [self = shared_from_this()](error_code error, tcp::socket socket) {
    if (self->listener_ == nullptr) return;
    if (!error) {
      self->add(std::move(socket));
      self->accept_waiting();
      return self->accept();
    }
    const bool no_descriptor = error == boost::system::errc::too_many_files_open ||
                               error == boost::system::errc::too_many_files_open_in_system;
    if (no_descriptor && self->lane_.end_silent(kSilent)) return self->accept();
    self->retry_.expires_after(kAcceptAgain);
    self->retry_.async_wait([self](error_code) { self->accept(); });
  });
}

void HttpPort::accept_waiting() {
  const std::size_t most =
      std::min({kAcceptAtOnce, limits_.lane_connections / kPartAtOnce, limits_.connections / kPartAtOnce});
  for (std::size_t i = 1; i < most; ++i) {
    error_code error;
    tcp::socket socket(acceptor_.get_executor());
    acceptor_.accept(socket, peer_, error);
    if (error) return;
    add(std::move(socket));
  }
}

void HttpPort::add(tcp::socket socket) {
  const auto session = std::make_shared<HttpSession>(shared_from_this(), std::move(socket));
  const HttpClient client(peer_.address());
  session->start(connections_.add(*session, client), lane_.add(*session, client),
                 sessions_.insert(sessions_.end(), session));
}

void HttpPort::close() {
  listener_ = nullptr;
  error_code ignored;
  acceptor_.close(ignored);
  retry_.cancel();
  while (!sessions_.empty()) sessions_.front()->end();
}

}  // namespace kubenatd::agent::serve
