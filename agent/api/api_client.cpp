#include "agent/api/api_client.h"

#include <cpprest/http_client.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <pplx/threadpool.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "agent/api/dialler.h"
#include "agent/api/http_exchange.h"
#include "agent/api/request_stats.h"
#include "agent/api/tunnel.h"
#include "agent/api/url.h"

namespace kubenatd::agent::api {
namespace {

constexpr const char* kUserAgent = "kubenatd/" KUBENATD_VERSION;

/// The library's timer runs from one sign of life to the next. It is only the last resort that frees what a caller has
/// long given up; a watch may be silent for ten minutes.
constexpr std::chrono::minutes kLibraryTimeout{15};

/// A request that lasts as long as somebody watches.
bool is_watch(const std::string& target) {
  return target.contains("watch=1") || target.contains("watch=true");
}

using Socket = boost::asio::ip::tcp::socket;

/// Gives the library the socket that was dialled for it. The library calls take() with the socket that it will send a
/// request on; one that is open is used again.
class HandOver {
 public:
  explicit HandOver(Dialled dialled) : socket_(std::move(dialled.socket)), v6_(dialled.peer.family() == AF_INET6) {}

  void take(Socket& socket) {
    if (socket.is_open()) return;
    const std::scoped_lock lock(mutex_);
    if (!socket_) {
      used_ = true;
      throw web::http::http_exception("the connection is gone");
    }
    const int descriptor = ::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0);  // the library closes its own
    const int reason = errno;
    socket_ = base::Descriptor(-1);
    if (descriptor < 0) throw web::http::http_exception(reason, "duplicate a socket");
    boost::system::error_code code;
    socket.assign(v6_ ? boost::asio::ip::tcp::v6() : boost::asio::ip::tcp::v4(), descriptor, code);
    if (!code) return;
    ::close(descriptor);
    throw web::http::http_exception("cannot use the connection: " + code.message());
  }
  /// The library wanted another connection than the one that was dialled: that was closed while it was not in use.
  [[nodiscard]] bool used_up() const {
    const std::scoped_lock lock(mutex_);
    return used_;
  }

 private:
  mutable std::mutex mutex_;
  base::Descriptor socket_;
  const bool v6_;
  bool used_ = false;
};

/// The library hands the host to the resolver as it stands in the URI, which knows no brackets; and it takes what is
/// behind the last colon for the port.
web::uri library_uri(bool tls, const std::string& host, std::uint16_t port, const std::string& path) {
  return web::uri(fmt::format("{}://{}:{}{}", tls ? "https" : "http", host, port, path));
}

/// Requests without TLS are sent to an HTTP proxy itself; all other ways are tunnels.
bool asks_proxy(const ClusterAccess& access) {
  return access.proxy && access.proxy->kind == Proxy::Kind::kHttp && !access.server.tls;
}

web::http::client::http_client_config configure(const ClusterAccess& access, const SocketAddress& peer,
                                                const std::shared_ptr<const TlsMaterial>& tls,
                                                const std::shared_ptr<TlsFindings>& findings,
                                                const std::shared_ptr<HandOver>& hand_over) {
  web::http::client::http_client_config config;
  config.set_timeout(kLibraryTimeout);
  config.set_max_redirects(0);
  config.set_tlsext_sni_enabled(false);  // done by TlsMaterial, which knows about addresses and other names
  config.set_validate_certificates(!access.insecure);
  if (asks_proxy(access)) config.set_proxy(web::web_proxy(library_uri(false, peer.host(), access.proxy->port, {})));
  if (!access.server.tls) {
    config.set_nativehandle_options(
        [hand_over](web::http::client::native_handle handle) { hand_over->take(*static_cast<Socket*>(handle)); });
    return config;
  }
  TlsMaterial::Peer expected;
  expected.insecure = access.insecure;
  expected.name = access.tls_server_name.empty() ? access.server.host.substr(0, access.server.host.find('%'))
                                                 : access.tls_server_name;
  if (expected.name.ends_with('.')) expected.name.pop_back();  // of DNS, not of certificates
  expected.is_address = is_ipv4(expected.name) || is_ipv6(expected.name);
  config.set_ssl_context_callback([tls, expected, findings](boost::asio::ssl::context& context) {
    tls->install(context.native_handle(), expected, findings);
  });
  config.set_nativehandle_options([hand_over](web::http::client::native_handle handle) {
    hand_over->take(static_cast<boost::asio::ssl::stream<Socket&>*>(handle)->next_layer());
  });
  return config;
}

web::http::http_request make_request(const ClusterAccess& access, const std::string& method, const std::string& target,
                                     const std::string& accept, const std::string& authorization,
                                     const ApiWrite* write) {
  web::http::http_request request(method);
  request.set_request_uri(web::uri(target));
  request.headers().add("Host", access.server.authority());
  request.headers().add("Accept", accept);
  // As client-go has it: of a list of more than 128 kB a tenth is sent. The library leaves bodies as they are.
  request.headers().add("Accept-Encoding", "gzip");
  request.headers().add("User-Agent", kUserAgent);
  if (!authorization.empty()) request.headers().add("Authorization", authorization);
  if (asks_proxy(access) && access.proxy->user)
    request.headers().add("Proxy-Authorization", access.proxy->user->header());
  if (write != nullptr) request.set_body(write->body, write->content_type);
  return request;
}

}  // namespace

BodyInbox::State ApiExchange::next(BodyInbox::Clock::time_point until, const std::stop_token& stop,
                                   std::string_view& block) {
  using State = BodyInbox::State;
  if (!gzip_) return inbox_->next(until, stop, block);
  for (;;) {
    const auto piece = gzip_->next();
    if (!piece) break;
    if (!piece->empty()) {
      block = *piece;
      return State::kReady;
    }
    std::string_view packed;
    const State state = inbox_->next(until, stop, packed);
    if (state == State::kEnd && !gzip_->complete()) break;
    if (state != State::kReady) return state;
    gzip_->feed(packed);
  }
  failure_ = "the body is no gzip, or not all of it";
  return State::kFailed;
}

struct ApiClient::Connection {
  std::shared_ptr<const TlsMaterial> tls;
  std::shared_ptr<TlsFindings> findings = std::make_shared<TlsFindings>();
  std::shared_ptr<HandOver> hand_over;
  std::string peer;
  std::unique_ptr<web::http::client::http_client> client;
};

ApiClient::ApiClient(std::shared_ptr<Credentials> credentials, const ApiTiming& timing, std::string accept)
    : credentials_(std::move(credentials)), timing_(timing), accept_(std::move(accept)) {}
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

rules::Status ApiClient::connect(const std::shared_ptr<const TlsMaterial>& tls, BodyInbox::Clock::time_point until,
                                 const std::stop_token& stop) {
  const ClusterAccess& access = credentials_->access();
  connection_.reset();
  auto dialled = access.proxy ? dial(access.proxy->host, access.proxy->port, timing_, until, stop, bad_peer_)
                              : dial(access.server.host, access.server.port, timing_, until, stop, bad_peer_);
  if (!dialled && access.proxy)
    return rules::fail("by proxy " + access.proxy->to_string(), dialled.error().operation,
                       fmt::format("{} (the proxy is said by {})", dialled.error().cause, access.proxy->said_by),
                       dialled.error().code);
  if (!dialled) return std::unexpected(dialled.error());
  if (access.proxy && !asks_proxy(access))
    if (auto status = open_tunnel(dialled->socket.get(), *access.proxy, access.server, until, stop); !status)
      return status;
  connection_ = std::make_unique<Connection>();
  connection_->tls = tls;
  connection_->peer = dialled->peer.to_string();
  const SocketAddress peer = dialled->peer;
  connection_->hand_over = std::make_shared<HandOver>(std::move(*dialled));
  try {
    // The peer's address, so that the library has nothing to resolve; the proxy is told the name.
    const web::uri uri = asks_proxy(access)
                             ? web::uri("http://" + access.server.authority() + access.server.path)
                             : library_uri(access.server.tls, peer.host(), access.server.port, access.server.path);
    connection_->client = std::make_unique<web::http::client::http_client>(
        uri, configure(access, peer, tls, connection_->findings, connection_->hand_over));
  } catch (...) {
    connection_.reset();
    return rules::fail("HTTP library", "make a client", describe_thrown(std::current_exception()));
  }
  return {};
}

rules::Result<std::unique_ptr<ApiExchange>> ApiClient::request(const std::string& target, const ApiWrite* write,
                                                               BodyInbox::Clock::time_point until,
                                                               const std::stop_token& stop) {
  const std::string method = write == nullptr                           ? web::http::methods::GET
                             : write->method == ApiWrite::Method::kPost ? web::http::methods::POST
                                                                        : web::http::methods::PATCH;
  const auto begin = BodyInbox::Clock::now();
  auto exchange = try_request(method, target, write, until, stop);
  const std::shared_ptr<RequestStats>& stats = credentials_->access().stats;
  if (!stats) return exchange;
  stats->answered(method, exchange ? (*exchange)->head().status : 0);
  if (is_watch(target)) return exchange;
  if (exchange)
    (*exchange)->when_ended([stats, method, begin] { stats->took(method, BodyInbox::Clock::now() - begin); });
  else
    stats->took(method, BodyInbox::Clock::now() - begin);
  return exchange;
}

rules::Result<std::unique_ptr<ApiExchange>> ApiClient::try_request(const std::string& method, const std::string& target,
                                                                   const ApiWrite* write,
                                                                   BodyInbox::Clock::time_point until,
                                                                   const std::stop_token& stop) {
  const std::string object = "API server " + credentials_->access().server.to_string();
  Credentials::Current current = credentials_->current();
  if (!current.problem.empty()) problem_ = std::move(current.problem);
  // Connections made with an old certificate are not used any more.
  if (connection_ && connection_->tls != current.tls) connection_.reset();
  for (bool again = false;; again = true) {
    const bool fresh = !connection_;
    if (fresh)
      if (const auto status = connect(current.tls, until, stop); !status)
        return rules::fail(object, method, status.error().to_string(), status.error().code);
    auto exchange = std::make_unique<HttpExchange>();
    try {
      auto request = make_request(credentials_->access(), method, target, accept_, current.authorization, write);
      static_cast<void>(connection_->findings->take());  // of an earlier request
      exchange->start(*connection_->client, request);
    } catch (...) {
      return rules::fail(object, method, describe_thrown(std::current_exception()));
    }
    switch (exchange->wait_head(until, stop)) {
      case BodyInbox::State::kReady: return exchange;
      case BodyInbox::State::kStopped: return rules::fail(object, method, "stopped", ECANCELED);
      case BodyInbox::State::kTimeout:
        bad_peer_ = connection_->peer;
        connection_.reset();
        return rules::fail(object, method, "no answer in time from " + bad_peer_, ETIMEDOUT);
      default: break;
    }
    // A connection that the server closed while it was idle: the request was not read.
    if (!fresh && !again && connection_->hand_over->used_up()) {
      connection_.reset();
      continue;
    }
    std::string cause = connection_->findings->take();
    if (cause.empty()) cause = exchange->failure();
    bad_peer_ = connection_->peer;
    connection_.reset();
    return rules::fail(object, method, fmt::format("{} (connected to {})", cause, bad_peer_));
  }
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
