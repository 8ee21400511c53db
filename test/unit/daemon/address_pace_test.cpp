#include "agent/daemon/address_pace.h"

#include <catch2/catch.hpp>
#include <chrono>

namespace kubenatd::agent::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr AddressPace::Time at(milliseconds since) {
  return AddressPace::Time{} + since;
}
constexpr milliseconds kBegin{10'000};

TEST_CASE("What is local is not read before something has changed") {
  const AddressPace pace;
  CHECK_FALSE(pace.next());
  CHECK_FALSE(pace.is_due(at(kBegin)));
}

TEST_CASE("What is local is read at once after a change and once more a second later") {
  AddressPace pace;
  pace.changed(at(kBegin));
  CHECK(pace.is_due(at(kBegin)));
  pace.read(at(kBegin), at(kBegin + milliseconds(1)));
  CHECK_FALSE(pace.is_due(at(kBegin + milliseconds(999))));
  CHECK(pace.next() == at(kBegin + seconds(1)));
  CHECK(pace.is_due(at(kBegin + seconds(1))));
  pace.read(at(kBegin + seconds(1)), at(kBegin + seconds(1)));
  CHECK_FALSE(pace.next());
}

TEST_CASE("A storm of address changes takes a tenth of the time at most") {
  AddressPace pace;
  milliseconds now = kBegin, reading{0};
  const milliseconds took{20}, length{10'000};
  while (now < kBegin + length) {
    pace.changed(at(now));
    if (pace.is_due(at(now))) {
      pace.read(at(now), at(now + took));
      now += took;
      reading += took;
    } else {
      now += milliseconds(1);
    }
  }
  CHECK(reading >= length / 11);
  CHECK(reading <= length / 9);
}

TEST_CASE("The last change of a storm is read after it has settled") {
  AddressPace pace;
  milliseconds last = kBegin;
  for (int i = 0; i < 100; ++i, last += milliseconds(7)) {
    pace.changed(at(last));
    if (pace.is_due(at(last))) pace.read(at(last), at(last + milliseconds(2)));
  }
  last -= milliseconds(7);
  // Whatever is read until then, it is read once more a second after the last change, and then never again.
  milliseconds now = last;
  milliseconds latest{0};
  while (pace.next()) {
    now = std::chrono::duration_cast<milliseconds>(*pace.next() - AddressPace::Time{});
    REQUIRE(now <= last + seconds(2));
    latest = now;
    pace.read(at(now), at(now + milliseconds(2)));
  }
  CHECK(latest >= last + seconds(1));
}

}  // namespace
}  // namespace kubenatd::agent::daemon
