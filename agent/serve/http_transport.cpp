#include "agent/serve/http_transport.h"

#include <cpprest/details/http_server.h>
#include <cpprest/details/http_server_api.h>
#include <cpprest/http_listener.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <csignal>
#include <future>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "agent/serve/http_port.h"

namespace kubenatd::agent::serve {
namespace {

namespace asio = boost::asio;
using web::http::experimental::details::http_server_api;
using web::http::experimental::listener::http_listener;
using ListenerImpl = web::http::experimental::listener::details::http_listener_impl;

/// Its listener keeps the transport registered: cpprestsdk drops a transport when its last listener closes. The name
/// cannot be asked for: it has no socket.
constexpr const char* kAnchorUri = "http://transport.invalid/";

/// Threads started meanwhile leave all signals to the thread that waits for them.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

/// What the transport and cpprestsdk's registration of it share.
class HttpTransport::Core {
 public:
  explicit Core(HttpLimits limits) : limits_(limits), work_(asio::make_work_guard(io_)) {}
  ~Core() { stop(); }
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  void start() {
    thread_ = std::thread([this] { serve(); });
  }

  void stop() {
    if (!thread_.joinable()) return;
    work_.reset();
    io_.stop();
    thread_.join();
  }

  void provide(const std::string& uri, ListenSocket socket) {
    const std::scoped_lock lock(mutex_);
    offered_.insert_or_assign(uri, std::move(socket));
  }

  void open(ListenerImpl& listener) {
    const std::string uri = listener.uri().to_string();
    if (uri == kAnchorUri) return;
    const std::scoped_lock lock(mutex_);
    auto offered = offered_.extract(uri);
    if (offered.empty()) throw std::system_error(ENOTSOCK, std::generic_category(), "no socket provided for " + uri);
    auto port = std::make_shared<HttpPort>(io_, limits_, listener);
    if (const auto refused = port->adopt(std::move(offered.mapped())); refused)
      throw std::system_error(refused.value(), std::generic_category(), "adopt the socket of " + uri);
    ports_.emplace(&listener, port);
    asio::post(io_, [port] { port->accept(); });
  }

  /// Afterwards nothing of this listener runs any more.
  void close(ListenerImpl& listener) {
    std::shared_ptr<HttpPort> port;
    {
      const std::scoped_lock lock(mutex_);
      auto found = ports_.extract(&listener);
      if (found.empty()) return;
      port = std::move(found.mapped());
    }
    std::promise<void> closed;
    asio::post(io_, [&] {
      port->close();
      closed.set_value();
    });
    closed.get_future().wait();
  }

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

  HttpLimits limits_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::thread thread_;
  std::mutex mutex_;
  std::map<std::string, ListenSocket> offered_;
  std::map<ListenerImpl*, std::shared_ptr<HttpPort>> ports_;
};

/// What cpprestsdk sees.
class HttpTransport::Server final : public web::http::experimental::details::http_server {
 public:
  explicit Server(std::shared_ptr<Core> core) : core_(std::move(core)) {}

  pplx::task<void> start() override { return pplx::task_from_result(); }
  pplx::task<void> stop() override { return pplx::task_from_result(); }
  pplx::task<void> register_listener(ListenerImpl* listener) override {
    try {
      core_->open(*listener);
    } catch (...) {
      return pplx::task_from_exception<void>(std::current_exception());
    }
    return pplx::task_from_result();
  }
  pplx::task<void> unregister_listener(ListenerImpl* listener) override {
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
  const SignalsBlocked blocked;
  if (http_server_api::server_api() != nullptr) return rules::fail(kObject, "start", "there is one already", EBUSY);
  try {
    std::unique_ptr<HttpTransport> transport(new HttpTransport());
    transport->core_ = std::make_shared<Core>(limits);
    transport->core_->start();
    http_server_api::register_server_api(std::make_unique<Server>(transport->core_));
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

void HttpTransport::provide(const std::string& uri, ListenSocket socket) {
  core_->provide(uri, std::move(socket));
}

}  // namespace kubenatd::agent::serve
