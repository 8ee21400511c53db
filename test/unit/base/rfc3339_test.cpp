#include "agent/base/rfc3339.h"

#include <catch2/catch.hpp>

using namespace kubenatd::agent::base;
using namespace std::chrono_literals;

TEST_CASE("times as Kubernetes writes them") {
  const auto at = [](std::chrono::nanoseconds since) { return WallTime(since); };
  CHECK(parse_rfc3339("1970-01-01T00:00:00Z") == at(0s));
  CHECK(parse_rfc3339("2025-07-01T10:00:00Z") == at(1751364000s));
  CHECK(parse_rfc3339("2025-07-01T10:00:00.5Z") == at(1751364000500ms));
  CHECK(parse_rfc3339("2025-07-01T10:00:00.123456789Z") == at(1751364000123456789ns));
  CHECK(parse_rfc3339("2025-07-01T10:00:00.1234567899Z") == at(1751364000123456789ns));
  CHECK(parse_rfc3339("2025-07-01T12:30:00+02:30") == at(1751364000s));
  CHECK(parse_rfc3339("2025-07-01t08:00:00-02:00") == at(1751364000s));
  CHECK(parse_rfc3339("2024-02-29T00:00:00z"));
  for (const char* text : {"2025-07-01T10:00:00.5Z", "2025-07-01T10:00:00Z", "2261-12-31T23:59:59.999999999Z"})
    CHECK(to_rfc3339(parse_rfc3339(text).value()) == text);
}

TEST_CASE("what is no time, or one that cannot be held") {
  for (const char* text : {"",
                           "now",
                           "2025-07-01",
                           "2025-07-01T10:00:00",
                           "2025-07-01T10:00:00.Z",
                           "2025-07-01 10:00:00Z",
                           "2025-02-29T00:00:00Z",
                           "2025-13-01T00:00:00Z",
                           "2025-00-01T00:00:00Z",
                           "2025-07-01T24:00:00Z",
                           "2025-07-01T10:60:00Z",
                           "2025-07-01T10:00:61Z",
                           "2025-07-01T10:00:00Zx",
                           "2025-07-01T10:00:00+0200",
                           "2025-07-01T10:00:00+24:00",
                           "0001-01-01T00:00:00Z",
                           "1969-12-31T23:59:59Z",
                           "2262-01-01T00:00:00Z",
                           "99999-01-01T00:00:00Z",
                           "-025-07-01T10:00:00Z",
                           "2025-7-01T10:00:00Z",
                           "2025-07-01T10:00:00,5Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rfc3339(text));
  }
  CHECK_FALSE(parse_rfc3339("2025-07-01T10:00:00." + std::string(100'000, '9')));
}
