#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/documents/read.h"
#include "test/support/places.h"

/// The tables that test/oracle/documents made with sigs.k8s.io/yaml.
namespace kubenatd::agent::documents {
namespace {

using nlohmann::json;

struct Case {
  std::string in;
  json out;
  bool error = false;
};

std::vector<Case> table(const std::string& name) {
  std::ifstream file(kubenatd::test::project_file("test/unit/documents/") + name);
  std::vector<Case> cases;
  for (std::string line; std::getline(file, line);) {
    json one = json::parse(line);
    cases.push_back({one["in"], one.value("out", json()), one.value("error", false)});
  }
  REQUIRE(cases.size() > 1000);
  return cases;
}

/// JSON does not tell 80 from 80.0; Go writes both as 80.
json as_written(const json& value) {
  if (value.is_number_float()) {
    const auto number = value.get<double>();
    constexpr double kExact = 9007199254740992.0;
    if (number == static_cast<double>(static_cast<std::int64_t>(number)) && std::abs(number) < kExact)
      return static_cast<std::int64_t>(number);
    return value;
  }
  json copy = value;
  if (copy.is_structured())
    for (json& member : copy) member = as_written(member);
  return copy;
}

void compare(const std::string& name) {
  std::size_t differences = 0;
  for (const Case& one : table(name)) {
    std::vector<json> documents;
    const auto read = read_all(one.in, [&](json&& document) { documents.push_back(std::move(document)); });
    // A document of nothing is none here.
    const bool same = one.error           ? !read.has_value()
                      : !read             ? false
                      : documents.empty() ? one.out.is_null()
                                          : documents.size() == 1 && as_written(documents[0]) == as_written(one.out);
    if (same) continue;
    ++differences;
    constexpr std::size_t kShown = 20;
    if (differences > kShown) continue;
    UNSCOPED_INFO("in:   " << json(one.in).dump());
    UNSCOPED_INFO("go:   " << (one.error ? "error" : one.out.dump()));
    UNSCOPED_INFO("here: " << (!read ? read.error().to_string() : documents.empty() ? "nothing" : documents[0].dump()));
  }
  CHECK(differences == 0);
}

}  // namespace

TEST_CASE("scalars are read as Go reads them") {
  compare("go_scalars.jsonl");
}

TEST_CASE("documents are read as Go reads them") {
  compare("go_documents.jsonl");
}

}  // namespace kubenatd::agent::documents
