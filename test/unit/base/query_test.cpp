#include "agent/base/query.h"

#include <catch2/catch.hpp>

using namespace kubenatd::agent::base;

TEST_CASE("what is encoded for a query is read again") {
  for (const std::string text : {"demo/web", "a b&c=d", "100%", "+", "\x01\xff", "10.0.0.1:80"}) {
    const auto read = parse_query("x=" + query_encoded(text) + "&&y");
    REQUIRE(read);
    REQUIRE(read->size() == 2);
    CHECK(read->at(0) == std::pair<std::string, std::string>("x", text));
    CHECK(read->at(1) == std::pair<std::string, std::string>("y", ""));
  }
  CHECK(parse_query("a+b=%41")->at(0) == std::pair<std::string, std::string>("a b", "A"));
  CHECK(parse_query("")->empty());
}

TEST_CASE("a broken escape is no query") {
  for (const char* text : {"a=%", "a=%4", "a=%zz", "%", "a=%4g", "a=% 1", "a=%-1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_query(text));
  }
}
