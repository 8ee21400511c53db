#include "agent/config/duration.h"

#include <catch2/catch.hpp>

using namespace kubenatd::agent::config;
using namespace std::chrono_literals;

TEST_CASE("durations are read as Go writes them") {
  const auto [text, value] = GENERATE(table<std::string, Duration>({
      {"0", 0ns},
      {"-0", 0ns},
      {"0s", 0ns},
      {"5s", 5s},
      {"+5s", 5s},
      {"-1.5h", -90min},
      {"1h2m3.5s", 1h + 2min + 3500ms},
      {".5s", 500ms},
      {"1.s", 1s},
      {"100us", 100us},
      {"100\u00b5s", 100us},
      {"100\u03bcs", 100us},
      {"7ns", 7ns},
      {"1ms", 1ms},
      {"1.00000000000000000000000001s", 1s},
      {"2562047h47m16.854775807s", Duration::max()},
  }));
  CAPTURE(text);
  REQUIRE(parse_duration(text));
  CHECK(*parse_duration(text) == value);
}

TEST_CASE("what Go refuses as a duration is refused") {
  const std::string text = GENERATE("", "-", "5", "s", ".s", ".", "5 s", "5d", "1h2", "--1s", "1e3s", "5S", " 5s",
                                    "9223372036854775808ns", "2562048h", "99999999999999999999h", "2562047h48m");
  CAPTURE(text);
  CHECK_FALSE(parse_duration(text));
}

TEST_CASE("durations are written as Go writes them") {
  const auto [value, text] = GENERATE(table<Duration, std::string>({
      {0ns, "0s"},
      {1ns, "1ns"},
      {1100ns, "1.1\u00b5s"},
      {250ms, "250ms"},
      {1500ms, "1.5s"},
      {30s, "30s"},
      {15min, "15m0s"},
      {24h, "24h0m0s"},
      {-90s, "-1m30s"},
      {1h + 2min + 3500ms, "1h2m3.5s"},
      {Duration::min(), "-2562047h47m16.854775808s"},
  }));
  CHECK(to_text(value) == text);
}
