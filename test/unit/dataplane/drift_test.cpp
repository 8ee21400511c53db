#include "agent/dataplane/drift.h"

#include <catch2/catch.hpp>
#include <string>

namespace kubenatd::agent::dataplane {
namespace {

using namespace std::chrono_literals;

constexpr Time kStart = Time{} + 1h;

rules::ObjectRef chain(const std::string& name) {
  return rules::chain_ref(rules::Family::kIpv4, "nat", name);
}

const rules::ObjectRef kServices = chain("KUBE-SERVICES");
const rules::ObjectRef kOther = chain("KUBE-MARK-MASQ");

void heal(Drift& drift, const rules::ObjectRef& object, int times, Time now) {
  for (int i = 0; i < times; ++i) drift.heal(object, now);
}

}  // namespace

TEST_CASE("what was never healed is free, and so are the first heals") {
  Drift drift;
  CHECK(drift.suspect(kServices, kStart));
  CHECK(drift.find(kServices, kStart));
  heal(drift, kServices, Drift::kFreeHeals, kStart);
  CHECK(drift.held_until(kServices) <= kStart);
  CHECK(drift.suspect(kServices, kStart));
  CHECK_FALSE(drift.due());
  CHECK(drift.take_report().disputes.empty());
}

TEST_CASE("each heal in a dispute doubles the delay, up to the longest, and is told while it grows") {
  Drift drift;
  Time now = kStart;
  heal(drift, kServices, Drift::kFreeHeals, now);
  (void)drift.take_report();
  const auto next = [&] {
    drift.heal(kServices, now);
    return drift.take_report().disputes;
  };
  for (Clock::duration delay = Drift::kFirstDelay; delay < Drift::kLongestDelay; delay *= 2) {
    const auto disputes = next();
    REQUIRE(disputes.size() == 1);
    CHECK(disputes[0].object == kServices);
    CHECK(disputes[0].delay == delay);
    CHECK(drift.held_until(kServices) == now + delay);
    now += delay;
  }
  CHECK(next().at(0).delay == Drift::kLongestDelay);
  now += Drift::kLongestDelay;
  CHECK(next().empty());
  CHECK(drift.held_until(kServices) == now + Drift::kLongestDelay);
}

TEST_CASE("only what is fought over is held; when its time has come it is given back once") {
  Drift drift;
  heal(drift, kServices, Drift::kFreeHeals + 1, kStart);
  CHECK_FALSE(drift.suspect(kServices, kStart));
  CHECK(drift.suspect(kOther, kStart));
  CHECK(drift.find(kOther, kStart));
  CHECK_FALSE(drift.find(kServices, kStart));
  CHECK(drift.due() == kStart + Drift::kFirstDelay);
  CHECK(drift.take_due(kStart).empty());
  CHECK(drift.take_due(kStart + Drift::kFirstDelay) == std::vector{kServices});
  CHECK_FALSE(drift.due());
  CHECK(drift.take_due(kStart + 1h).empty());
}

TEST_CASE("an object that is written for another reason is no longer held") {
  Drift drift;
  heal(drift, kServices, Drift::kFreeHeals + 1, kStart);
  CHECK_FALSE(drift.suspect(kServices, kStart));
  drift.heal(kServices, kStart);
  CHECK_FALSE(drift.due());
}

TEST_CASE("a dispute is over after a quiet time, also when nothing else happens") {
  Drift drift;
  heal(drift, kServices, Drift::kFreeHeals + 1, kStart);
  SECTION("long enough") {
    const Time later = kStart + Drift::kQuiet + Drift::kFirstDelay + 1ms;
    heal(drift, kServices, Drift::kFreeHeals, later);
    CHECK(drift.held_until(kServices) <= later);
  }
  SECTION("not long enough") {
    drift.heal(kServices, kStart + Drift::kQuiet);
    CHECK(drift.held_until(kServices) == kStart + Drift::kQuiet + 2 * Drift::kFirstDelay);
  }
  SECTION("the time in which it was held does not count as quiet") {
    Time now = kStart;
    while (drift.held_until(kServices) - now < Drift::kLongestDelay) {
      now = drift.held_until(kServices);
      drift.heal(kServices, now);
    }
    now = drift.held_until(kServices) + Drift::kQuiet - 1ms;
    drift.heal(kServices, now);
    CHECK(drift.held_until(kServices) == now + Drift::kLongestDelay);
  }
}

TEST_CASE("thousands of chains healed in a row stay free, each for itself") {
  Drift drift;
  for (int round = 0; round < Drift::kFreeHeals; ++round)
    for (int i = 0; i < 5000; ++i) {
      const auto object = chain("KUBE-SVC-" + std::to_string(i));
      drift.heal(object, kStart + std::chrono::seconds(round));
      REQUIRE(drift.suspect(object, kStart + std::chrono::seconds(round)));
    }
  drift.heal(chain("KUBE-SVC-7"), kStart + 6s);
  CHECK(drift.held_until(chain("KUBE-SVC-7")) == kStart + 6s + Drift::kFirstDelay);
  CHECK(drift.suspect(chain("KUBE-SVC-8"), kStart + 6s));
}

TEST_CASE("a report tells what was found and healed since the last one, and since when it was suspected") {
  Drift drift;
  CHECK(drift.suspect(kServices, kStart));
  CHECK(drift.suspect(kOther, kStart + 1s));
  CHECK(drift.find(kServices, kStart + 2s));
  drift.heal(kServices, kStart + 3s);
  Drift::Report report = drift.take_report();
  CHECK(report.found == std::vector{kServices});
  CHECK(report.healed == std::vector{kServices});
  CHECK(report.healed_since == kStart);
  drift.all_clear();

  SECTION("then nothing") {
    report = drift.take_report();
    CHECK(report.found.empty());
    CHECK(report.healed.empty());
    CHECK_FALSE(report.healed_since);
  }
  SECTION("what an audit finds was not suspected before") {
    CHECK(drift.find(kOther, kStart + 5s));
    drift.heal(kOther, kStart + 5s);
    report = drift.take_report();
    CHECK(report.healed == std::vector{kOther});
    CHECK_FALSE(report.healed_since);
  }
  SECTION("found by several looks is found once, and healing counts as finding") {
    CHECK(drift.find(kOther, kStart + 5s));
    CHECK(drift.find(kOther, kStart + 6s));
    drift.heal(kServices, kStart + 6s);
    report = drift.take_report();
    CHECK(report.found == std::vector{kOther, kServices});
    CHECK(report.healed == std::vector{kServices});
  }
  SECTION("after lost events everything is suspected, from then on") {
    drift.suspect_everything(kStart + 8s);
    CHECK(drift.suspect(kOther, kStart + 9s));
    drift.heal(kOther, kStart + 9s);
    CHECK(drift.take_report().healed_since == kStart + 8s);
  }
}

}  // namespace kubenatd::agent::dataplane
