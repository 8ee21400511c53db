#include "agent/serve/http_transport.h"

#include <cpprest/http_listener.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <future>
#include <map>
#include <system_error>
#include <thread>
#include <utility>

#include "agent/base/cpprest_internals.h"
#include "agent/base/signals_blocked.h"
#include "agent/base/thread_annotations.h"
#include "agent/serve/http_port.h"

namespace kubenatd::agent::serve {
namespace {

namespace asio = boost::asio;
namespace cpprest = base::cpprest;
using web::http::experimental::listener::http_listener;

/// Its listener keeps the transport registered: cpprestsdk drops a transport when its last listener closes. The name
/// cannot be asked for: it has no socket.
constexpr const char* kAnchorUri = "http://transport.invalid/";

constexpr std::size_t kLanes = 2;

HttpConnections::Bounds lane_bounds(const HttpLimits& limits) {
  constexpr std::size_t kFewest = 16;
  constexpr std::size_t kScrapers = 4;
  const std::size_t quarter = std::max(limits.lane_connections / 4, kFewest);
  return {.all = limits.lane_connections,
          .of_client = std::min(limits.client_connections, quarter),
          .bytes = limits.lane_bytes,
          .holders = kScrapers};
}

/// One thread, what waits for it, and the connections that it serves.
class Lane {
 public:
  explicit Lane(const HttpConnections::Bounds& bounds) : connections_(bounds), work_(asio::make_work_guard(io_)) {}
  ~Lane() { stop(); }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  void start() {
    thread_ = std::thread([this] { serve(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    work_.reset();
    io_.stop();
    thread_.join();
  }
  [[nodiscard]] asio::io_context& io() { return io_; }
  [[nodiscard]] HttpConnections& connections() { return connections_; }

 private:
  void serve() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception&) {
        // Out of memory for one connection is no reason to leave the others alone.
        continue;
      }
    }
  }

  HttpConnections connections_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
};

}  // namespace

/// What the transport and cpprestsdk's registration of it share.
class HttpTransport::Core {
 public:
  explicit Core(HttpLimits limits) : limits_(limits), lanes_{Lane(lane_bounds(limits)), Lane(lane_bounds(limits))} {}
  ~Core() = default;
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void start() {
    for (Lane& lane : lanes_) lane.start();
  }

  void provide(const std::string& uri, ListenSocket socket, HttpLane lane) KUBENATD_EXCLUDES(mutex_) {
    const base::MutexLock lock(mutex_);
    offered_.insert_or_assign(uri, Offer{std::move(socket), lane});
  }

  void open(cpprest::Listener& listener) KUBENATD_EXCLUDES(mutex_) {
    const std::string uri = listener.uri().to_string();
    if (uri == kAnchorUri) return;
    const base::MutexLock lock(mutex_);
    auto offered = offered_.extract(uri);
    if (offered.empty()) throw std::system_error(ENOTSOCK, std::generic_category(), "no socket provided for " + uri);
    Offer& offer = offered.mapped();
    Lane& lane = lanes_[static_cast<std::size_t>(offer.lane)];
    auto port = std::make_shared<HttpPort>(lane.io(), lane.connections(), limits_, listener);
    if (const auto refused = port->adopt(std::move(offer.socket)); refused)
      throw std::system_error(refused.value(), std::generic_category(), "adopt the socket of " + uri);
    ports_.emplace(&listener, port);
    asio::post(port->executor(), [port] { port->accept(); });
  }

  /// Afterwards nothing of this listener runs any more.
  void close(cpprest::Listener& listener) KUBENATD_EXCLUDES(mutex_) {
    std::shared_ptr<HttpPort> port;
    {
      const base::MutexLock lock(mutex_);
      auto found = ports_.extract(&listener);
      if (found.empty()) return;
      port = std::move(found.mapped());
    }
    std::promise<void> closed;
    asio::post(port->executor(), [&] {
      port->close();
      closed.set_value();
    });
    closed.get_future().wait();
  }

 private:
  struct Offer {
    ListenSocket socket;
    HttpLane lane;
  };

  const HttpLimits limits_;
  std::array<Lane, kLanes> lanes_;
  base::Mutex mutex_;
  std::map<std::string, Offer> offered_ KUBENATD_GUARDED_BY(mutex_);
  std::map<cpprest::Listener*, std::shared_ptr<HttpPort>> ports_ KUBENATD_GUARDED_BY(mutex_);
};

/// What cpprestsdk sees.
class HttpTransport::Server final : public cpprest::Transport {
 public:
  explicit Server(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  pplx::task<void> start() override { return pplx::task_from_result(); }
  pplx::task<void> stop() override { return pplx::task_from_result(); }
  pplx::task<void> register_listener(cpprest::Listener* listener) override {
    try {
      core_->open(*listener);
    } catch (...) {
      return pplx::task_from_exception<void>(std::current_exception());
    }
    return pplx::task_from_result();
  }
  pplx::task<void> unregister_listener(cpprest::Listener* listener) override {
    core_->close(*listener);
    return pplx::task_from_result();
  }
  pplx::task<void> respond(web::http::http_response response) override {
    HttpPort::respond(response);
    return pplx::task_from_result();
  }

 private:
  std::shared_ptr<Core> core_;
};

class HttpTransport::Anchor {
 public:
  void open() { listener_.open().wait(); }
  void close() { listener_.close().wait(); }

 private:
  http_listener listener_{web::uri(kAnchorUri)};
};

HttpTransport::HttpTransport() = default;

rules::Result<std::unique_ptr<HttpTransport>> HttpTransport::start(HttpLimits limits) {
  constexpr const char* kObject = "HTTP transport";
  const base::SignalsBlocked blocked;
  if (cpprest::has_transport()) return rules::fail(kObject, "start", "there is one already", EBUSY);
  try {
    std::unique_ptr<HttpTransport> transport(new HttpTransport());
    transport->core_ = std::make_shared<Core>(limits);
    transport->core_->start();
    cpprest::register_transport(std::make_unique<Server>(transport->core_));
    auto anchor = std::make_unique<Anchor>();
    anchor->open();
    transport->anchor_ = std::move(anchor);
    return transport;
  } catch (const std::system_error& problem) {
    return rules::fail(kObject, "start", problem.what(), problem.code().value());
  } catch (const std::exception& problem) {
    return rules::fail(kObject, "start", problem.what());
  }
}

HttpTransport::~HttpTransport() {
  if (!anchor_) return;
  try {
    anchor_->close();
  } catch (const std::exception&) {
    // The anchor has no socket; there is nothing that could be left open.
    return;
  }
}

void HttpTransport::provide(const std::string& uri, ListenSocket socket, HttpLane lane) {
  core_->provide(uri, std::move(socket), lane);
}

}  // namespace kubenatd::agent::serve
