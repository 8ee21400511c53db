#include "agent/objects/shared.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

using namespace kubenatd::agent::objects;
using Text = Shared<std::string>;

TEST_CASE("shared values are compared by what they hold") {
  CHECK(Text("a") == Text("a"));
  CHECK_FALSE(Text("a") == Text("b"));
  CHECK(Text() == Text(""));
  CHECK(Text()->empty());
  CHECK(*Text("a") == "a");
}

TEST_CASE("values that are alike are held once") {
  SharedPool<std::string> pool;
  Text one("node-1"), other("node-1"), third("node-2"), none;
  for (Text* text : {&one, &other, &third, &none}) pool.share(*text);
  CHECK(&*one == &*other);
  CHECK(&*one != &*third);
  CHECK(*third == "node-2");
  CHECK(none->empty());
  CHECK(pool.size() == 2);
}

TEST_CASE("what nobody holds any more is forgotten, and what somebody holds stays one") {
  SharedPool<std::string> pool;
  std::vector<Text> held;
  for (int i = 0; i < 100; ++i) pool.share(held.emplace_back("held " + std::to_string(i)));
  for (int i = 0; i < 100'000; ++i) {
    Text passing("passing " + std::to_string(i));
    pool.share(passing);
    REQUIRE(pool.size() <= 500);
  }
  Text again("held 50");
  pool.share(again);
  CHECK(&*again == &*held[50]);
}
