#include "agent/serve/http_server.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "test/unit/serve/http_client.h"

using namespace kubenatd::agent::config;
using namespace kubenatd::agent::serve;
using namespace kubenatd::test;
using namespace std::chrono_literals;

namespace {

std::unique_ptr<HttpTransport> start(HttpLimits limits = {}) {
  auto transport = HttpTransport::start(limits);
  REQUIRE(transport);
  return std::move(*transport);
}

std::unique_ptr<HttpServer> open(HttpTransport& transport, const BindAddress& address) {
  auto server = HttpServer::open(
      transport, address,
      by_path({{"/hello", [](const HttpRequest& request) { return plain_text("hello " + request.method); }},
               {"/throws", [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("no"); }},
               {"/large", [](const HttpRequest&) { return plain_text(std::string(16 << 20, 'x')); }}}));
  if (!server) FAIL(server.error().to_string());
  return std::move(*server);
}

BindAddress any(const char* address) {
  return {.address = *kubenatd::rules::Address::parse(address), .port = 0};
}

}  // namespace

TEST_CASE("a page, with its headers to the letter") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  const Reply reply = fetch("127.0.0.1", server->port(), "/hello?x=1");
  CHECK(reply.status == 200);
  CHECK(reply.body == "hello GET");
  CHECK(reply.headers.at("Content-Type") == "text/plain; charset=utf-8");
  CHECK(reply.headers.at("X-Content-Type-Options") == "nosniff");
  CHECK(reply.headers.at("Content-Length") == "9");
  CHECK(reply.headers.contains("Date"));
}

TEST_CASE("other paths are 404, other methods are answered, and a handler that throws is a 500") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  const Reply lost = fetch("127.0.0.1", server->port(), "/hello/");
  CHECK(lost.status == 404);
  CHECK(lost.body == "404 page not found\n");
  for (const char* method : {"POST", "DELETE", "OPTIONS", "TRACE", "PATCH"}) {
    const Reply reply = fetch("127.0.0.1", server->port(), "/hello", method);
    CHECK(reply.status == 200);
    CHECK(reply.body == std::string("hello ") + method);
  }
  const Reply head = fetch("127.0.0.1", server->port(), "/hello", "HEAD");
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  CHECK(head.headers.at("Content-Length") == "10");
  CHECK(fetch("127.0.0.1", server->port(), "/throws").status == 500);
  CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);
}

TEST_CASE("IPv6, and both families on an unspecified address") {
  if (!has_ipv6()) {
    std::cout << "SKIPPED: no IPv6 on the loopback interface\n";
    return;
  }
  const auto transport = start();
  CHECK(fetch("::1", open(*transport, loopback(true))->port(), "/hello").status == 200);
  for (const char* address : {"0.0.0.0", "::"}) {
    const auto server = open(*transport, any(address));
    CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);
    CHECK(fetch("::1", server->port(), "/hello").status == 200);
  }
  // An address of one family leaves the other's free.
  const auto one = open(*transport, loopback(true));
  CHECK_THROWS(fetch("127.0.0.1", one->port(), "/hello"));
}

TEST_CASE("an address that cannot be had is an error with its errno") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  BindAddress taken = loopback();
  taken.port = server->port();
  const auto second = HttpServer::open(*transport, taken, by_path({}));
  REQUIRE_FALSE(second);
  CHECK(second.error().code == EADDRINUSE);
  CHECK(second.error().object == "127.0.0.1:" + std::to_string(taken.port));
  const auto elsewhere = HttpServer::open(*transport, any("192.0.2.1"), by_path({}));
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().code == EADDRNOTAVAIL);
}

TEST_CASE("one transport at a time, and another after it") {
  {
    const auto transport = start();
    const auto second = HttpTransport::start();
    REQUIRE_FALSE(second);
    CHECK(second.error().code == EBUSY);
  }
  const auto transport = start();
  CHECK(fetch("127.0.0.1", open(*transport, loopback())->port(), "/hello").status == 200);
}

TEST_CASE("a closed server is gone, with its connections") {
  const auto transport = start();
  auto server = open(*transport, loopback());
  const std::uint16_t port = server->port();
  Connection idle("127.0.0.1", port);
  idle.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  idle.read_until("hello GET");
  server.reset();
  CHECK(idle.read_to_end().empty());
  CHECK_THROWS(fetch("127.0.0.1", port, "/hello"));
}

TEST_CASE("a connection serves several requests, also when they come at once or in pieces") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  Connection connection("127.0.0.1", server->port());
  const std::string request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 0; i < 3; ++i) {
    connection.send(request);
    CHECK(parse_reply(connection.read_until("hello GET")).status == 200);
  }
  for (const char byte : request) connection.send(std::string(1, byte));
  CHECK(parse_reply(connection.read_until("hello GET")).status == 200);
  connection.send(request + "GET /hello HTTP/1.0\r\n\r\n");
  const std::string both = connection.read_to_end();
  CHECK(both.find("HTTP/1.0 200 OK") != std::string::npos);
  CHECK(both.find("HTTP/1.1 200 OK") == 0);
}

TEST_CASE("garbage is refused and harms nobody else") {
  HttpLimits limits;
  limits.request = 300ms;
  const auto transport = start(limits);
  const auto server = open(*transport, loopback());
  const std::vector<std::pair<std::string, int>> cases = {
      {"\r\n\r\n\r\n\r\n", 400},
      {"nonsense\r\n\r\n", 400},
      {"GET /hello HTTP/9.9\r\n\r\n", 400},
      {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(64, '\0'), 400},
      {std::string(256, '\xff'), 400},
      {"GET /hello HTTP/1.1\r\nbad header line\r\n\r\n", 400},
      {"GET /a{b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /hello HTTP/1.1\r\nX: " + std::string(20'000, 'a') + "\r\n\r\n", 431},
      {"GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n", 431},
      {"POST /hello HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413},
      {"POST /hello HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n", 400},
  };
  for (const auto& [text, status] : cases) {
    CAPTURE(text.substr(0, 60));
    Connection connection("127.0.0.1", server->port());
    connection.send(text);
    const std::string answer = connection.read_to_end();
    CHECK(parse_reply(answer).status == status);
    CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);
  }
  // Nothing at all, half a request, and half a body: the connection ends without an answer.
  for (const char* text : {"", "GET /hel", "POST /hello HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf"}) {
    CAPTURE(text);
    Connection connection("127.0.0.1", server->port());
    connection.send(text);
    CHECK(connection.read_to_end().empty());
  }
}

TEST_CASE("clients that hold connections do not keep others out") {
  HttpLimits limits;
  limits.connections = 8;
  const auto transport = start(limits);
  const auto server = open(*transport, loopback());
  std::vector<Connection> silent;
  for (int i = 0; i < 40; ++i) {
    silent.emplace_back("127.0.0.1", server->port());
    silent.back().send("GET /hello HTTP/1.1\r\n");
  }
  CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);
  CHECK(silent.front().read_to_end().empty());
}

TEST_CASE("clients of one listener do not keep those of another out") {
  HttpLimits limits;
  limits.lane_connections = 8;
  const auto transport = start(limits);
  const auto held = open(*transport, loopback());
  const auto other = open(*transport, loopback());
  std::vector<Connection> silent;
  for (int i = 0; i < 40; ++i) {
    silent.emplace_back("127.0.0.1", held->port());
    silent.back().send("GET /hello HTTP/1.1\r\n");
  }
  CHECK(fetch("127.0.0.1", other->port(), "/hello").status == 200);
  CHECK(silent.front().read_to_end().empty());
  // One that asks stays while others are silent. All of these are accepted before it.
  CHECK(fetch("127.0.0.1", held->port(), "/hello").status == 200);
  Connection asking("127.0.0.1", other->port());
  for (int i = 0; i < 20; ++i) {
    asking.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(asking.read_until("hello GET").find("200 OK") != std::string::npos);
    silent.emplace_back("127.0.0.1", held->port());
    CHECK(fetch("127.0.0.1", held->port(), "/hello").status == 200);
  }
}

TEST_CASE("clients that read no answers end when all unsent ones are too much") {
  HttpLimits limits;
  limits.lane_bytes = 40 << 20;
  const auto transport = start(limits);
  const auto server = open(*transport, loopback());
  // Each answer is 16 MiB.
  std::vector<Connection> lazy;
  for (int i = 0; i < 5; ++i) {
    lazy.emplace_back("127.0.0.1", server->port());
    lazy.back().send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK(lazy.back().read_until("xxxx").starts_with("HTTP/1.1 200 OK"));
  }
  CHECK(lazy[0].read_to_end().size() < (16U << 20));
  // Several may read at once even if their pages are large.
  for (std::size_t i = 1; i < lazy.size(); ++i) CHECK(lazy[i].read_to_end().size() > (15U << 20));
}

TEST_CASE("the time between requests is not the time to send one") {
  HttpLimits limits;
  limits.request = 300ms;
  limits.next_request = 1h;
  const auto transport = start(limits);
  const auto server = open(*transport, loopback());
  Connection connection("127.0.0.1", server->port());
  connection.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  connection.read_until("hello GET");
  std::this_thread::sleep_for(600ms);  // longer than a request may take
  connection.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(parse_reply(connection.read_until("hello GET")).status == 200);
  connection.send("GET /hello HTTP/1.1\r\nHost:");
  CHECK(connection.read_to_end().empty());
}

TEST_CASE("a connection ends after its last request with an answer that says so") {
  HttpLimits limits;
  limits.requests = 3;
  const auto transport = start(limits);
  const auto server = open(*transport, loopback());
  Connection connection("127.0.0.1", server->port());
  const std::string request = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  for (int i = 0; i < 2; ++i) {
    connection.send(request);
    CHECK_FALSE(parse_reply(connection.read_until("hello GET")).headers.contains("Connection"));
  }
  connection.send(request);
  CHECK(parse_reply(connection.read_to_end()).headers.at("Connection") == "close");
}

TEST_CASE("all fields of a request count together in whatever pieces they come") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  const std::string fields = [] {
    std::string text;
    for (int i = 0; i < 1000; ++i) text += "a: b\r\n";
    return text;
  }();
  Connection good("127.0.0.1", server->port());
  good.send("GET /hello HTTP/1.1\r\n" + fields);
  good.send(fields + "Connection: close\r\n\r\n");
  CHECK(parse_reply(good.read_to_end()).status == 200);
  for (const bool trailers : {false, true}) {
    Connection bad("127.0.0.1", server->port());
    bad.send(trailers ? "GET /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
                      : "GET /hello HTTP/1.1\r\n");
    for (int i = 0; i < 4; ++i) bad.send(fields);
    CHECK(parse_reply(bad.read_to_end()).status == 431);
  }
  Connection chunks("127.0.0.1", server->port());
  chunks.send("GET /hello HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) chunks.send("1;x=" + std::string(1000, 'y') + "\r\nz\r\n");
  CHECK(parse_reply(chunks.read_to_end()).status == 431);
}

TEST_CASE("what a client still reads after its last request arrives") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  Connection connection("127.0.0.1", server->port());
  connection.send("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  ::shutdown(connection.fd(), SHUT_WR);
  CHECK(parse_reply(connection.read_to_end()).body.size() == (16U << 20));
}

TEST_CASE("a client that does not read its answer ends alone") {
  HttpLimits limits;
  limits.response = 300ms;
  const auto transport = start(limits);
  const auto server = open(*transport, loopback());
  Connection lazy("127.0.0.1", server->port());
  lazy.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);
  std::this_thread::sleep_for(600ms);
  CHECK(lazy.read_to_end().size() < (16U << 20));
  CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);
}

TEST_CASE("accepting goes on after the process ran out of descriptors") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  Connection first("127.0.0.1", server->port());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit tight = before;
  Connection second("127.0.0.1", server->port());
  Connection third("127.0.0.1", server->port());
  // The last one's descriptor is made before the limit, its other end after it.
  tight.rlim_cur = static_cast<rlim_t>(first.fd()) + 1;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  for (Connection* connection : {&first, &second, &third}) connection->send("GET /hello HTTP/1.0\r\n\r\n");
  std::this_thread::sleep_for(200ms);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  for (Connection* connection : {&first, &second, &third}) CHECK(parse_reply(connection->read_to_end()).status == 200);
}

TEST_CASE("silent connections make room when the process has no descriptor left") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  std::vector<Connection> silent;
  for (int i = 0; i < 4; ++i) silent.emplace_back("127.0.0.1", server->port());
  CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);  // all of them are accepted by now
  Connection late("127.0.0.1", server->port());
  CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);
  Connection last("127.0.0.1", server->port());
  CHECK(fetch("127.0.0.1", server->port(), "/hello").status == 200);
  // All below the highest descriptor are in use: one more for the client, none for the server.
  std::vector<int> fillers;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(last.fd()) + 8;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  for (int filler = ::dup(last.fd()); filler >= 0; filler = ::dup(last.fd())) fillers.push_back(filler);
  REQUIRE_FALSE(fillers.empty());
  ::close(fillers.back());
  fillers.pop_back();
  Connection asking("127.0.0.1", server->port());
  asking.send("GET /hello HTTP/1.0\r\n\r\n");
  CHECK(parse_reply(asking.read_to_end()).status == 200);
  for (const int filler : fillers) ::close(filler);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(silent.front().read_to_end().empty());
}

TEST_CASE("many at the same time") {
  const auto transport = start();
  const auto server = open(*transport, loopback());
  std::atomic<int> good = 0;
  std::vector<std::jthread> clients;
  for (int i = 0; i < 16; ++i)
    clients.emplace_back([&, port = server->port()] {
      for (int j = 0; j < 25; ++j)
        if (fetch("127.0.0.1", port, "/hello").status == 200) ++good;
    });
  clients.clear();
  CHECK(good == 16 * 25);
}
