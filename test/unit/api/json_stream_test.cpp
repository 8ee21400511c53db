#include "agent/api/json_stream.h"

#include <catch2/catch.hpp>

namespace kubenatd::test {
namespace {

using agent::api::LineCutter;
using agent::api::ListHead;
using nlohmann::json;

struct Read {
  rules::Result<ListHead> head;
  std::vector<json> items;
};

Read read(const std::string& text, std::size_t block_size) {
  std::size_t at = 0;
  std::vector<json> items;
  auto head = agent::api::read_list(
      "Service", "v1",
      [&]() -> std::string_view {
        const std::size_t size = std::min(block_size, text.size() - at);
        at += size;
        return std::string_view(text).substr(at - size, size);
      },
      [&](json&& item) { items.push_back(std::move(item)); });
  return {std::move(head), std::move(items)};
}

TEST_CASE("a list in blocks of any size, without managedFields") {
  const std::string text = R"({"kind":"ServiceList","apiVersion":"v1",
    "metadata":{"resourceVersion":"77","continue":"abc","x":{"resourceVersion":"no"}},
    "items":[{"metadata":{"name":"a","managedFields":[{"a":[1,{"b":2}]}],"labels":{"managedFields":"x","resourceVersion":"1"}}},
             {"kind":"Other","metadata":{"name":"b\u00e9","managedFields":null},"n":[1,-2,3.5,true,null]}]}
  )";
  for (std::size_t size = 1; size < text.size() + 2; size += size < 8 ? 1 : 37) {
    const Read got = read(text, size);
    INFO(size << (got.head ? "" : got.head.error().to_string()));
    REQUIRE(got.head);
    CHECK(got.head->resource_version == "77");
    CHECK(got.head->continue_token == "abc");
    REQUIRE(got.items.size() == 2);
    CHECK(got.items[0] == json::parse(R"({"kind":"Service","apiVersion":"v1",
      "metadata":{"name":"a","labels":{"managedFields":"x","resourceVersion":"1"}}})"));
    CHECK(got.items[1]["n"] == json::parse("[1,-2,3.5,true,null]"));
    CHECK(got.items[1]["metadata"]["name"] == "b\u00e9");
  }
}

TEST_CASE("a list that is cut anywhere is an error, never a shorter list") {
  const std::string text =
      R"({"kind":"ServiceList","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a"}}]})";
  for (std::size_t size = 0; size < text.size(); ++size) CHECK_FALSE(read(text.substr(0, size), 7).head);
  CHECK(read(text, 7).head);
  CHECK_FALSE(read(text + "x", 7).head);
}

TEST_CASE("an item beyond any size, and nesting beyond any depth") {
  std::string large = R"({"kind":"ServiceList","items":[{"a":"ok"},{"a":")" + std::string(5U << 20, 'x') + "\"}]}";
  const Read got = read(large, 65536);
  REQUIRE_FALSE(got.head);
  CHECK(got.head.error().to_string().find("after 1 items: an item of more than") != std::string::npos);
  const std::string deep = R"({"kind":"ServiceList","items":[)" + std::string(100'000, '[');
  CHECK(read(deep, 65536).head.error().cause.find("nested deeper") != std::string::npos);
  CHECK_FALSE(agent::api::read_value(std::string(100'000, '[')));
  // What is left out is not built, so its depth does not matter.
  CHECK_FALSE(agent::api::read_value(R"({"managedFields":)" + std::string(100'000, '[')));
}

TEST_CASE("many items of a usual size are not one large item") {
  std::string text = R"({"kind":"ServiceList","metadata":{"resourceVersion":"1"},"items":[)";
  const std::string item = R"({"a":")" + std::string(100'000, 'x') + "\"}";
  for (int i = 0; i < 100; ++i) text += (i == 0 ? "" : ",") + item;
  text += "]}";
  for (const std::size_t block : {4096UL, 1'000'000UL, 20'000'000UL}) {
    const Read got = read(text, block);
    CHECK(got.head);
    CHECK(got.items.size() == 100);
  }
}

TEST_CASE("lines across blocks") {
  LineCutter cutter;
  std::vector<std::string> lines;
  const auto add = [&](std::string_view block) {
    return cutter.add(block, [&](std::string_view line) {
      lines.emplace_back(line);
      return line != "stop";
    });
  };
  CHECK(add("a\nb"));
  CHECK(cutter.partial());
  CHECK(add("c\n\n"));
  CHECK_FALSE(cutter.partial());
  CHECK(add("stop\nnever\n"));
  CHECK(lines == std::vector<std::string>{"a", "bc", "stop"});
  LineCutter endless;
  bool fits = true;
  for (int i = 0; i < 100 && fits; ++i) fits = endless.add(std::string(65536, 'x'), [](auto) { return true; });
  CHECK_FALSE(fits);
}

}  // namespace
}  // namespace kubenatd::test
