#include "agent/seen/board.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>

#include "agent/seen/show.h"

using namespace kubenatd::agent;
using namespace kubenatd::agent::seen;
using kubenatd::rules::Address;
using kubenatd::rules::Family;
using namespace std::chrono_literals;

namespace {

dataplane::Model model(config::Config::Mode mode = config::Config::Mode::kIptables) {
  config::Config config = config::default_config();
  config.mode = mode;
  config::Environment environment;
  environment.node_name = "node-1";
  environment.has_nfacct = false;
  environment.ipv6 = false;
  return {config, environment};
}

Board board() {
  return Board({.node = "node-1", .mode = config::Config::Mode::kIptables, .objects_of = "folders", .ipv6 = false});
}

base::WallTime now() {
  return std::chrono::system_clock::now();
}

/// A round in which IPv4 was synced; all that was asked for is there.
dataplane::RoundReport round() {
  dataplane::RoundReport report;
  report.families.emplace_back(Family::kIpv4);
  report.settled = {true, false};
  return report;
}

dataplane::RoundReport failed_round() {
  dataplane::RoundReport report = round();
  report.families[0].error = kubenatd::rules::Error{"ip nat", "commit", "Operation not supported", 95};
  report.settled = {false, false};
  return report;
}

kubenatd::rules::ObjectRef chain(const std::string& name) {
  return kubenatd::rules::chain_ref(Family::kIpv4, "nat", name);
}

std::vector<Happening::Kind> kinds(const Board& board) {
  std::vector<Happening::Kind> kinds;
  for (const Happening& one : board.history_after(0)) kinds.push_back(one.kind);
  return kinds;
}

using Kind = Happening::Kind;

}  // namespace

TEST_CASE("before the first sync it says what is waited for") {
  Board seen = board();
  seen.note_waiting("not all objects are in");
  const Status status = seen.status(now());
  CHECK_FALSE(status.ready);
  CHECK(status.waits_for == "not all objects are in");
  REQUIRE(status.problems.size() == 1);
  CHECK(status.problems[0] == "no rules are written yet: not all objects are in");
  seen.note_round(round(), model());
  const Status later = seen.status(now());
  CHECK(later.ready);
  CHECK(later.problems.empty());
  REQUIRE(later.families.size() == 1);
  CHECK(later.families[0].last_sync);
  CHECK_FALSE(later.families[0].last_write);
  CHECK(kinds(seen) == std::vector{Kind::kFirstSync});
}

TEST_CASE("a round without news leaves the revision alone") {
  Board seen = board();
  seen.note_round(round(), model());
  const auto revision = seen.revision();
  dataplane::RoundReport nothing;
  nothing.settled = {true, false};
  seen.note_round(nothing, model());
  CHECK(seen.revision() == revision);
  seen.note_changes();
  CHECK(seen.revision() > revision);
}

TEST_CASE("syncs that fail are a problem until one succeeds") {
  Board seen = board();
  const dataplane::Model wanted = model();
  seen.note_round(round(), wanted);
  seen.note_round(failed_round(), wanted);
  seen.note_round(failed_round(), wanted);
  const Status status = seen.status(now() + 30s);
  REQUIRE(status.problems.size() == 1);
  CHECK(status.problems[0].starts_with("IPv4: syncs fail for "));
  CHECK(status.problems[0].contains("Operation not supported"));
  CHECK(status.families[0].failed_syncs == 2);
  CHECK(status.families[0].syncs == 3);
  seen.note_round(round(), wanted);
  CHECK(seen.status(now()).problems.empty());
  CHECK(kinds(seen) == std::vector{Kind::kFirstSync, Kind::kSyncFailed, Kind::kSyncWorks});
  CHECK(seen.history_after(2).front().stood);
}

TEST_CASE("changes that wait for long are a problem") {
  Board seen = board();
  seen.note_round(round(), model());
  seen.note_changes();
  CHECK(seen.status(now()).problems.empty());
  const Status status = seen.status(now() + Board::kLongestWait + 5s);
  REQUIRE(status.problems.size() == 1);
  CHECK(status.problems[0].starts_with("IPv4: changes wait for "));
}

TEST_CASE("drift that was healed is remembered with its writer and for its chains") {
  Board seen = board();
  dataplane::RoundReport report = round();
  auto& family = report.families[0];
  family.sync.wrote = true;
  family.sync.chains = 2;
  family.sync.rules = {0, 7};
  family.sync.table_rules = 2;
  family.sync.elements = 5;
  family.sync.drift.found = {chain("KUBE-SERVICES"), chain("KUBE-SVC-X")};
  family.sync.drift.healed = family.sync.drift.found;
  family.healed_of = {"iptables (4711)"};
  family.healed_after = 3ms;
  seen.note_round(report, model());
  const auto happened = seen.history_after(0);
  REQUIRE(happened.size() == 2);
  const Happening& drift = happened[0];
  CHECK(drift.kind == Kind::kDrift);
  CHECK(drift.objects == std::vector<std::string>{"nat KUBE-SERVICES", "nat KUBE-SVC-X"});
  CHECK(drift.writers == std::vector<std::string>{"iptables (4711)"});
  CHECK(drift.rules == 9);
  CHECK(drift.elements == 5);
  CHECK(drift.stood == 3ms);
  const Status status = seen.status(now());
  CHECK(status.families[0].drift_healed == 2);
  CHECK(status.families[0].last_drift);
  CHECK(status.problems.empty());
  CHECK(seen.service_remarks().chain_drift.at("KUBE-SVC-X").times == 1);
}

TEST_CASE("a dispute is a problem for a minute") {
  Board seen = board();
  dataplane::RoundReport report = round();
  report.last_writer = "nft (12)";
  report.families[0].sync.drift.disputes = {{chain("KUBE-SVC-X"), 100ms}};
  seen.note_round(report, model());
  REQUIRE(seen.status(now()).problems.size() == 1);
  CHECK(seen.status(now()).problems[0] == "IPv4: nat KUBE-SVC-X is changed again and again by nft (12)");
  CHECK(seen.status(now() + Board::kDisputeLasts + 1s).problems.empty());
}

TEST_CASE("a source that fails is down until it is followed again and its tries are no news") {
  Board seen = board();
  seen.note_round(round(), model());
  const auto note = [&](bool up, const std::string& failure) {
    seen.note_source({.resource = "services", .up = up, .objects = 3, .failure = failure});
  };
  note(true, "");
  note(false, "connection refused");
  note(false, "");  // the next try
  REQUIRE(seen.status(now()).problems.size() == 1);
  CHECK(seen.status(now()).problems[0].starts_with("services are not up to date for "));
  note(false, "no answer in time");
  CHECK(seen.status(now()).problems[0].ends_with(": no answer in time"));
  note(true, "");
  CHECK(seen.status(now()).problems.empty());
  CHECK(kinds(seen) == std::vector{Kind::kFirstSync, Kind::kSourceDown, Kind::kSourceUp});
  REQUIRE(seen.status(now()).sources.size() == 1);
  CHECK(seen.status(now()).sources[0].objects == 3);
}

TEST_CASE("clashes are listed until they are over and their losers have a problem") {
  Board seen = board();
  dataplane::RoundReport report = round();
  const kubenatd::rules::Frontend frontend{Address::parse("203.0.113.1"), kubenatd::rules::Protocol::kTcp, 80};
  report.clashes = {{Family::kIpv4, {frontend, {"demo/a", "demo/b"}, "demo/a"}}};
  seen.note_round(report, model());
  const Status status = seen.status(now());
  REQUIRE(status.clashes.size() == 1);
  CHECK(status.clashing_frontends == 1);
  CHECK(status.problems.size() == 1);
  const ServiceRemarks remarks = seen.service_remarks();
  CHECK_FALSE(remarks.problems.contains("demo/a"));
  CHECK(remarks.problems.at("demo/b") ==
        std::vector<std::string>{"203.0.113.1:80/tcp is claimed by another: demo/a serves it"});
  report.clashes[0].clash.claimants.pop_back();
  seen.note_round(report, model());
  CHECK(seen.status(now()).clashes.empty());
  CHECK(seen.status(now()).problems.empty());
}

TEST_CASE("whatever happens memory stays bounded") {
  Board seen = board();
  const dataplane::Model wanted = model();
  const std::string long_text(10'000, 'x');
  for (int i = 0; i < 2000; ++i) {
    dataplane::RoundReport report = round();
    report.families[0].sync.drift.healed.assign(20, chain("KUBE-SVC-" + std::to_string(i)));
    report.overruns = 1;
    const kubenatd::rules::Frontend frontend{std::nullopt, kubenatd::rules::Protocol::kTcp,
                                             static_cast<std::uint16_t>(30000 + i)};
    report.clashes = {{Family::kIpv4, {frontend, {"demo/a", "demo/b"}, ""}}};
    seen.note_round(report, wanted);
    seen.note_source({.resource = "services", .up = i % 2 == 0, .failure = i % 2 == 0 ? "" : long_text});
  }
  const auto happened = seen.history_after(0);
  CHECK(happened.size() == History::kMost);
  for (const Happening& one : happened) {
    CHECK(one.objects.size() <= History::kNamedObjects);
    CHECK(one.what.size() <= History::kLongestText + 3);
  }
  CHECK(seen.service_remarks().chain_drift.size() == Board::kMostChains);
  const Status status = seen.status(now());
  CHECK(status.clashes.size() == Board::kMostNamed);
  CHECK(status.clashing_frontends == 2000);
  CHECK(status.problems.size() < Board::kMostNamed + 10);
}

TEST_CASE("the text has problems first and escapes what came from elsewhere") {
  Board seen(
      {.node = "node\n1\x1b[31m", .mode = config::Config::Mode::kNftables, .objects_of = "folders", .ipv6 = true});
  seen.note_waiting("not all objects are in");
  const std::string text = to_text(seen.status(now()));
  CHECK(text.starts_with("problem: no rules are written yet: not all objects are in\n\nkubenatd "));
  CHECK_FALSE(text.contains('\x1b'));
  CHECK(text.contains("node\\n1"));
  CHECK(text.contains("\ntable's owner    none\n"));
  CHECK(text.contains("\nIPv6 "));
}

TEST_CASE("in the text a blank stands between the name of a resource and its state however long it is") {
  Board seen = board();
  for (const char* resource : {"endpointslices", "nodes", "a-resource-of-a-longer-name"})
    seen.note_source({.resource = resource, .up = true});
  const std::string text = to_text(seen.status(now()));
  CHECK(text.contains("\n  endpointslices up, 0"));
  CHECK(text.contains("\n  nodes          up, 0"));
  CHECK(text.contains("\n  a-resource-of-a-longer-name up, 0"));
}

TEST_CASE("a row has as many fields as there are headings and a line for each problem") {
  Board seen = board();
  seen.note_round(round(), model());
  seen.note_source({.resource = "services", .up = false, .failure = "away\tfrom\nhere"});
  const std::string row = to_row(seen.status(now()));
  CHECK(std::ranges::count(row, '\n') == 3);
  const std::string headings = row.substr(0, row.find('\n'));
  const std::string values = row.substr(headings.size() + 1, row.find('\n', headings.size() + 1) - headings.size() - 1);
  CHECK(std::ranges::count(headings, '\t') == std::ranges::count(values, '\t'));
  CHECK(values.starts_with("node-1\t"));
  CHECK(values.ends_with("\tdown\t1"));
}
