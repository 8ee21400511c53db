#include "agent/api/gzip_reader.h"

#include <catch2/catch.hpp>
#include <string>

namespace kubenatd::agent::api {
namespace {

/// An empty text in gzip, as gzip -n writes it.
const std::string kEmpty("\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20);

}  // namespace

TEST_CASE("A packed body: nothing may follow its end, also where the end brings no text") {
  GzipReader whole;
  whole.feed(kEmpty);
  CHECK(whole.next() == "");
  CHECK(whole.complete());

  const std::string more = kEmpty + "x";
  GzipReader at_once;
  at_once.feed(more);
  CHECK_FALSE(at_once.next());

  GzipReader later;
  later.feed(kEmpty);
  REQUIRE(later.next() == "");
  later.feed("x");
  CHECK_FALSE(later.next());
}

}  // namespace kubenatd::agent::api
