#include "agent/serve/http_session.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <ctime>
#include <string_view>
#include <utility>

namespace kubenatd::agent::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

/// What a client still sends after its last answer is read for a while: closing with unread data would reset the
/// connection, and the client might never see the answer.
constexpr auto kLinger = std::chrono::seconds(1);
constexpr std::size_t kLingerBytes = 64 << 10;
/// A request of a good client comes in one piece of about this size.
constexpr std::size_t kPiece = 512;
/// Before a request that came while the one before it was answered. Clients of these pages wait for their answers;
/// those who do not must not take the turns of others.
constexpr auto kPipelined = std::chrono::milliseconds(100);

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

class HttpSession::Exchange final : public base::cpprest::RequestContext {
 public:
  explicit Exchange(std::shared_ptr<HttpSession> session) : session_(std::move(session)) {}
  [[nodiscard]] HttpSession& session() const { return *session_; }

 private:
  std::shared_ptr<HttpSession> session_;
};

HttpSession::HttpSession(std::shared_ptr<HttpPort> port, tcp::socket socket)
    : port_(std::move(port)),
      stream_(std::move(socket)),
      buffer_(std::max(port_->limits_.header_bytes, port_->limits_.body_bytes)) {}

void HttpSession::start(HttpConnections::Place place, HttpConnections::Place place_in_lane,
                        HttpPort::Sessions::iterator session) {
  place_ = place;
  place_in_lane_ = place_in_lane;
  session_ = session;
  listed_ = true;
  begin_request();
  until_ = std::chrono::steady_clock::now() + port_->limits_.request;
  read();
}

void HttpSession::begin_request() {
  parser_.emplace(port_->limits_.header_bytes);
  parser_->header_limit(static_cast<std::uint32_t>(port_->limits_.header_bytes));
  parser_->body_limit(port_->limits_.body_bytes);
}

void HttpSession::read() {
  // One that needs more has all it may have at once: pieces of many sizes would leave the heap in shreds.
  const std::size_t most = buffer_.max_size() - buffer_.size();
  const auto room = buffer_.prepare(buffer_.size() < kPiece / 2 ? kPiece : most);
  count_memory();
  stream_.expires_at(until_);
  stream_.async_read_some(
      room, [self = shared_from_this()](ErrorCode error, std::size_t count) { self->on_read(error, count); });
}

void HttpSession::on_read(ErrorCode error, std::size_t count) {
  if (!listed_) return;
  if (error == asio::error::eof && !parser_->got_some() && buffer_.size() == 0) return linger();
  if (error) return end();
  // The time to be silent between two requests is no time to send one in.
  if (!parser_->got_some() && buffer_.size() == 0 && requests_ != 0)
    until_ = std::chrono::steady_clock::now() + port_->limits_.request;
  buffer_.commit(count);
  parse();
}

void HttpSession::parse() {
  ErrorCode error;
  buffer_.consume(parser_->put(buffer_.data(), error));
  if (parser_->is_done() && !error) return dispatch();
  const bool is_full = buffer_.size() >= buffer_.max_size();
  if (error == http::error::header_limit || (error == http::error::need_more && is_full))
    return refuse(http::status::request_header_fields_too_large);
  if (error == http::error::body_limit) return refuse(http::status::payload_too_large);
  if (error && error != http::error::need_more) return refuse(http::status::bad_request);
  read();
}

void HttpSession::dispatch() {
  ++requests_;
  keep_alive_ = parser_->keep_alive() && requests_ < port_->limits_.requests;
  http_1_0_ = parser_->http_1_0();
  head_ = parser_->method() == "HEAD";
  port_->connections_.note_request(place_);
  port_->lane_.note_request(place_in_lane_);
  auto request = base::cpprest::make_request(std::make_unique<Exchange>(shared_from_this()));
  try {
    request.set_method(parser_->method());
    request.set_request_uri(web::uri(parser_->target()));
    parser_->for_each_field([&](const char* name, const std::string& value) { request.headers().add(name, value); });
  } catch (const std::exception&) {
    return refuse(http::status::bad_request);  // a target that is no URI
  }
  try {
    port_->listener_->handle_request(request);
  } catch (const std::exception&) {
    return abort();
  }
}

void HttpSession::refuse(http::status status) {
  keep_alive_ = false;
  head_ = false;
  http_1_0_ = false;
  send(static_cast<unsigned>(status), "Content-Type: text/plain; charset=utf-8\r\n",
       fmt::format("{} {}\n", static_cast<unsigned>(status), std::string(http::obsolete_reason(status))));
}

void HttpSession::respond(web::http::http_response& response) {
  std::string header;
  for (const auto& [name, value] : response.headers()) {
    if (name != "Content-Length") header += fmt::format("{}: {}\r\n", name, value);
  }
  std::string body = body_of(response);
  // The library lets go of it some time later, on a thread of its pool.
  response.set_body(concurrency::streams::istream());
  send(response.status_code(), std::move(header), std::move(body));
}

void HttpSession::send(unsigned status, std::string header, std::string body) {
  if (!listed_) return;
  parser_.reset();
  if (buffer_.size() == 0) buffer_.shrink_to_fit();
  header_ = status_line(status, http_1_0_) + std::move(header);
  header_ += fmt::format("Date: {}\r\n", http_date());
  // 304 has no body; a length would be that of the page which the client has (RFC 9110, 8.6).
  if (status != static_cast<unsigned>(http::status::not_modified))
    header_ += fmt::format("Content-Length: {}\r\n", body.size());
  if (!keep_alive_) {
    header_ += "Connection: close\r\n";
  } else if (http_1_0_) {
    header_ += "Connection: keep-alive\r\n";
  }
  header_ += "\r\n";
  if (!head_) body_ = std::move(body);
  count_memory();
  stream_.expires_after(port_->limits_.response);
  asio::async_write(stream_, std::array{asio::buffer(header_), asio::buffer(body_)},
                    [self = shared_from_this()](ErrorCode error, std::size_t) { self->on_sent(error); });
}

void HttpSession::on_sent(ErrorCode error) {
  header_ = {};
  body_ = {};
  if (!listed_) return;
  if (error) return abort();
  count_memory();
  if (!keep_alive_) return linger();
  begin_request();
  until_ = std::chrono::steady_clock::now() + port_->limits_.next_request;
  if (buffer_.size() == 0) return read();
  until_ = std::chrono::steady_clock::now() + port_->limits_.request;
  wait(kPipelined, [this] { parse(); });
}

void HttpSession::wait(std::chrono::milliseconds time, std::function<void()> then) {
  timer_.emplace(stream_.get_executor(), time);
  timer_->async_wait([self = shared_from_this(), then = std::move(then)](ErrorCode) {
    if (self->listed_) then();
  });
}

void HttpSession::linger() {
  ErrorCode ignored;
  stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
  buffer_.clear();
  stream_.expires_after(kLinger);
  discard(kLingerBytes);
}

void HttpSession::discard(std::size_t left) {
  buffer_.clear();
  stream_.async_read_some(buffer_.prepare(kPiece),
                          [self = shared_from_this(), left](ErrorCode error, std::size_t count) {
                            if (!self->listed_) return;
                            if (error == asio::error::eof) return self->await_delivery();
                            if (error || count >= left) return self->is_delivered() ? self->end() : self->abort();
                            self->discard(left - count);
                          });
}

void HttpSession::await_delivery() {
  if (is_delivered()) return end();
  // Closed now, what is left would be the kernel's, for as long as the client does not take it.
  wait(kLinger, [this] { is_delivered() ? end() : abort(); });
}

bool HttpSession::is_delivered() {
  int left = 0;
  return ::ioctl(stream_.socket().native_handle(), SIOCOUTQ, &left) != 0 || left <= 1;  // the FIN counts as one
}

void HttpSession::count_memory() {
  const std::size_t bytes = buffer_.capacity() + header_.size() + body_.size();
  constexpr std::size_t kSmall = 2 * kPiece;  // what every connection has
  port_->lane_.hold(place_in_lane_, bytes > kSmall ? bytes : 0);
}

void HttpSession::abort() {
  // Neither a FIN that the client has to answer nor anything unsent is left to the kernel.
  ErrorCode ignored;
  stream_.socket().set_option(asio::socket_base::linger(true, 0), ignored);
  end();
}

void HttpSession::end() {
  const auto self = shared_from_this();
  stream_.close();
  if (timer_) timer_->cancel();
  if (!std::exchange(listed_, false)) return;
  port_->connections_.remove(place_);
  port_->lane_.remove(place_in_lane_);
  port_->sessions_.erase(session_);
}

void HttpPort::respond(web::http::http_response& response) {
  const auto* exchange = static_cast<const HttpSession::Exchange*>(base::cpprest::context_of(response));
  if (exchange != nullptr) exchange->session().respond(response);
}

}  // namespace kubenatd::agent::serve
