#include "agent/api/http_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>
#include <utility>

#include "agent/base/cpprest_internals.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

using InboxStreamBase = base::cpprest::StreamBuffer<std::uint8_t>;
using web::http::http_response;

/// A block that the library offers is a chunk of the server's making.
constexpr std::size_t kLargestBlock = 256U << 20;

/// A stream that only takes blocks and hands them on to an inbox.
class InboxStream : public InboxStreamBase {
 public:
  explicit InboxStream(std::shared_ptr<BodyInbox> inbox)
      : InboxStreamBase(std::ios_base::out), inbox_(std::move(inbox)) {}

  [[nodiscard]] bool can_seek() const override { return false; }
  [[nodiscard]] bool has_size() const override { return false; }
  [[nodiscard]] std::size_t buffer_size(std::ios_base::openmode) const override { return 0; }
  void set_buffer_size(std::size_t, std::ios_base::openmode) override {}
  [[nodiscard]] std::size_t in_avail() const override { return 0; }
  [[nodiscard]] pos_type getpos(std::ios_base::openmode) const override { return nowhere(); }
  pos_type seekpos(pos_type, std::ios_base::openmode) override { return nowhere(); }
  pos_type seekoff(off_type, std::ios_base::seekdir, std::ios_base::openmode) override { return nowhere(); }
  bool acquire(std::uint8_t*&, std::size_t&) override { return false; }
  void release(std::uint8_t*, std::size_t) override {}

 protected:
  pplx::task<std::size_t> _putn(const std::uint8_t* bytes, std::size_t count) override {
    // The library takes the length of a chunk as a signed number.
    if (count > kLargestBlock)
      return pplx::task_from_exception<std::size_t>(web::http::http_exception("a chunk of impossible length"));
    const pplx::task_completion_event<std::size_t> done;
    inbox_->offer({reinterpret_cast<const char*>(bytes), count}, [done, count](bool wanted) {
      if (wanted)
        done.set(count);
      else
        done.set_exception(web::http::http_exception("the answer is not wanted any more"));
    });
    return pplx::create_task(done);
  }
  pplx::task<int_type> _putc(std::uint8_t) override { return nothing(); }
  pplx::task<int_type> _bumpc() override { return nothing(); }
  int_type _sbumpc() override { return traits::eof(); }
  pplx::task<int_type> _getc() override { return nothing(); }
  int_type _sgetc() override { return traits::eof(); }
  pplx::task<int_type> _nextc() override { return nothing(); }
  pplx::task<int_type> _ungetc() override { return nothing(); }
  pplx::task<std::size_t> _getn(std::uint8_t*, std::size_t) override { return pplx::task_from_result<std::size_t>(0); }
  std::size_t _scopy(std::uint8_t*, std::size_t) override { return 0; }
  pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
  std::uint8_t* _alloc(std::size_t) override { return nullptr; }
  void _commit(std::size_t) override {}

 private:
  static pos_type nowhere() { return static_cast<pos_type>(traits::eof()); }
  static pplx::task<int_type> nothing() { return pplx::task_from_result<int_type>(traits::eof()); }

  std::shared_ptr<BodyInbox> inbox_;
};

ResponseHead head_of(const http_response& response) {
  ResponseHead head;
  head.status = response.status_code();
  if (const auto found = response.headers().find("Retry-After"); found != response.headers().end()) {
    constexpr unsigned kLongest = 86'400;
    unsigned seconds = 0;
    const std::string& text = found->second;
    // The other form, a date, is not used by API servers.
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (code == std::errc() && end == text.data() + text.size())
      head.retry_after = std::chrono::seconds(std::min(seconds, kLongest));
  }
  if (const auto found = response.headers().find("Content-Type"); found != response.headers().end())
    head.content_type = found->second;
  if (const auto found = response.headers().find("Content-Encoding"); found != response.headers().end())
    head.content_encoding = found->second;
  return head;
}

}  // namespace

std::string describe_thrown(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const web::http::http_exception& error) {
    std::string what = base::one_line(error.what(), 200);
    constexpr int kEndOfStream = 2;  // Boost.Asio's, which the library takes for an errno
    if (error.error_code().value() == kEndOfStream) return what + " (the server closed the connection)";
    if (error.error_code()) what += fmt::format(" ({})", base::one_line(error.error_code().message(), 200));
    return what;
  } catch (const std::exception& error) {
    return base::one_line(error.what(), 200);
  } catch (...) {
    return "unknown error";
  }
}

HttpExchange::~HttpExchange() {
  inbox_->abandon();
  try {
    if (!complete_->load()) cancel_.cancel();
  } catch (const std::exception&) {
    // The library's callback closes a socket; if it cannot, its own timer will.
    return;
  }
}

void HttpExchange::start(web::http::client::http_client& client, web::http::http_request& request) {
  const auto stream = std::make_shared<InboxStream>(inbox_);
  request.set_response_stream(concurrency::streams::streambuf<std::uint8_t>(stream).create_ostream());
  const auto inbox = inbox_;
  const auto complete = complete_;
  client.request(request, cancel_.get_token()).then([inbox, complete](const pplx::task<http_response>& answer) {
    try {
      const http_response response = answer.get();
      inbox->set_head(head_of(response));
      response.content_ready().then([inbox, complete](const pplx::task<http_response>& whole) {
        try {
          whole.get();
          complete->store(true);
          inbox->finish();
        } catch (...) {
          inbox->fail(describe_thrown(std::current_exception()));
        }
      });
    } catch (...) {
      inbox->fail(describe_thrown(std::current_exception()));
    }
  });
}

BodyInbox::State HttpExchange::wait_head(BodyInbox::Clock::time_point until, const std::stop_token& stop) {
  const BodyInbox::State state = inbox_->wait_head(until, stop, head_);
  if (state == BodyInbox::State::kReady && head_.content_encoding == "gzip") gzip_ = std::make_unique<GzipReader>();
  return state;
}

}  // namespace kubenatd::agent::api
