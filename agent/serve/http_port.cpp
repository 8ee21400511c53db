#include "agent/serve/http_port.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace kubenatd::agent::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto kAcceptAgain = std::chrono::milliseconds(100);
/// For want of descriptors, a connection that has asked nothing for so long ends. Clients ask when they have connected.
constexpr auto kSilent = std::chrono::seconds(1);
/// What a client still sends after its last answer is read for a while: closing with unread data would reset the
/// connection, and the client might never see the answer.
constexpr auto kLinger = std::chrono::seconds(1);
constexpr std::size_t kLingerBytes = 64 << 10;

/// "Tue, 01 Jul 2025 10:00:00 GMT"
std::string http_date() {
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time(nullptr)));
}

std::string status_line(unsigned status, bool http_1_0) {
  const auto reason = http::obsolete_reason(http::int_to_status(status));
  return fmt::format("HTTP/1.{} {} {}\r\n", http_1_0 ? 0 : 1, status, std::string_view(reason.data(), reason.size()));
}

std::string body_of(web::http::http_response& response) {
  if (!response.body().is_valid()) return {};
  auto buffer = response.body().streambuf();
  std::string body(buffer.in_avail(), '\0');
  if (body.empty()) return body;
  // Bodies are strings in memory, so this does not wait.
  body.resize(buffer.getn(reinterpret_cast<std::uint8_t*>(body.data()), body.size()).get());
  return body;
}

}  // namespace

class HttpPort::Session final : public HttpConnections::Member, public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<HttpPort> port, tcp::socket socket)
      : port_(std::move(port)),
        stream_(std::move(socket)),
        buffer_(port_->limits_.header_bytes + port_->limits_.body_bytes) {}

  void set_places(Sessions::iterator place, HttpConnections::Place place_in_lane) {
    place_ = place;
    place_in_lane_ = place_in_lane;
  }

  void read(std::chrono::milliseconds patience) {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(port_->limits_.header_bytes));
    parser_->body_limit(port_->limits_.body_bytes);
    stream_.expires_after(patience);
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
  }

  void respond(web::http::http_response& response) {
    std::string header;
    for (const auto& [name, value] : response.headers()) {
      if (name != "Content-Length") header += fmt::format("{}: {}\r\n", name, value);
    }
    send(response.status_code(), header, body_of(response));
  }

  /// Ends what is under way; the session goes with its last operation.
  void abort() override {
    const auto self = shared_from_this();
    stream_.close();
    if (!std::exchange(listed_, false)) return;
    port_->connections_.remove(place_in_lane_);
    port_->sessions_.erase(place_);
  }

 private:
  void on_read(error_code error) {
    if (!listed_) return;
    if (error == http::error::end_of_stream) return linger();
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
      return refuse(http::status::request_header_fields_too_large);
    if (error == http::error::body_limit) return refuse(http::status::payload_too_large);
    if (error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::partial_message)
      return refuse(http::status::bad_request);
    if (error) return abort();
    dispatch();
  }

  void dispatch();

  void refuse(http::status status) {
    keep_alive_ = false;
    head_ = false;
    http_1_0_ = false;
    send(static_cast<unsigned>(status), "Content-Type: text/plain; charset=utf-8\r\n",
         fmt::format("{} {}\n", static_cast<unsigned>(status), std::string(http::obsolete_reason(status))));
  }

  void send(unsigned status, const std::string& header, const std::string& body) {
    text_ = status_line(status, http_1_0_) + header;
    text_ += fmt::format("Date: {}\r\n", http_date());
    // 304 has no body; a length would be that of the page which the client has (RFC 9110, 8.6).
    if (status != static_cast<unsigned>(http::status::not_modified))
      text_ += fmt::format("Content-Length: {}\r\n", body.size());
    if (!keep_alive_) {
      text_ += "Connection: close\r\n";
    } else if (http_1_0_) {
      text_ += "Connection: keep-alive\r\n";
    }
    text_ += "\r\n";
    if (!head_) text_ += body;
    stream_.expires_after(port_->limits_.response);
    asio::async_write(stream_, asio::buffer(text_),
                      [self = shared_from_this()](error_code error, std::size_t) { self->on_sent(error); });
  }

  void on_sent(error_code error) {
    if (!listed_) return;
    text_ = {};
    if (error) return abort();
    if (!keep_alive_) return linger();
    read(port_->limits_.next_request);
  }

  void linger() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kLinger);
    discard(kLingerBytes);
  }

  void discard(std::size_t left) {
    stream_.async_read_some(asio::buffer(rest_),
                            [self = shared_from_this(), left](error_code error, std::size_t count) {
                              if (!self->listed_) return;
                              if (error || count >= left) return self->abort();
                              self->discard(left - count);
                            });
  }

  std::shared_ptr<HttpPort> port_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> parser_;
  Sessions::iterator place_;
  HttpConnections::Place place_in_lane_;
  bool listed_ = true;
  bool keep_alive_ = false;
  bool head_ = false;
  bool http_1_0_ = false;
  std::string text_;
  std::array<char, 1024> rest_{};
};

/// Ties an http_request to its connection.
class HttpPort::Exchange final : public base::cpprest::RequestContext {
 public:
  explicit Exchange(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  [[nodiscard]] Session& session() const { return *session_; }

 private:
  std::shared_ptr<Session> session_;
};

void HttpPort::Session::dispatch() {
  const auto& message = parser_->get();
  keep_alive_ = message.keep_alive();
  http_1_0_ = message.version() < 11;
  head_ = message.method() == http::verb::head;
  port_->sessions_.splice(port_->sessions_.end(), port_->sessions_, place_);
  port_->connections_.note_request(place_in_lane_);
  auto request = base::cpprest::make_request(std::make_unique<Exchange>(shared_from_this()));
  try {
    request.set_method(std::string(message.method_string()));
    request.set_request_uri(web::uri(std::string(message.target())));
    for (const auto& field : message)
      request.headers().add(std::string(field.name_string()), std::string(field.value()));
  } catch (const std::exception&) {
    return refuse(http::status::bad_request);  // a target that is no URI
  }
  try {
    port_->listener_->handle_request(request);
  } catch (const std::exception&) {
    return abort();
  }
}

error_code HttpPort::adopt(ListenSocket socket) {
  error_code error;
  const bool ipv6 = socket.ipv6();
  acceptor_.assign(ipv6 ? tcp::v6() : tcp::v4(), socket.release(), error);
  return error;
}

void HttpPort::accept() {
  if (listener_ == nullptr) return;
  acceptor_.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
    if (self->listener_ == nullptr) return;
    if (!error) {
      self->add(std::move(socket));
      return self->accept();
    }
    const bool no_descriptor = error == boost::system::errc::too_many_files_open ||
                               error == boost::system::errc::too_many_files_open_in_system;
    if (no_descriptor && self->connections_.end_silent(kSilent)) return self->accept();
    self->retry_.expires_after(kAcceptAgain);
    self->retry_.async_wait([self](error_code) { self->accept(); });
  });
}

void HttpPort::add(tcp::socket socket) {
  if (sessions_.size() >= limits_.connections) sessions_.front()->abort();
  auto session = std::make_shared<Session>(shared_from_this(), std::move(socket));
  const auto place_in_lane = connections_.add(*session);
  session->set_places(sessions_.insert(sessions_.end(), session), place_in_lane);
  session->read(limits_.first_request);
}

void HttpPort::close() {
  listener_ = nullptr;
  error_code ignored;
  acceptor_.close(ignored);
  retry_.cancel();
  while (!sessions_.empty()) sessions_.front()->abort();
}

void HttpPort::respond(web::http::http_response& response) {
  const auto* exchange = static_cast<const Exchange*>(base::cpprest::context_of(response));
  if (exchange != nullptr) exchange->session().respond(response);
}

}  // namespace kubenatd::agent::serve
