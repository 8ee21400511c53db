#include "agent/api/api_client.h"

#include <cpprest/http_client.h>
#include <fmt/format.h>
#include <pplx/threadpool.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <mutex>
#include <utility>

#include "agent/base/cpprest_internals.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

using InboxStreamBase = base::cpprest::StreamBuffer<std::uint8_t>;
using web::http::http_response;

/// A block that the library offers is a chunk of the server's making.
constexpr std::size_t kLargestBlock = 256U << 20;

constexpr const char* kUserAgent = "kubenatd/" KUBENATD_VERSION;

/// The library's timer runs from one sign of life to the next. It is only the last resort that frees what a caller has
/// long given up; a watch may be silent for ten minutes.
constexpr std::chrono::minutes kLibraryTimeout{15};

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

std::string describe(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const web::http::http_exception& error) {
    std::string what = base::one_line(error.what(), 200);
    if (error.error_code()) what += fmt::format(" ({})", base::one_line(error.error_code().message(), 200));
    return what;
  } catch (const std::exception& error) {
    return base::one_line(error.what(), 200);
  } catch (...) {
    return "unknown error";
  }
}

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
  return head;
}

class Exchange : public ApiExchange {
 public:
  Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() override {
    inbox_->abandon();
    try {
      if (!complete_->load()) cancel_.cancel();
    } catch (const std::exception&) {
      // The library's callback closes a socket; if it cannot, its own timer will.
      return;
    }
  }

  void start(web::http::client::http_client& client, web::http::http_request& request) {
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
            inbox->fail(describe(std::current_exception()));
          }
        });
      } catch (...) {
        inbox->fail(describe(std::current_exception()));
      }
    });
  }
  BodyInbox::State wait_head(BodyInbox::Clock::time_point until, const std::stop_token& stop) {
    return inbox_->wait_head(until, stop, head_);
  }

 private:
  pplx::cancellation_token_source cancel_;
  std::shared_ptr<std::atomic<bool>> complete_ = std::make_shared<std::atomic<bool>>(false);
};

int descriptor_of(void* socket) {
  return static_cast<boost::asio::ip::tcp::socket*>(socket)->native_handle();
}

/// The library hands the host to the resolver as it stands in the URI, which knows no brackets; and it takes what is
/// behind the last colon for the port.
web::uri library_uri(const ServerUrl& url) {
  return web::uri(fmt::format("{}://{}:{}{}", url.tls ? "https" : "http", url.host, url.port, url.path));
}

web::http::client::http_client_config configure(const ClusterAccess& access,
                                                const std::shared_ptr<const TlsMaterial>& tls,
                                                const std::shared_ptr<TlsFindings>& findings) {
  web::http::client::http_client_config config;
  config.set_timeout(kLibraryTimeout);
  config.set_max_redirects(0);
  config.set_tlsext_sni_enabled(false);  // done by TlsMaterial, which knows about addresses and other names
  config.set_validate_certificates(!access.insecure);
  if (access.proxy) config.set_proxy(web::web_proxy(library_uri(*access.proxy)));
  if (!access.server.tls) return config;
  TlsMaterial::Peer peer;
  peer.insecure = access.insecure;
  peer.name = access.tls_server_name.empty() ? access.server.host : access.tls_server_name;
  peer.is_address = access.tls_server_name.empty() && access.server.host_is_address();
  config.set_ssl_context_callback([tls, peer, findings](boost::asio::ssl::context& context) {
    tls->install(context.native_handle(), peer, findings);
  });
  // Behind a proxy the library hands out the bare socket here.
  if (!access.proxy)
    config.set_nativehandle_options([](web::http::client::native_handle handle) {
      auto* stream = static_cast<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>*>(handle);
      TlsMaterial::attach_socket(stream->native_handle(), &stream->next_layer(), descriptor_of);
    });
  return config;
}

}  // namespace

struct ApiClient::Connection {
  std::shared_ptr<const TlsMaterial> tls;
  std::shared_ptr<TlsFindings> findings = std::make_shared<TlsFindings>();
  std::unique_ptr<web::http::client::http_client> client;
};

ApiClient::ApiClient(std::shared_ptr<Credentials> credentials) : credentials_(std::move(credentials)) {}
ApiClient::~ApiClient() = default;

rules::Result<std::unique_ptr<ApiExchange>> ApiClient::get(const std::string& target,
                                                           BodyInbox::Clock::time_point until,
                                                           const std::stop_token& stop) {
  return request(target, nullptr, until, stop);
}

rules::Result<std::unique_ptr<ApiExchange>> ApiClient::send(const std::string& target, const ApiWrite& write,
                                                            BodyInbox::Clock::time_point until,
                                                            const std::stop_token& stop) {
  return request(target, &write, until, stop);
}

rules::Result<std::unique_ptr<ApiExchange>> ApiClient::request(const std::string& target, const ApiWrite* write,
                                                               BodyInbox::Clock::time_point until,
                                                               const std::stop_token& stop) {
  const ClusterAccess& access = credentials_->access();
  const std::string object = "API server " + access.server.to_string();
  const std::string method = write == nullptr                           ? web::http::methods::GET
                             : write->method == ApiWrite::Method::kPost ? web::http::methods::POST
                                                                        : web::http::methods::PATCH;
  auto exchange = std::make_unique<Exchange>();
  try {
    Credentials::Current current = credentials_->current();
    if (!current.problem.empty()) problem_ = std::move(current.problem);
    // Connections made with an old certificate are not used any more.
    if (!connection_ || connection_->tls != current.tls) {
      connection_ = std::make_unique<Connection>();
      connection_->tls = current.tls;
      connection_->client = std::make_unique<web::http::client::http_client>(
          library_uri(access.server), configure(access, current.tls, connection_->findings));
    }
    web::http::http_request request(method);
    request.set_request_uri(web::uri(target));
    request.headers().add("Host", access.server.authority());
    request.headers().add("Accept", "application/json");
    request.headers().add("User-Agent", kUserAgent);
    if (!current.authorization.empty()) request.headers().add("Authorization", current.authorization);
    if (write != nullptr) request.set_body(write->body, write->content_type);
    static_cast<void>(connection_->findings->take());  // of an earlier request
    exchange->start(*connection_->client, request);
  } catch (...) {
    return rules::fail(object, method, describe(std::current_exception()));
  }
  switch (exchange->wait_head(until, stop)) {
    case BodyInbox::State::kReady: return exchange;
    case BodyInbox::State::kStopped: return rules::fail(object, method, "stopped", ECANCELED);
    case BodyInbox::State::kTimeout: return rules::fail(object, method, "no answer in time", ETIMEDOUT);
    default: break;
  }
  const std::string finding = connection_->findings->take();
  return rules::fail(object, method, finding.empty() ? exchange->failure() : finding);
}

void limit_http_threads() {
  static std::once_flag once;
  std::call_once(once, [] {
    constexpr std::size_t kThreads = 4;
    try {
      crossplat::threadpool::initialize_with_threads(kThreads);
    } catch (const std::exception&) {
      // Somebody else in this process was first; more threads do no harm.
      return;
    }
  });
}

}  // namespace kubenatd::agent::api
