#include "agent/base/cpprest_internals.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace cpprest = kubenatd::agent::base::cpprest;
using web::http::experimental::listener::http_listener;

// What HttpTransport takes for granted of cpprestsdk and no header promises. When a test fails here after the library
// has changed, the transport does not do what it says.

namespace {

struct Log {
  std::vector<std::string> calls;
  cpprest::RequestContext* answered = nullptr;
  std::thread::id answered_on;
  web::http::status_code status = 0;
};

class Recorder final : public cpprest::Transport {
 public:
  explicit Recorder(Log& log) : log_(log) {}
  ~Recorder() override { log_.calls.emplace_back("destroyed"); }

  pplx::task<void> start() override { return note("start"); }
  pplx::task<void> stop() override { return note("stop"); }
  pplx::task<void> register_listener(cpprest::Listener* listener) override {
    return note("register " + listener->uri().path());
  }
  pplx::task<void> unregister_listener(cpprest::Listener* listener) override {
    return note("unregister " + listener->uri().path());
  }
  pplx::task<void> respond(web::http::http_response response) override {
    log_.answered = cpprest::context_of(response);
    log_.answered_on = std::this_thread::get_id();
    log_.status = response.status_code();
    return note("respond");
  }

 private:
  pplx::task<void> note(std::string call) {
    log_.calls.push_back(std::move(call));
    return pplx::task_from_result();
  }

  Log& log_;
};

/// Hands requests over as the transport does. The library gives a transport the listener's inside at registration.
class Handing final : public cpprest::Transport {
 public:
  pplx::task<void> start() override { return pplx::task_from_result(); }
  pplx::task<void> stop() override { return pplx::task_from_result(); }
  pplx::task<void> register_listener(cpprest::Listener* listener) override {
    listeners.push_back(listener);
    return pplx::task_from_result();
  }
  pplx::task<void> unregister_listener(cpprest::Listener*) override { return pplx::task_from_result(); }
  pplx::task<void> respond(web::http::http_response response) override {
    answered = cpprest::context_of(response);
    answered_on = std::this_thread::get_id();
    return pplx::task_from_result();
  }

  std::vector<cpprest::Listener*> listeners;
  cpprest::RequestContext* answered = nullptr;
  std::thread::id answered_on;
};

class Context final : public cpprest::RequestContext {
 public:
  explicit Context(bool& destroyed) : destroyed_(destroyed) {}
  ~Context() override { destroyed_ = true; }

 private:
  bool& destroyed_;
};

}  // namespace

TEST_CASE("cpprestsdk keeps a registered transport from its first listener to its last") {
  Log log;
  CHECK_FALSE(cpprest::has_transport());
  cpprest::register_transport(std::make_unique<Recorder>(log));
  CHECK(cpprest::has_transport());
  {
    http_listener one(web::uri("http://127.0.0.1:1/one"));
    http_listener two(web::uri("http://127.0.0.1:1/two"));
    one.open().wait();
    two.open().wait();
    Log other;
    CHECK_THROWS(cpprest::register_transport(std::make_unique<Recorder>(other)));
    CHECK(other.calls == std::vector<std::string>{"destroyed"});
    one.close().wait();
    CHECK(cpprest::has_transport());
    two.close().wait();
  }
  CHECK_FALSE(cpprest::has_transport());
  CHECK(log.calls == std::vector<std::string>{"start", "register /one", "register /two", "unregister /one",
                                              "unregister /two", "stop", "destroyed"});
}

TEST_CASE("cpprestsdk runs a handler and sends its answer before handle_request() returns, on the same thread") {
  auto owned = std::make_unique<Handing>();
  Handing& transport = *owned;
  cpprest::register_transport(std::move(owned));
  http_listener listener(web::uri("http://127.0.0.1:1/"));
  std::thread::id handled_on;
  std::string method;
  const auto handler = [&](const web::http::http_request& request) {
    handled_on = std::this_thread::get_id();
    method = request.method();
    (void)request.reply(web::http::http_response(204));
  };
  listener.support(handler);
  listener.support(web::http::methods::OPTIONS, handler);
  listener.support(web::http::methods::TRCE, handler);
  listener.open().wait();
  REQUIRE(transport.listeners.size() == 1);

  for (const char* wanted : {"GET", "OPTIONS", "TRACE", "ANYTHING"}) {
    handled_on = {};
    transport.answered = nullptr;
    transport.answered_on = {};
    bool destroyed = false;
    auto context = std::make_unique<Context>(destroyed);
    const cpprest::RequestContext* same = context.get();
    {
      auto request = cpprest::make_request(std::move(context));
      request.set_method(wanted);
      request.set_request_uri(web::uri("/page"));
      transport.listeners.front()->handle_request(request);
      CHECK(method == wanted);
      CHECK(handled_on == std::this_thread::get_id());
      CHECK(transport.answered_on == std::this_thread::get_id());
      CHECK(transport.answered == same);
    }
    CHECK(destroyed);
  }
  CHECK(cpprest::context_of(web::http::http_response(200)) == nullptr);
  listener.close().wait();
}
