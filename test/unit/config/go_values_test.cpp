#include "agent/config/go_values.h"

#include <catch2/catch.hpp>

using namespace kubenatd::agent::config;

TEST_CASE("Go's integers with base 0") {
  const auto [text, value] = GENERATE(table<std::string, std::int64_t>({{"0", 0},
                                                                        {"-5", -5},
                                                                        {"+5", 5},
                                                                        {"0x10", 16},
                                                                        {"-0X1f", -31},
                                                                        {"0b101", 5},
                                                                        {"0o17", 15},
                                                                        {"017", 15},
                                                                        {"0_17", 15},
                                                                        {"1_000", 1000},
                                                                        {"0x_10", 16},
                                                                        {"00", 0},
                                                                        {"2147483647", 2147483647},
                                                                        {"-2147483648", -2147483648}}));
  CAPTURE(text);
  const auto read = parse_go_int(text, 32);
  REQUIRE(read);
  CHECK(*read == value);
}

TEST_CASE("what is no integer for Go") {
  const std::string text =
      GENERATE(as<std::string>(), "", "-", "+", " 1", "1 ", "08", "1__0", "_1", "1_", "0x", "0_x1", "1e3", "1.5", "a",
               "0b2", "--1", "+-1", "2147483648", "-2147483649", "99999999999999999999");
  CAPTURE(text);
  CHECK_FALSE(parse_go_int(text, 32));
}

TEST_CASE("the ends of 64 bits") {
  CHECK(parse_go_int("9223372036854775807", 64) == INT64_MAX);
  CHECK(parse_go_int("-9223372036854775808", 64) == INT64_MIN);
  CHECK_FALSE(parse_go_int("9223372036854775808", 64));
}

TEST_CASE("Go's floats are those of 32 bits as Go prints them") {
  CHECK(parse_go_float32("0.1") == 0.1);
  CHECK(parse_go_float32("16777217") == 16777216);
  CHECK(parse_go_float32("-0x1.8p-1") == -0.75);
  CHECK(parse_go_float32("1_0.5e1") == 105);
  CHECK(parse_go_float32("1e-60") == 0);
  for (const char* text : {"", ".", "1e", "0x1", "inf", "NaN", "1__0", "3.5e38", " 1", "+-1", "1e1.5", "1x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_go_float32(text));
  }
}

TEST_CASE("records of comma-separated values as Go reads them") {
  using Fields = std::vector<std::string>;
  const auto read = [](const char* text) { return parse_csv_record(text).value_or(Fields{"refused"}); };
  CHECK(read("").empty());
  CHECK(read("a,b") == Fields{"a", "b"});
  CHECK(read(",") == Fields{"", ""});
  CHECK(read(" a, b") == Fields{" a", " b"});
  CHECK(read("\"a,b\",c") == Fields{"a,b", "c"});
  CHECK(read("\"a\"\"b\"") == Fields{"a\"b"});
  CHECK(read("\"a\r\nb\",c") == Fields{"a\nb", "c"});
  CHECK(read("\n\na,b\nc") == Fields{"a", "b"});
  CHECK(read("a\r") == Fields{"a"});
  for (const char* text : {"a\"b", "\"a\"b", "\"", "\"a", "\n", "a,\"b"}) {
    CAPTURE(text);
    CHECK(read(text) == Fields{"refused"});
  }
}
