#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <protozero/pbf_writer.hpp>
#include <random>
#include <string>
#include <vector>

#include "agent/api/encoding.h"
#include "agent/api/json_stream.h"
#include "agent/api/protobuf_reader.h"
#include "agent/api/protobuf_stream.h"
#include "agent/base/base64.h"
#include "agent/objects/decode.h"
#include "test/support/places.h"
#include "test/unit/api/protobuf_writer.h"

namespace kubenatd::agent::api {
namespace {

using nlohmann::json;

/// What Kubernetes writes of the same objects in both encodings; test/oracle/protobuf made it.
struct Row {
  objects::Kind kind = objects::Kind::kService;
  json object, list, events;
  std::string bytes;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = [] {
    std::vector<Row> rows;
    std::ifstream file(kubenatd::test::project_file("test/unit/api/go_protobuf.jsonl"));
    for (std::string line; std::getline(file, line);) {
      json said = json::parse(line);
      auto bytes = base::decode_base64(said["p"].get<std::string>());
      const auto kind = kubenatd::test::protobuf_kind(said["k"].get<std::string>());
      REQUIRE(bytes);
      REQUIRE(kind);
      rows.push_back(
          {*kind, said.value("o", json()), said.value("l", json()), said.value("w", json()), std::move(*bytes)});
    }
    REQUIRE(rows.size() > 200);
    return rows;
  }();
  return kRows;
}

/// Everything that is made of an object: itself, or why not, and what was left out.
void check_same(const json& from_json, const json& from_protobuf) {
  INFO(from_json.dump());
  INFO(from_protobuf.dump());
  const auto wanted = objects::decode_object(from_json, objects::Origin::kServer);
  const auto got = objects::decode_object(from_protobuf, objects::Origin::kServer);
  REQUIRE(wanted.has_value() == got.has_value());
  if (!wanted) {
    CHECK(got.error().to_string() == wanted.error().to_string());
    return;
  }
  CHECK(got->remarks == wanted->remarks);
  CHECK(got->passed_over == wanted->passed_over);
  REQUIRE(got->object.has_value() == wanted->object.has_value());
  CHECK((!got->object || *got->object == *wanted->object));
}

/// The text in pieces of any size.
class Pieces {
 public:
  Pieces(std::string_view text, unsigned seed, std::size_t most) : text_(text), random_(seed), most_(most) {}
  std::string_view operator()() {
    const std::size_t size = 1 + random_() % most_;
    const std::string_view piece = text_.substr(0, size);
    text_.remove_prefix(piece.size());
    return piece;
  }

 private:
  std::string_view text_;
  std::mt19937 random_;
  std::size_t most_;
};

std::string field(std::uint32_t number, std::string_view bytes) {
  std::string text;
  protozero::pbf_writer(text).add_bytes(number, bytes.data(), bytes.size());
  return text;
}

/// A list of Services in its envelope.
std::string service_list(const std::string& content, const std::string& kind = "ServiceList") {
  return std::string(kProtobufMagic) + field(1, field(1, "v1") + field(2, kind)) + field(2, content);
}

rules::Result<ListHead> read_services(std::string_view bytes, std::vector<json>& items, std::size_t piece = 1000) {
  Pieces pieces(bytes, 1, piece);
  const std::function<std::string_view()> next = [&] { return pieces(); };
  return read_protobuf_list(objects::Kind::kService, "v1", next,
                            [&](json&& item) { items.push_back(std::move(item)); });
}

TEST_CASE("An object in protobuf is the object that its JSON is") {
  for (const Row& row : rows()) {
    if (row.object.is_null()) continue;
    const auto read = read_protobuf_object(row.bytes, row.kind);
    REQUIRE(read);
    check_same(row.object, *read);
  }
}

TEST_CASE("A list in protobuf has the items and the head of the JSON list in pieces of any size") {
  for (const Row& row : rows()) {
    if (row.list.is_null()) continue;
    for (const std::size_t most : {1U, 7U, 100U, 1'000'000U}) {
      std::vector<json> wanted, got;
      const std::string text = row.list.dump();
      Pieces text_pieces(text, 1, 1000), pieces(row.bytes, 2, most);
      const std::string kind(name_of(row.kind)), version = row.list["apiVersion"];
      const auto from_json = read_list(
          kind, version, [&] { return text_pieces(); }, [&](json&& item) { wanted.push_back(std::move(item)); });
      const std::function<std::string_view()> next = [&] { return pieces(); };
      const auto from_protobuf =
          read_protobuf_list(row.kind, version, next, [&](json&& item) { got.push_back(std::move(item)); });
      REQUIRE(from_json);
      REQUIRE(from_protobuf);
      CHECK(from_protobuf->resource_version == from_json->resource_version);
      CHECK(from_protobuf->continue_token == from_json->continue_token);
      REQUIRE(got.size() == wanted.size());
      for (std::size_t i = 0; i < got.size(); ++i) check_same(wanted[i], got[i]);
    }
  }
}

TEST_CASE("A watch in protobuf has the events of the JSON watch in pieces of any size") {
  for (const Row& row : rows()) {
    if (row.events.is_null()) continue;
    for (const std::size_t most : {1U, 5U, 1000U, 1'000'000U}) {
      FrameCutter cutter;
      std::vector<json> got;
      Pieces pieces(row.bytes, 3, most);
      for (std::string_view piece = pieces(); !piece.empty(); piece = pieces())
        REQUIRE(cutter.add(piece, [&](std::string_view frame) {
          auto event = read_protobuf_event(frame, row.kind);
          REQUIRE(event);
          got.push_back(std::move(*event));
          return true;
        }));
      CHECK_FALSE(cutter.partial());
      REQUIRE(got.size() == row.events.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        const json& wanted = row.events[i];
        CHECK(got[i]["type"] == wanted["type"]);
        if (wanted["type"] != "ERROR") {
          check_same(wanted["object"], got[i]["object"]);
          CHECK(got[i]["object"]["metadata"]["resourceVersion"] == wanted["object"]["metadata"]["resourceVersion"]);
          continue;
        }
        const json& status = got[i]["object"];
        for (const char* name : {"kind", "code", "reason", "message"}) CHECK(status[name] == wanted["object"][name]);
        CHECK(status["details"]["retryAfterSeconds"] == wanted["object"]["details"]["retryAfterSeconds"]);
      }
    }
  }
}

TEST_CASE("A list in protobuf that is cut or damaged anywhere is refused or has fewer items at its end") {
  const auto found = std::ranges::find_if(rows(), [](const Row& row) { return !row.list.is_null(); });
  REQUIRE(found != rows().end());
  std::vector<json> items;
  for (std::size_t size = 0; size < found->bytes.size(); ++size) {
    items.clear();
    const auto read = read_services(std::string_view(found->bytes).substr(0, size), items);
    // Behind the content are two empty fields, which nobody needs.
    if (read) CHECK(items.size() == found->list["items"].size());
  }
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = found->bytes;
    for (int n = 1 + static_cast<int>(random() % 3); n > 0; --n)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    items.clear();
    (void)read_services(bytes, items);  // it ends, and reads nothing that is not there
  }
}

TEST_CASE("What is no protobuf list of the kind is refused with a reason") {
  std::vector<json> items;
  const auto cause = [&](const std::string& bytes) {
    const auto read = read_services(bytes, items);
    REQUIRE_FALSE(read);
    return read.error().cause;
  };
  CHECK(cause("").contains("does not begin"));
  CHECK(cause("{\"kind\": \"ServiceList\"}").contains("does not begin"));
  CHECK(cause(service_list("", "PodList")) == "kind is \"PodList\", not ServiceList");
  CHECK(cause(std::string(kProtobufMagic) + field(2, "")) == "has no kind");
  CHECK(cause(std::string(kProtobufMagic) + field(1, field(2, "ServiceList"))) == "has no content");
  CHECK(cause(service_list("") + field(3, "gzip")) == "its content is encoded once more");
  // Lengths beyond all bounds.
  const std::string endless = std::string(kProtobufMagic) + field(1, field(2, "ServiceList"));
  CHECK(cause(endless + "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").contains("ends within a field"));
  CHECK(cause(service_list("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")).contains("ends within a field"));
  CHECK(cause(service_list(field(2, std::string(kLargestObject + 1, 'x')))).contains("an item of more than"));
  CHECK(items.empty());
  // An empty list is one.
  REQUIRE(read_services(service_list(field(1, field(2, "7"))), items));
  CHECK(items.empty());
}

TEST_CASE("A frame that is longer than an event can be ends the watch") {
  FrameCutter cutter;
  const std::function<bool(std::string_view)> none = [](std::string_view) { return true; };
  CHECK_FALSE(cutter.add(std::string("\x7f\xff\xff\xff", 4), none));
  FrameCutter slowly;
  CHECK(slowly.add(std::string("\x7f\xff", 2), none));
  CHECK(slowly.partial());
  CHECK_FALSE(slowly.add(std::string("\xff\xff", 2), none));
}

TEST_CASE("The encoding is chosen as client-go chooses it and told by the answer") {
  const std::string protobuf = "application/vnd.kubernetes.protobuf";
  CHECK(preferred_encoding("", protobuf) == Encoding::kProtobuf);
  CHECK(preferred_encoding("", "application/json") == Encoding::kJson);
  CHECK(preferred_encoding("application/json", protobuf) == Encoding::kJson);
  CHECK(preferred_encoding("application/cbor, " + protobuf + ";q=0.9,application/json", "") == Encoding::kProtobuf);
  CHECK(preferred_encoding("", "") == Encoding::kJson);
  CHECK(accept_header(Encoding::kProtobuf, objects::Kind::kService) == protobuf + ",application/json");
  CHECK(accept_header(Encoding::kProtobuf, objects::Kind::kHttpRoute) == "application/json");
  CHECK(accept_header(Encoding::kJson, objects::Kind::kService) == "application/json");
  CHECK(encoding_of("Application/vnd.Kubernetes.protobuf;stream=watch") == Encoding::kProtobuf);
  CHECK(encoding_of("application/json") == Encoding::kJson);
  CHECK(encoding_of("") == Encoding::kJson);
}

}  // namespace
}  // namespace kubenatd::agent::api
