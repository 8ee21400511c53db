#include "agent/serve/health_state.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace kubenatd::agent::base;
using namespace kubenatd::agent::serve;
using kubenatd::rules::Family;
using namespace std::chrono_literals;

namespace {

/// A moment on 1 July 2025 at 10:00 plus `since`.
Moment at(std::chrono::nanoseconds since) {
  return {.steady = std::chrono::steady_clock::time_point(1000h + since),
          .wall = std::chrono::sys_time<std::chrono::nanoseconds>(1751364000s + since)};
}

}  // namespace

TEST_CASE("times are written as Go writes them") {
  CHECK(to_rfc3339(at(0s).wall) == "2025-07-01T10:00:00Z");
  CHECK(to_rfc3339(at(120ms).wall) == "2025-07-01T10:00:00.12Z");
  CHECK(to_rfc3339(at(1ns).wall) == "2025-07-01T10:00:00.000000001Z");
}

TEST_CASE("starting up is healthy, and the family list is left out") {
  const HealthState state(60s);
  const auto answer = state.livez(at(1s));
  CHECK(answer.good);
  CHECK(answer.body == R"({"lastUpdated":"2025-07-01T10:00:01Z","currentTime":"2025-07-01T10:00:01Z","healthy":true})");
}

TEST_CASE("an idle node stays healthy") {
  HealthState state(60s);
  state.updated(Family::kIpv4, at(0s));
  CHECK(state.healthy(at(24h)));
}

TEST_CASE("the oldest request that is unserved for the timeout makes a family unhealthy") {
  HealthState state(60s);
  state.updated(Family::kIpv4, at(0s));
  state.updated(Family::kIpv6, at(1s));
  state.queued(Family::kIpv6, at(10s));
  state.queued(Family::kIpv6, at(60s));
  CHECK(state.healthy(at(70s - 1ns)));
  CHECK_FALSE(state.healthy(at(70s)));

  const auto answer = state.healthz(at(70s));
  CHECK_FALSE(answer.good);
  CHECK(answer.body == R"({"lastUpdated":"2025-07-01T10:00:01Z","currentTime":"2025-07-01T10:01:10Z",)"
                       R"("nodeEligible":true,"healthy":false,"status":{)"
                       R"("IPv4":{"lastUpdated":"2025-07-01T10:00:00Z","healthy":true},)"
                       R"("IPv6":{"lastUpdated":"2025-07-01T10:00:01Z","healthy":false}}})");
  CHECK_FALSE(state.livez(at(70s)).good);

  state.updated(Family::kIpv6, at(71s));
  CHECK(state.healthy(at(72s)));
  state.queued(Family::kIpv6, at(80s));
  CHECK(state.healthy(at(139s)));
}

TEST_CASE("a request of a family whose loop has not started does not count") {
  HealthState state(60s);
  state.queued(Family::kIpv4, at(0s));
  CHECK(state.healthy(at(1h)));
}

TEST_CASE("what the kernel refuses is named in healthz, and makes nothing unhealthy") {
  HealthState state(60s);
  state.updated(Family::kIpv4, at(0s));
  const std::string before = state.healthz(at(5s)).body;
  state.refused({"demo/web:http", "say \"hi\"", "\xff"});
  const auto healthz = state.healthz(at(5s));
  CHECK(healthz.good);
  CHECK(healthz.body == R"({"lastUpdated":"2025-07-01T10:00:05Z","currentTime":"2025-07-01T10:00:05Z",)"
                        R"("nodeEligible":true,"healthy":true,)"
                        R"("status":{"IPv4":{"lastUpdated":"2025-07-01T10:00:00Z","healthy":true}},)"
                        "\"refused\":[\"demo/web:http\",\"say \\\"hi\\\"\",\"\xef\xbf\xbd\"]}");
  CHECK_THAT(state.livez(at(5s)).body, !Catch::Contains("refused"));

  std::vector<std::string> many;
  for (int i = 0; i < 11; ++i) many.push_back("demo/web-" + std::to_string(i));
  state.refused(many);
  CHECK_THAT(state.healthz(at(5s)).body, Catch::EndsWith(R"("demo/web-8","demo/web-9"]})"));

  state.refused({});
  CHECK(state.healthz(at(5s)).body == before);
}

TEST_CASE("a program that owns the table is named in healthz as long as it does") {
  HealthState state(60s);
  state.updated(Family::kIpv4, at(0s));
  const std::string before = state.healthz(at(5s)).body;
  state.held_by(Family::kIpv4, "kubenatd (4711)");
  state.held_by(Family::kIpv6, "kubenatd (4711)");
  CHECK(state.healthz(at(5s)).good);
  CHECK_THAT(state.healthz(at(5s)).body, Catch::EndsWith(",\"tableOwnedBy\":\"kubenatd (4711)\"}"));
  CHECK_THAT(state.livez(at(5s)).body, !Catch::Contains("tableOwnedBy"));
  state.held_by(Family::kIpv4, {});
  state.held_by(Family::kIpv6, {});
  CHECK(state.healthz(at(5s)).body == before);
  // What waits to be written makes it unhealthy in time.
  state.held_by(Family::kIpv4, "kubenatd (4711)");
  state.queued(Family::kIpv4, at(5s));
  CHECK_FALSE(state.healthz(at(65s)).good);
  CHECK_THAT(state.healthz(at(65s)).body, Catch::Contains("tableOwnedBy"));
}

TEST_CASE("a node that is to get no traffic fails healthz and not livez") {
  HealthState state(60s);
  state.updated(Family::kIpv4, at(0s));
  state.set_node_eligible(false);
  const auto healthz = state.healthz(at(5s));
  CHECK_FALSE(healthz.good);
  CHECK(healthz.body == R"({"lastUpdated":"2025-07-01T10:00:00Z","currentTime":"2025-07-01T10:00:05Z",)"
                        R"("nodeEligible":false,"healthy":true,)"
                        R"("status":{"IPv4":{"lastUpdated":"2025-07-01T10:00:00Z","healthy":true}}})");
  const auto livez = state.livez(at(5s));
  CHECK(livez.good);
  CHECK(livez.body == R"({"lastUpdated":"2025-07-01T10:00:05Z","currentTime":"2025-07-01T10:00:05Z","healthy":true,)"
                      R"("status":{"IPv4":{"lastUpdated":"2025-07-01T10:00:00Z","healthy":true}}})");
}
