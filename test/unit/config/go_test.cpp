#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/config.h"
#include "agent/config/config_json.h"
#include "test/support/places.h"

/// The table that test/oracle/config made with kube-proxy's packages.
namespace kubenatd::agent::config {
namespace {

using nlohmann::json;

struct Case {
  std::string in;
  json out;           ///< null: refused
  std::string error;  ///< why
};

struct Table {
  json defaults;
  std::vector<Case> cases;
};

Table read_table() {
  std::ifstream file(kubenatd::test::project_file("test/unit/config/go_configs.jsonl"));
  Table table;
  std::string line;
  REQUIRE(std::getline(file, line));
  table.defaults = json::parse(line).at("defaults");
  while (std::getline(file, line)) {
    const json one = json::parse(line);
    const std::string error = one.value("error", "");
    json out;
    if (error.empty()) {
      out = table.defaults;
      // Only what differs stands in the table; a list or a null is a value of its own.
      const auto merge = [](const auto& self, json& into, const json& from) -> void {
        for (const auto& [key, value] : from.items()) {
          if (value.is_object() && into.contains(key) && into[key].is_object()) {
            self(self, into[key], value);
          } else {
            into[key] = value;
          }
        }
      };
      merge(merge, out, one.value("out", json::object()));
    }
    table.cases.push_back({one.at("in"), std::move(out), error});
  }
  REQUIRE(table.cases.size() > 2500);
  return table;
}

/// kube-proxy's numbers are float32 where there is a fraction.
bool same(const json& left, const json& right) {
  if (left.is_number() && right.is_number())
    return static_cast<float>(left.get<double>()) == static_cast<float>(right.get<double>());
  if (left.is_object() && right.is_object()) {
    for (const auto& [key, value] : left.items())
      if (!right.contains(key) || !same(value, right.at(key))) return false;
    return left.size() == right.size();
  }
  return left == right;
}

std::string difference(const json& ours, const json& theirs) {
  std::string text;
  for (const json& step : json::diff(theirs, ours)) text += step.dump() + " ";
  return text;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// What is read otherwise on purpose; agent/config/README.md lists it.
bool on_purpose(const Case& one, const rules::Result<LoadedConfig>& here) {
  const std::string error = here ? "" : here.error().cause;
  if (!one.out.is_null() && one.out.at("mode") == "ipvs") return has(error, "kubenatd has no ipvs");
  // Kubernetes 1.37 takes it.
  if (has(one.error, "can't use both 'primary' and CIDRs")) return true;
  // kube-proxy reads the first document alone; here a second one may hold settings, and the first may be empty.
  if (has(one.in, "---\n---\n") || has(one.in, "---\nkind: X\n---\n")) return here.has_value();
  if (one.in.find("\n---\n", 1) != std::string::npos) return has(error, "line ") || has(error, "KubenatdConfiguration");
  // One reader for JSON and YAML: whole numbers may be written as 14.0, and what follows an object is left out.
  if (one.in.starts_with('{')) return here.has_value();
  // Of a doubled key the value that does not count is looked at, too.
  return has(error, "is no number of JSON");
}

}  // namespace

TEST_CASE("configurations are read as kube-proxy reads them") {
  const Table table = read_table();
  std::size_t differences = 0;
  std::size_t accepted = 0;
  for (const Case& one : table.cases) {
    const auto here = parse_config(one.in, "f");
    json out;
    if (here) out = json::parse(to_json(here->config));
    if (here.has_value() == !one.out.is_null() && (!here || same(out, one.out))) {
      accepted += here ? 1 : 0;
      continue;
    }
    if (on_purpose(one, here)) continue;
    ++differences;
    constexpr std::size_t kShown = 20;
    if (differences > kShown) continue;
    UNSCOPED_INFO("in:   " << json(one.in).dump());
    UNSCOPED_INFO("go:   " << (one.out.is_null() ? one.error : "accepted"));
    UNSCOPED_INFO("here: " << (!here ? here.error().cause : one.out.is_null() ? "accepted" : difference(out, one.out)));
  }
  CHECK(differences == 0);
  CHECK(accepted > 800);
}

}  // namespace kubenatd::agent::config
