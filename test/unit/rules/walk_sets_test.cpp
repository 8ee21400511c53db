#include <catch2/catch.hpp>

#include "rules/walk/sets.h"
#include "test/unit/rules/walk_builder.h"

namespace kubenatd::rules::walk::test {
namespace {

SetElement range(const Bytes& first, const Bytes& last) {
  SetElement element;
  element.first = first;
  element.last = last;
  return element;
}

std::string ask(const WalkSet& set, const Value& key, const Ruleset& ruleset = {}) {
  SetIndexes indexes;
  const LookUp found = indexes.find(ruleset, {}, set, key);
  switch (found.answer) {
    case Found::Answer::kThere: return found.element.comment.empty() ? "there" : found.element.comment;
    case Found::Answer::kAbsent: return "absent";
    case Found::Answer::kUnknown: return "?";
  }
  return "";
}

TEST_CASE("look-ups in sets: single elements and ranges and the rest") {
  WalkSet set;
  set.parts = {4};
  set.interval = true;
  for (int i = 0; i < 300; ++i)
    set.elements.push_back(range(Bytes(ip(fmt::format("10.{}.0.0", i % 150).c_str()).octets()),
                                 Bytes(ip(fmt::format("10.{}.255.255", i % 150).c_str()).octets())));
  set.elements.resize(150);
  set.elements.push_back(range(bytes_of("192.0.2.7"), bytes_of("192.0.2.7")));
  CHECK(ask(set, Value::of(bytes_of("10.0.0.0"))) == "there");
  CHECK(ask(set, Value::of(bytes_of("10.149.255.255"))) == "there");
  CHECK(ask(set, Value::of(bytes_of("10.150.0.0"))) == "absent");
  CHECK(ask(set, Value::of(bytes_of("192.0.2.7"))) == "there");
  CHECK(ask(set, Value::of(bytes_of("192.0.2.8"))) == "absent");
  CHECK(ask(set, Value::of(bytes_of("1.1.1.1"))) == "absent");
  Value partly = Value::of(bytes_of("10.3.0.0"));
  partly.known.data[2] = partly.known.data[3] = 0;
  CHECK(ask(set, partly) == "there");
  partly.known.data[1] = 0;
  partly.bits.data[1] = 0;
  CHECK(ask(set, partly) == "?");
  partly.bits.data[0] = 172;
  CHECK(ask(set, partly) == "absent");
  set.catch_all = SetElement{};
  set.catch_all->comment = "rest";
  CHECK(ask(set, partly) == "rest");
  CHECK(ask(set, Value::of(bytes_of("1.1.1.1"))) == "rest");
}

TEST_CASE("look-ups in sets: concatenations with a range in each part") {
  WalkSet set;
  set.parts = {4, 2};
  const auto key = [](const char* address, std::uint16_t port) {
    Bytes bytes = bytes_of(address);
    bytes.append(port_bytes(port));
    bytes.append(Bytes::filled(2, 0));
    return bytes;
  };
  set.elements.push_back(range(key("10.0.0.0", 80), key("10.0.0.255", 90)));
  set.elements.push_back(range(key("10.0.1.1", 443), key("10.0.1.1", 443)));
  CHECK(ask(set, Value::of(key("10.0.0.77", 85))) == "there");
  CHECK(ask(set, Value::of(key("10.0.0.77", 91))) == "absent");
  CHECK(ask(set, Value::of(key("10.0.1.1", 443))) == "there");
  CHECK(ask(set, Value::of(key("10.0.0.0", 443))) == "absent");
  Value any_port = Value::of(key("10.0.1.1", 0));
  any_port.known.data[4] = any_port.known.data[5] = 0;
  CHECK(ask(set, any_port) == "?");
}

TEST_CASE("look-ups in sets: the kernel is asked for what was not read") {
  WalkSet set;
  set.parts = {4};
  set.complete = false;
  CHECK(ask(set, Value::of(bytes_of("10.0.0.1"))) == "?");
  Ruleset ruleset;
  ruleset.look_up = [](const WalkTable&, const WalkSet&, const Bytes& key) {
    Found found;
    found.answer = key == bytes_of("10.0.0.1") ? Found::Answer::kThere : Found::Answer::kAbsent;
    return found;
  };
  CHECK(ask(set, Value::of(bytes_of("10.0.0.1")), ruleset) == "there");
  CHECK(ask(set, Value::of(bytes_of("10.0.0.2")), ruleset) == "absent");
  CHECK(ask(set, Value::unknown(4), ruleset) == "?");
}

TEST_CASE("look-ups in sets: an element with a limit in it may fit or not") {
  WalkSet set;
  set.parts = {4};
  set.elements.push_back(range(bytes_of("10.0.0.1"), bytes_of("10.0.0.1")));
  set.elements[0].conditional = true;
  CHECK(ask(set, Value::of(bytes_of("10.0.0.1"))) == "?");
  CHECK(ask(set, Value::of(bytes_of("10.0.0.2"))) == "absent");
}

}  // namespace
}  // namespace kubenatd::rules::walk::test
