#include "agent/dataplane/drift_backoff.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

namespace kubenatd::agent::dataplane {
namespace {

using namespace std::chrono_literals;

constexpr auto kStart = DriftBackoff::Time{} + 1h;

/// Heals as often as it may; the delay that the last one brought.
std::optional<DriftBackoff::Duration> heal(DriftBackoff& backoff, const std::string& chain, int times,
                                           DriftBackoff::Time now) {
  std::optional<DriftBackoff::Duration> delay;
  for (int i = 0; i < times; ++i) delay = backoff.healed(chain, now);
  return delay;
}

}  // namespace

TEST_CASE("the first heals of a chain are free") {
  DriftBackoff backoff;
  CHECK_FALSE(heal(backoff, "nat KUBE-SERVICES", DriftBackoff::kFreeHeals, kStart));
  CHECK(backoff.held_until("nat KUBE-SERVICES") <= kStart);
}

TEST_CASE("a chain that was never healed is free") {
  CHECK(DriftBackoff().held_until("nat KUBE-SERVICES") <= kStart);
}

TEST_CASE("each heal in a dispute doubles the delay, up to the longest") {
  DriftBackoff backoff;
  auto now = kStart;
  (void)heal(backoff, "a", DriftBackoff::kFreeHeals, now);
  for (auto delay = DriftBackoff::kFirstDelay; delay < DriftBackoff::kLongestDelay; delay *= 2) {
    CHECK(backoff.healed("a", now) == delay);
    CHECK(backoff.held_until("a") == now + delay);
    now = backoff.held_until("a");
  }
  CHECK(backoff.healed("a", now) == DriftBackoff::kLongestDelay);
  now = backoff.held_until("a");
  SECTION("and then it is not told again, but holds") {
    CHECK_FALSE(backoff.healed("a", now));
    CHECK(backoff.held_until("a") == now + DriftBackoff::kLongestDelay);
  }
}

TEST_CASE("chains are in dispute each for itself") {
  DriftBackoff backoff;
  CHECK(heal(backoff, "a", DriftBackoff::kFreeHeals + 1, kStart));
  CHECK_FALSE(backoff.healed("b", kStart));
  CHECK(backoff.held_until("b") <= kStart);
}

TEST_CASE("a dispute is over after a quiet time, also when nothing else happens") {
  DriftBackoff backoff;
  REQUIRE(heal(backoff, "a", DriftBackoff::kFreeHeals + 1, kStart));
  SECTION("long enough") {
    const auto later = kStart + DriftBackoff::kQuiet + DriftBackoff::kFirstDelay + 1ms;
    CHECK_FALSE(heal(backoff, "a", DriftBackoff::kFreeHeals, later));
    CHECK(backoff.held_until("a") <= later);
  }
  SECTION("not long enough") {
    CHECK(backoff.healed("a", kStart + DriftBackoff::kQuiet));
  }
  SECTION("the time in which it was held does not count as quiet") {
    auto now = kStart;
    while (backoff.held_until("a") - now < DriftBackoff::kLongestDelay) {
      now = backoff.held_until("a");
      (void)backoff.healed("a", now);
    }
    now = backoff.held_until("a") + DriftBackoff::kQuiet - 1ms;
    (void)backoff.healed("a", now);
    CHECK(backoff.held_until("a") == now + DriftBackoff::kLongestDelay);
  }
}

TEST_CASE("thousands of chains healed in a row stay free for each") {
  DriftBackoff backoff;
  for (int round = 0; round < DriftBackoff::kFreeHeals; ++round)
    for (int chain = 0; chain < 5000; ++chain)
      REQUIRE_FALSE(backoff.healed("nat KUBE-SVC-" + std::to_string(chain), kStart + std::chrono::seconds(round)));
  CHECK(backoff.healed("nat KUBE-SVC-7", kStart + 6s) == DriftBackoff::kFirstDelay);
}

}  // namespace kubenatd::agent::dataplane
