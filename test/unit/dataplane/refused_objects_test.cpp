#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "agent/dataplane/refused.h"

namespace kubenatd::agent::dataplane {
namespace {

using namespace std::chrono_literals;
using Objects = Refused<std::string>;

constexpr Time kStart = Time{} + 1h;

rules::Refusal refusal(int code = ENOENT, const std::string& expression = "match recent") {
  rules::Refusal refusal;
  refusal.operation = rules::Operation::kAddRule;
  refusal.code = code;
  refusal.expression = expression;
  return refusal;
}

std::vector<std::string> names_of(const Objects& objects) {
  std::vector<std::string> all;
  objects.for_each([&](const std::string& name, const rules::Refusal&) { all.push_back(name); });
  return all;
}

}  // namespace

TEST_CASE("what was refused is due after growing delays, up to the longest") {
  Objects objects;
  CHECK(objects.add("web", refusal(), kStart));
  Time now = kStart;
  for (Clock::duration delay = Objects::kFirstDelay; delay < Objects::kLongestDelay; delay *= 2) {
    CHECK(objects.due() == now + delay);
    CHECK(objects.take_due(now + delay - 1ms).empty());
    now += delay;
    CHECK(objects.take_due(now) == std::vector<std::string>{"web"});
    CHECK_FALSE(objects.add("web", refusal(), now));
  }
  CHECK(objects.due() == now + Objects::kLongestDelay);
}

TEST_CASE("what is on trial is not due again, and is still refused until it has succeeded") {
  Objects objects;
  CHECK(objects.add("web", refusal(), kStart));
  CHECK(objects.add("api", refusal(), kStart + 1h));
  CHECK(objects.take_due(kStart + 1s) == std::vector<std::string>{"web"});
  CHECK(objects.is_on_trial("web"));
  CHECK_FALSE(objects.is_on_trial("api"));
  CHECK(objects.take_due(kStart + 1s).empty());
  CHECK(objects.due() == kStart + 1h + Objects::kFirstDelay);
  CHECK(names_of(objects) == std::vector<std::string>{"api", "web"});
  CHECK(objects.succeeded() == std::vector<std::string>{"web"});
  CHECK(names_of(objects) == std::vector<std::string>{"api"});
  CHECK(objects.succeeded().empty());
}

TEST_CASE("a refusal is news when it is the first, or for another reason") {
  Objects objects;
  const auto try_again = [&](const rules::Refusal& why) {
    objects.hurry();
    (void)objects.take_due(kStart);
    return objects.add("web", why, kStart);
  };
  CHECK(objects.add("web", refusal(), kStart));
  CHECK_FALSE(try_again(refusal()));
  CHECK(try_again(refusal(EOPNOTSUPP)));
  CHECK(try_again(refusal(EOPNOTSUPP, "match nfacct")));
  CHECK_FALSE(try_again(refusal(EOPNOTSUPP, "match nfacct")));
}

TEST_CASE("several refusals in one transaction are one: the first counts, and the delay grows by one step") {
  Objects objects;
  CHECK(objects.add("web", refusal(), kStart));
  CHECK_FALSE(objects.add("web", refusal(EINVAL, "match nfacct"), kStart));
  CHECK_FALSE(objects.add("web", refusal(), kStart));
  CHECK(objects.due() == kStart + Objects::kFirstDelay);
  objects.for_each([](const std::string&, const rules::Refusal& why) { CHECK(why.code == ENOENT); });
  REQUIRE(objects.take_due(kStart + 1s).size() == 1);
  CHECK_FALSE(objects.add("web", refusal(), kStart + 1s));
  CHECK_FALSE(objects.add("web", refusal(), kStart + 1s));
  CHECK(objects.due() == kStart + 1s + 2 * Objects::kFirstDelay);
}

TEST_CASE("an audit makes all due; a change of the object forgets the refusal and its delay") {
  Objects objects;
  for (int i = 0; i < 6; ++i) {
    objects.hurry();
    (void)objects.take_due(kStart);
    (void)objects.add("web", refusal(), kStart);
  }
  (void)objects.add("api", refusal(), kStart);
  objects.hurry();
  CHECK(objects.take_due(kStart) == std::vector<std::string>{"api", "web"});
  (void)objects.add("web", refusal(), kStart);
  CHECK(objects.due() == kStart + 64 * Objects::kFirstDelay);

  objects.forget("web");
  CHECK(names_of(objects) == std::vector<std::string>{"api"});
  CHECK(objects.add("web", refusal(), kStart));
  CHECK(objects.due() == kStart + Objects::kFirstDelay);
  objects.forget("web");
  objects.forget("api");
  CHECK(objects.empty());
  CHECK_FALSE(objects.due());
}

}  // namespace kubenatd::agent::dataplane
