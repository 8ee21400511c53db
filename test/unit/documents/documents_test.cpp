#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/documents/read.h"

using nlohmann::json;

namespace kubenatd::agent::documents {
namespace {

struct Read {
  std::vector<json> documents;
  std::vector<BadDocument> bad;
  std::vector<std::string> remarks;
  std::string error;  ///< of the first bad one
};

Read read(std::string_view text) {
  Read result;
  read_documents(text, {.document = [&](json&& one) { result.documents.push_back(std::move(one)); },
                        .bad = [&](BadDocument&& one) { result.bad.push_back(std::move(one)); },
                        .remark = [&](std::string&& line) { result.remarks.push_back(std::move(line)); }});
  if (!result.bad.empty()) result.error = result.bad[0].error.to_string();
  return result;
}

json value_of(const std::string& scalar) {
  const Read result = read("v: " + scalar + "\n");
  INFO(scalar << " gave " << result.error);
  REQUIRE(result.documents.size() == 1);
  return result.documents[0]["v"];
}

}  // namespace

TEST_CASE("YAML scalars mean what Kubernetes' reader takes them for") {
  CHECK(value_of("80") == json(80));
  CHECK(value_of("-7") == json(-7));
  CHECK(value_of("0x1F") == json(31));
  CHECK(value_of("0o17") == json(15));
  CHECK(value_of("010") == json(8));
  CHECK(value_of("080") == json(80.0));  // no octal number: the float of the same digits
  CHECK(value_of("1_000") == json(1000));
  CHECK(value_of("1.5e3") == json(1500.0));
  CHECK(value_of("18446744073709551616").is_number_float());
  CHECK(value_of("7e45123") == json("7e45123"));
  CHECK(value_of("0a1263") == json("0a1263"));
  CHECK(value_of("0c17") == json("0c17"));
  CHECK(value_of("yes") == json(true));
  CHECK(value_of("Off") == json(false));
  CHECK(value_of("y") == json(true));
  CHECK(value_of("N") == json(false));
  CHECK(value_of("~") == json(nullptr));
  CHECK(value_of("").is_null());
  CHECK(value_of("10.96.0.1") == json("10.96.0.1"));
  CHECK(value_of("1:30") == json("1:30"));
  CHECK(value_of("e5") == json("e5"));
  CHECK(value_of("2024-05-01T00:00:00Z") == json("2024-05-01T00:00:00Z"));
  CHECK(value_of("\"80\"") == json("80"));
  CHECK(value_of("'no'") == json("no"));
  CHECK(value_of("!!str 80") == json("80"));
  CHECK(value_of("!!int \"80\"") == json(80));
  CHECK(value_of("|\n  a\n  b") == json("a\nb\n"));
}

TEST_CASE("a stream of YAML documents is read one by one, and empty ones are nothing") {
  const Read result = read("# only a comment\n---\na: 1\n---\n---\nb: [1, {c: d}]\n...\n---\nnull\n");
  CHECK(result.error.empty());
  REQUIRE(result.documents.size() == 2);
  CHECK(result.documents[0] == json{{"a", 1}});
  CHECK(result.documents[1] == json::parse(R"({"b": [1, {"c": "d"}]})"));
  CHECK(read("").documents.empty());
}

TEST_CASE("anchors, aliases and merge keys are followed") {
  const Read result = read(
      "base: &base {a: 1, b: 2}\n"
      "list: &list [x, y]\n"
      "one: {<<: *base, b: 3}\n"
      "two:\n  b: 4\n  <<: [{c: 5, a: 6}, *base]\n"
      "again: *list\n");
  CHECK(result.error.empty());
  REQUIRE(result.documents.size() == 1);
  CHECK(result.documents[0]["one"] == json::parse(R"({"a":1,"b":3})"));
  CHECK(result.documents[0]["two"] == json::parse(R"({"a":6,"b":2,"c":5})"));  // in the order in which they stand
  CHECK(result.documents[0]["again"] == json::parse(R"(["x",true])"));
  CHECK_THAT(read("a: {<<: 5}\n").error, Catch::Contains("\"<<\" is not a map"));
  CHECK(read("\"<<\": {a: 1}\n").documents.at(0).contains("<<"));
}

TEST_CASE("an alias bomb ends early") {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 30; ++i) bomb += fmt::format("a{0}: &a{0} [*a{1},*a{1},*a{1},*a{1},*a{1},*a{1}]\n", i, i - 1);
  const Read result = read(bomb);
  CHECK(result.documents.empty());
  CHECK_THAT(result.error, Catch::Contains("line") && (Catch::Contains("expand") || Catch::Contains("anchors")));
  CHECK_THAT(read("a: &a [*a]\n").error, Catch::Contains("not complete"));
  // Depth adds up through aliases.
  std::string deep = "- &d0 [x]\n";
  for (int i = 1; i < 500; ++i) deep += fmt::format("- &d{} [*d{}]\n", i, i - 1);
  CHECK_THAT(read(deep).error, Catch::Contains("nested deeper"));
}

TEST_CASE("what cannot be read is told with its line") {
  CHECK_THAT(read("a: 1\nb: [1, 2\nc: 3\n").error, Catch::StartsWith("line 3"));
  CHECK_THAT(read("{\n \"a\": 1,\n]").error, Catch::StartsWith("line 3"));
  CHECK_THAT(read(std::string(500, '[') + std::string(500, ']')).error, Catch::Contains("nested deeper"));
  CHECK_THAT(read("a: " + std::string(500, '[') + std::string(500, ']')).error, Catch::Contains("nested deeper"));
  CHECK(read("a: " + std::string(300, '[') + std::string(300, ']')).error.empty());
  CHECK_FALSE(read(std::string(100'000, '[')).error.empty());
  CHECK_FALSE(read(std::string(100'000, '{')).error.empty());
  CHECK(read(std::string(5000, '-')).documents.size() == 1);
  CHECK_THAT(read("? [a]\n: b\n").error, Catch::Contains("a key is not a scalar"));
  CHECK_THAT(read("\"\xff\": 1").error, !Catch::Contains("\xff"));
  CHECK_THAT(read("a: 1\n---\n}\n").error, Catch::StartsWith("line 3"));
  CHECK_THAT(read("a: *b\n").error, Catch::Contains("there is no anchor \"b\""));
  CHECK_THAT(read("a: .nan\n").error, Catch::Contains("is no number of JSON"));
}

TEST_CASE("a document that cannot be read costs only itself") {
  const Read result = read("a: 1\n---\nkind: Deployment\nb: [\n---\nc: 3\n---  # more\n%BAD\n}\n--- \nd: 4\n");
  REQUIRE(result.documents.size() == 3);
  CHECK(result.documents[1] == json{{"c", 3}});
  CHECK(result.documents[2] == json{{"d", 4}});
  REQUIRE(result.bad.size() == 2);
  CHECK(result.bad[0].kind == "Deployment");
  CHECK_THAT(result.bad[0].error.to_string(), Catch::StartsWith("line 5"));
  CHECK_THAT(result.bad[1].error.to_string(), Catch::StartsWith("line 8"));
  // A byte order mark at the start of one; a line that only looks like a separator.
  CHECK(read("a: 1\n---\n\xef\xbb\xbf"
             "b: 2\n")
            .documents.size() == 2);
  CHECK(read("a: |\n  x\n  --- y\n").documents.size() == 1);
  // Broken JSON, and documents behind it.
  const Read mixed = read("{\"a\": 1}\n{\"b\": ]\n---\nc: 3\n");
  CHECK(mixed.documents.size() == 2);
  CHECK(mixed.bad.size() == 1);
}

TEST_CASE("of a key that comes twice the last one counts and that is told") {
  for (const char* text : {"a: 1\nb: {c: 1, c: 2}\na: 3\n", R"({"a": 1, "b": {"c": 1, "c": 2}, "a": 3})"}) {
    const Read result = read(text);
    CHECK(result.error.empty());
    REQUIRE(result.documents.size() == 1);
    CHECK(result.documents[0] == json::parse(R"({"a": 3, "b": {"c": 2}})"));
    CHECK(result.remarks.size() == 2);
    CHECK_THAT(result.remarks[0], Catch::Contains(": b.c is given twice"));
  }
  CHECK_THAT(read("# x\n---\na: 1\na: 2\n").remarks.at(0), Catch::Contains("line 3: a is given twice"));
}

TEST_CASE("UTF-16 is read with a byte order mark") {
  const auto utf16 = [](std::u16string_view text, bool little) {
    std::string bytes;
    for (const char16_t unit : text) {
      const char high = static_cast<char>(unit >> 8);
      const char low = static_cast<char>(unit & 0xff);
      bytes += little ? std::string{low, high} : std::string{high, low};
    }
    return bytes;
  };
  for (const bool little : {true, false}) {
    const Read yaml = read(utf16(u"\ufeffa: \u00e9\U0001F600\n", little));
    INFO(yaml.error);
    REQUIRE(yaml.documents.size() == 1);
    CHECK(yaml.documents[0]["a"] == "\u00e9\U0001F600");
    CHECK(read(utf16(u"\ufeff{\"a\": [1]}", little)).documents.at(0) == json::parse(R"({"a": [1]})"));
    CHECK_FALSE(read(utf16(u"\ufeffa: \xd800", little)).error.empty());
    CHECK_FALSE(read(utf16(u"\ufeffa: b", little) + "c").error.empty());
  }
}

TEST_CASE("a flow collection of any size does not fill the memory") {
  for (const std::string unit : {"[", "{a: ", "1, ", "{a, ", "a:, "}) {
    std::string text = "a: 1\n---\nb: [[";
    while (text.size() < 1U << 20) text += unit;
    const Read result = read(text);
    CHECK(result.documents.size() == 1);
    CHECK_FALSE(result.error.empty());
  }
  // A long scalar is none, nor is a long list in block style.
  CHECK(read("a: |\n  " + std::string(4U << 20, 'x') + "\n").error.empty());
  std::string list = "a:\n";
  while (list.size() < 1U << 20) list += "- {b: [1, 2]}\n";
  CHECK(read(list).documents.size() == 1);
}

TEST_CASE("lists are unfolded wherever their kind stands") {
  const std::string items = R"([{"kind":"Service","apiVersion":"v1","m":1},{"m":2}])";
  const std::string head = R"("apiVersion":"v1","kind":"ServiceList")";
  for (const std::string& text :
       {fmt::format(R"({{{},"items":{}}})", head, items), fmt::format(R"({{"items":{},{}}})", items, head)})
    for (const std::string prefix : {"", "# YAML\n"}) {
      const Read result = read(prefix + text);
      CHECK(result.error.empty());
      REQUIRE(result.documents.size() == 2);
      CHECK(result.documents[0]["m"] == 1);
      CHECK(result.documents[1]["kind"] == "Service");
      CHECK(result.documents[1]["apiVersion"] == "v1");
    }
  // In YAML, block and flow style, and an anchor on the list.
  for (const std::string text : {"items:\n- {m: 1}\n- m: 2\napiVersion: v1\nkind: ServiceList\n",
                                 "{items: [{m: 1}, {m: 2}], apiVersion: v1, kind: ServiceList}\n",
                                 "items: &i\n- {m: 1}\n- m: 2\napiVersion: v1\nkind: ServiceList\n",
                                 "kind: 'ServiceList'\napiVersion: \"v1\"\nitems:\n- {m: 1}\n- m: 2\n"}) {
    const Read result = read(text);
    INFO(text << result.error);
    REQUIRE(result.documents.size() == 2);
    CHECK(result.documents[1] == json::parse(R"({"m":2,"kind":"Service","apiVersion":"v1"})"));
  }
  // A plain List gives nothing to its elements; lists in lists are unfolded as well.
  const Read nested = read(
      "kind: List\napiVersion: v1\nitems:\n- {m: 1}\n"
      "- kind: PodList\n  apiVersion: v1\n  items:\n  - {m: 2}\n");
  REQUIRE(nested.documents.size() == 2);
  CHECK_FALSE(nested.documents[0].contains("kind"));
  CHECK(nested.documents[1]["kind"] == "Pod");
  // `items` of other kinds is only a field.
  CHECK(read("items:\n- a\n- b\nkind: Other\n").documents.size() == 1);
  CHECK(read("items:\n- a\n- b\n---\nkind: PodList\nitems: null\n").documents.size() == 1);
}

TEST_CASE("elements of a list leave before the list is read to its end") {
  // The error comes after the first element: had the list been built as a whole, nothing would have been handed out.
  const Read result = read("items:\n- {kind: Pod}\n- {kind: [}\nkind: List\n");
  CHECK_FALSE(result.error.empty());
  CHECK(result.documents.size() == 1);
}

TEST_CASE("JSON values may follow one another, also in a file called YAML") {
  const std::string text = "\xef\xbb\xbf{\"a\":1}\n{\"b\":2} {\"c\":3}\n";
  CHECK(read(text).documents.size() == 3);
  CHECK(read("{\"a\":1}\n---\n{\"b\":2}\n").documents.size() == 2);
}

}  // namespace kubenatd::agent::documents
