#include "agent/serve/http_connections.h"

#include <boost/asio/ip/address.hpp>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace kubenatd::agent::serve;
using namespace std::chrono_literals;

namespace {

HttpClient client(const std::string& address) {
  return HttpClient(boost::asio::ip::make_address(address));
}

/// A connection that knows whether it was ended.
class One final : public HttpConnections::Member {
 public:
  One(HttpConnections& all, const std::string& address) : all_(all), place_(all.add(*this, client(address))) {}
  void abort() override {
    if (!place_) return;
    all_.remove(*place_);
    place_.reset();
  }
  void ask() { all_.note_request(place_.value()); }
  void hold(std::size_t bytes) { all_.hold(place_.value(), bytes); }
  [[nodiscard]] bool alive() const { return place_.has_value(); }

 private:
  HttpConnections& all_;
  std::optional<HttpConnections::Place> place_;
};

}  // namespace

TEST_CASE("whose a connection is") {
  CHECK(client("10.0.0.1") == client("::ffff:10.0.0.1"));
  CHECK(client("10.0.0.1") != client("10.0.0.2"));
  CHECK(client("2001:db8:0:1::1") == client("2001:db8:0:1:ffff::2"));
  CHECK(client("2001:db8:0:1::1") != client("2001:db8:0:2::1"));
  // The same bytes in both families.
  CHECK(client("10.0.0.1") != client("a00:1::"));
}

TEST_CASE("the client that has most makes room with the one that is silent longest") {
  HttpConnections all({.all = 4});
  One honest(all, "10.0.0.1");
  One first(all, "10.0.0.9");
  One second(all, "10.0.0.9");
  One third(all, "10.0.0.9");
  first.ask();
  One newcomer(all, "10.0.0.2");
  CHECK(honest.alive());
  CHECK(first.alive());
  CHECK_FALSE(second.alive());
  CHECK(third.alive());
  CHECK(newcomer.alive());
  CHECK(all.size() == 4);
}

TEST_CASE("among clients that have equally many the one that is silent longest makes room") {
  HttpConnections all({.all = 3});
  One first(all, "10.0.0.1");
  One second(all, "10.0.0.2");
  One third(all, "10.0.0.3");
  first.ask();
  One fourth(all, "10.0.0.4");
  CHECK(first.alive());
  CHECK_FALSE(second.alive());
  CHECK(third.alive());
}

TEST_CASE("a client has a bound of its own, and its next connection always gets in") {
  HttpConnections all({.all = 100, .of_client = 2});
  One other(all, "10.0.0.1");
  One first(all, "10.0.0.9");
  One second(all, "10.0.0.9");
  One third(all, "10.0.0.9");
  CHECK_FALSE(first.alive());
  CHECK(second.alive());
  CHECK(third.alive());
  CHECK(other.alive());
}

TEST_CASE("those who hold memory longest end when all hold too much, and never for themselves") {
  HttpConnections all({.bytes = 100});
  One first(all, "10.0.0.1");
  One second(all, "10.0.0.1");
  One third(all, "10.0.0.1");
  One without(all, "10.0.0.1");
  first.hold(40);
  second.hold(40);
  first.hold(0);
  first.hold(40);
  CHECK(second.alive());
  third.hold(40);
  CHECK(first.alive());
  CHECK_FALSE(second.alive());
  third.hold(1000);
  CHECK_FALSE(first.alive());
  CHECK(third.alive());
  CHECK(without.alive());
  third.hold(0);
  One fourth(all, "10.0.0.1");
  fourth.hold(100);
  CHECK(fourth.alive());
  CHECK(third.alive());
}

TEST_CASE("the newest few may hold more") {
  HttpConnections all({.bytes = 100, .holders = 2});
  One first(all, "10.0.0.1");
  One second(all, "10.0.0.1");
  One third(all, "10.0.0.1");
  first.hold(1000);
  second.hold(1000);
  CHECK(first.alive());
  third.hold(1000);
  CHECK_FALSE(first.alive());
  CHECK(second.alive());
  CHECK(third.alive());
}

TEST_CASE("a silent connection ends for want of descriptors") {
  HttpConnections all({});
  CHECK_FALSE(all.end_silent(0s));
  One one(all, "10.0.0.1");
  CHECK_FALSE(all.end_silent(1h));
  CHECK(one.alive());
  CHECK(all.end_silent(0s));
  CHECK_FALSE(one.alive());
}

TEST_CASE("random connections stay within the bounds") {
  std::mt19937 random(11);
  HttpConnections all({.all = 40, .of_client = 10, .bytes = 1000});
  std::vector<std::unique_ptr<One>> made;
  for (int step = 0; step < 20'000; ++step) {
    const auto address = "10.0.0." + std::to_string(random() % 8 + 1);
    if (made.size() < 200) made.push_back(std::make_unique<One>(all, address));
    std::size_t held = 0;
    for (const auto& one : made) held += one->alive() ? 1U : 0U;
    REQUIRE(held == all.size());
    REQUIRE(held <= 40);
    One& chosen = *made[random() % made.size()];
    if (chosen.alive()) {
      switch (random() % 4) {
        case 0: chosen.ask(); break;
        case 1: chosen.hold(random() % 300); break;
        case 2: chosen.hold(0); break;
        default: chosen.abort(); break;
      }
    }
    std::erase_if(made, [](const auto& one) { return !one->alive(); });
  }
  for (const auto& one : made) one->abort();
  CHECK(all.size() == 0);
}
