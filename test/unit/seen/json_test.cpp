#include "agent/seen/json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "agent/seen/show.h"

using namespace kubenatd::agent::seen;

namespace {

Status sample() {
  Status status;
  status.schema = kStatusSchema;
  status.version = "1";
  status.node = "node-1";
  status.problems = {"one"};
  status.families.push_back({.family = "IPv4",
                             .last_sync = "2026-01-01T00:00:00Z",
                             .last_write = {},
                             .waiting_since = {},
                             .error = "",
                             .failing_since = {},
                             .syncs = 3,
                             .failed_syncs = 1,
                             .last_sync_seconds = 0.5,
                             .rules = {{"nat", 12}},
                             .drift_found = 4,
                             .drift_healed = 5,
                             .last_drift = {}});
  status.clashes = {{"IPv4", "10.0.0.1:80/tcp", {"a", "b"}, "a"}};
  status.sources = {{"services", true, 3, "", "", "2026-01-01T00:00:00Z"}};
  return status;
}

}  // namespace

TEST_CASE("a status is read as it was written") {
  const std::string text = to_json(sample());
  const auto read = read_status(text);
  REQUIRE(read);
  CHECK(to_json(*read) == text);
  CHECK(read->families.at(0).rules.at(0).rules == 12);
  CHECK(read->families.at(0).last_sync == "2026-01-01T00:00:00Z");
  CHECK_FALSE(read->families.at(0).last_write);
  const auto json = nlohmann::json::parse(text);
  CHECK(json.at("families").at(0).at("driftHealed") == 5);
  CHECK_FALSE(json.at("families").at(0).contains("lastWrite"));
}

TEST_CASE("Services are read as they were written") {
  ServicesPage page{.schema = kServicesSchema, .services = 7, .matching = 1, .offset = 2, .rows = {}};
  ServiceRow row;
  row.ns = "demo";
  row.endpoints = {{"IPv4", 1, 2}};
  row.new_connections = 1.5;
  row.detail = {{"http", "IPv4", {"10.0.0.1:80/tcp"}, {{"10.1.0.1:80", true, true, false, "all"}}, 3}};
  page.rows.push_back(row);
  const std::string text = to_json(page);
  const auto read = read_services(text);
  REQUIRE(read);
  CHECK(to_json(*read) == text);
}

TEST_CASE("fields that are unknown or missing do not matter and those of another kind do") {
  CHECK(read_status(R"({"schema":"kubenatd.status/v1","new":[1,{"x":2}],"node":"n"})")->node == "n");
  for (const char* text :
       {"", "{", "[]", "null", "3", "{}", R"({"schema":"kubenatd.status/v2"})", R"({"schema":7})",
        R"({"schema":"kubenatd.status/v1","problems":[1]})", R"({"schema":"kubenatd.status/v1","node":{}})",
        R"({"schema":"kubenatd.status/v1","families":[7]})", R"({"schema":"kubenatd.status/v1","ready":"yes"})",
        R"({"schema":"kubenatd.status/v1","objects":[]})"}) {
    CAPTURE(text);
    CHECK_FALSE(read_status(text));
  }
}

TEST_CASE("text that is not UTF-8 is written so that it can be read") {
  Status status = sample();
  status.node = "bad \xff name";
  const auto read = read_status(to_json(status));
  REQUIRE(read);
  CHECK(read->node == "bad \xEF\xBF\xBD name");
}

TEST_CASE("the history has what each kind of happening knows") {
  Happening drift;
  drift.number = 4;
  drift.kind = Happening::Kind::kDrift;
  drift.objects = {"nat KUBE-SERVICES"};
  drift.writers = {"iptables (1)"};
  drift.stood = std::chrono::milliseconds(250);
  const auto json = nlohmann::json::parse(to_json({drift}, 4));
  CHECK(json.at("schema") == kHistorySchema);
  CHECK(json.at("last") == 4);
  const auto& one = json.at("happenings").at(0);
  CHECK(one.at("kind") == "drift");
  CHECK(one.at("stoodSeconds") == 0.25);
  CHECK(one.at("writers").at(0) == "iptables (1)");
  CHECK_FALSE(one.contains("family"));
}
