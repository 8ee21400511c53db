#include "agent/serve/metrics.h"
#include "agent/serve/conntrack_metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "agent/serve/metric_buckets.h"
#include "test/support/places.h"
#include "test/support/process.h"

using namespace kubenatd::agent::base;
using namespace kubenatd::agent::config;
using namespace kubenatd::agent::dataplane;
using namespace kubenatd::agent::objects;
using namespace kubenatd::agent::serve;
using namespace kubenatd::agent::state;
using kubenatd::rules::Family;
using kubenatd::rules::Table;
using namespace std::chrono_literals;

namespace {

kubenatd::rules::ObjectRef chain(std::string_view table, std::string_view name) {
  return kubenatd::rules::chain_ref(Family::kIpv4, table, name);
}

/// Stands for what is read from the kernel at each scrape.
class KernelTotals final : public prometheus::Collectable {
 public:
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    prometheus::ClientMetric metric;
    metric.label = {{"service", "we\"b"}};
    metric.counter.value = 9;
    return {{"kubenatd_service_new_connections_total", "New connections", prometheus::MetricType::Counter, {metric}},
            {"kubenatd_nothing_total", "Has no series", prometheus::MetricType::Counter, {}}};
  }
};

/// Everything has been told once.
void fill(Metrics& metrics) {
  RoundReport report;
  SyncReport sync;
  sync.wrote = sync.audited = true;
  sync.chains = 7;
  sync.messages = 40;
  sync.bytes = 4000;
  sync.transactions = 2;
  sync.retries = 3;
  sync.drift.found = {chain("nat", "KUBE-SERVICES"), chain("nat", "KUBE-SVC-AAAAAAAAAAAAAAAA"),
                      chain("filter", "KUBE-FORWARD")};
  sync.drift.healed = {chain("nat", "KUBE-SERVICES"),
                       chain("nat", "KUBE-SVC-AAAAAAAAAAAAAAAA"),
                       chain("nat", "KUBE-SEP-AAAAAAAAAAAAAAAA"),
                       chain("nat", "KUBE-FW-AAAAAAAAAAAAAAAA"),
                       chain("nat", "KUBE-SVC-IP-0A601000-20"),
                       chain("nat", "PREROUTING"),
                       chain("filter", "KUBE-FORWARD")};
  sync.drift.disputes = {{chain("nat", "KUBE-SERVICES"), 100ms}};
  sync.refused = {{RefusedObject::Kind::kServicePort, "one", {}}};
  report.families.push_back({Family::kIpv4, sync, std::nullopt, 3ms, 5ms});
  report.families.push_back({Family::kIpv6, {}, kubenatd::rules::Error{"ip6", "sync", "refused", 1}, 1ms});
  report.sweeps.push_back({Family::kIpv4, 4, 2ms});
  report.overruns = 2;
  report.kernel_time = 250ms;
  metrics.round(report);
  metrics.queued(Family::kIpv4);
  metrics.service_changes(5);
  metrics.endpoint_changes(6);
  metrics.pending(1, 2);
  metrics.network_programming(Family::kIpv4, 700ms);
  metrics.no_local_endpoints(Family::kIpv4, 1, 2);
  metrics.rules(Family::kIpv4, Table::kNat, 100, 10);
  metrics.refused(Family::kIpv4, Metrics::RefusedKind::kServicePort, 3);
  metrics.refused(Family::kIpv6, Metrics::RefusedKind::kPod, 1);
  metrics.restricted_services(2);
  metrics.objects(Kind::kService, 12);
  metrics.source_up("services", true);
  metrics.source_up("nodes", false);
  metrics.add(std::make_shared<KernelTotals>());
  metrics.answered_healthz(200);
  metrics.answered_livez(503);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("the exposition keeps the grammar, with one HELP and TYPE before each family's samples") {
  Metrics metrics(Config::Mode::kIptables);
  fill(metrics);
  const std::string text = metrics.text();
  REQUIRE(text.ends_with("\n"));
  static const std::regex sample(
      R"re(^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\})? ([-+0-9.e]+|\+Inf)$)re");
  std::set<std::string> families;
  std::set<std::string> seen;
  std::string family;
  std::string type;
  for (const std::string& line : lines_of(text)) {
    CAPTURE(line);
    std::istringstream words(line);
    std::string hash, what, name, rest;
    if (line.starts_with("# HELP ")) {
      words >> hash >> what >> family >> rest;
      CHECK(families.insert(family).second);
      CHECK_FALSE(rest.empty());
      if (family.starts_with("kubeproxy_")) CHECK(rest == "[ALPHA]");
    } else if (line.starts_with("# TYPE ")) {
      words >> hash >> what >> name >> type;
      CHECK(name == family);
      CHECK((type == "counter" || type == "gauge" || type == "histogram"));
    } else {
      std::smatch match;
      REQUIRE(std::regex_match(line, match, sample));
      name = match[1];
      CHECK(seen.insert(match[1].str() + match[2].str()).second);
      if (type == "histogram") {
        CHECK((name == family + "_bucket" || name == family + "_sum" || name == family + "_count"));
      } else {
        CHECK(name == family);
      }
    }
  }
  CHECK(families.size() > 40);
  CHECK_FALSE(families.contains("kubenatd_nothing_total"));
}

TEST_CASE("kube-proxy's metrics under their names, types and help texts") {
  Metrics metrics(Config::Mode::kIptables);
  fill(metrics);
  const std::string text = metrics.text();
  const std::vector<std::array<std::string, 3>> expected = {
      {"sync_proxy_rules_duration_seconds", "histogram", "SyncProxyRules latency in seconds"},
      {"sync_full_proxy_rules_duration_seconds", "histogram", "SyncProxyRules latency in seconds for full resyncs"},
      {"sync_partial_proxy_rules_duration_seconds", "histogram",
       "SyncProxyRules latency in seconds for partial resyncs"},
      {"sync_proxy_rules_last_timestamp_seconds", "gauge", "The last time proxy rules were successfully synced"},
      {"sync_proxy_rules_last_queued_timestamp_seconds", "gauge", "The last time a sync of proxy rules was queued"},
      {"network_programming_duration_seconds", "histogram", "In Cluster Network Programming Latency in seconds"},
      {"sync_proxy_rules_endpoint_changes_pending", "gauge", "Pending proxy rules Endpoint changes"},
      {"sync_proxy_rules_endpoint_changes_total", "counter", "Cumulative proxy rules Endpoint changes"},
      {"sync_proxy_rules_service_changes_pending", "gauge", "Pending proxy rules Service changes"},
      {"sync_proxy_rules_service_changes_total", "counter", "Cumulative proxy rules Service changes"},
      {"sync_proxy_rules_no_local_endpoints_total", "gauge",
       "Number of services with a Local traffic policy and no endpoints"},
      {"proxy_healthz_total", "counter", "Cumulative proxy healthz HTTP status"},
      {"proxy_livez_total", "counter", "Cumulative proxy livez HTTP status"},
      {"sync_proxy_rules_iptables_restore_failures_total", "counter", "Cumulative proxy iptables restore failures"},
      {"sync_proxy_rules_iptables_total", "gauge", "Total number of iptables rules owned by kube-proxy"},
      {"sync_proxy_rules_iptables_last", "gauge", "Number of iptables rules written by kube-proxy in last sync"},
      {"conntrack_reconciler_sync_duration_seconds", "histogram", "ReconcileConntrackFlowsLatency latency in seconds"},
      {"conntrack_reconciler_deleted_entries_total", "counter",
       "Cumulative conntrack flows deleted by conntrack reconciler"},
  };
  for (const auto& [name, type, help] : expected) {
    CAPTURE(name);
    CHECK(has_line(text, "# HELP kubeproxy_" + name + " [ALPHA] " + help));
    CHECK(has_line(text, "# TYPE kubeproxy_" + name + " " + type));
  }
}

TEST_CASE("a round is counted") {
  Metrics metrics(Config::Mode::kIptables);
  fill(metrics);
  const std::string text = metrics.text();
  for (const char* line : {
           R"(kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1)",
           R"(kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.002"} 0)",
           R"(kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.004"} 1)",
           R"(kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1)",
           R"(kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family="IPv4"} 0)",
           R"(kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"} 0)",
           R"(kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv6"} 1)",
           R"(kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv6"} 0)",
           R"(kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"} 2)",
           R"(kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="internal"} 1)",
           R"(kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="nat"} 100)",
           R"(kubeproxy_sync_proxy_rules_iptables_last{ip_family="IPv4",table="nat"} 10)",
           R"(kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"} 4)",
           R"(kubenatd_service_new_connections_total{service="we\"b"} 9)",
           R"(kubenatd_source_up{resource="services"} 1)",
           R"(kubenatd_source_up{resource="nodes"} 0)",
           R"(kubenatd_drift_found_total{ip_family="IPv4",kind="service",table="nat"} 1)",
           R"(kubenatd_drift_found_total{ip_family="IPv4",kind="fixed",table="filter"} 1)",
           R"(kubeproxy_sync_proxy_rules_service_changes_total 5)",
           R"(kubeproxy_sync_proxy_rules_service_changes_pending 1)",
           R"(kubenatd_drift_healed_total{ip_family="IPv4",kind="service",table="nat"} 2)",
           R"(kubenatd_drift_healed_total{ip_family="IPv4",kind="endpoint",table="nat"} 1)",
           R"(kubenatd_drift_healed_total{ip_family="IPv4",kind="dispatch",table="nat"} 1)",
           R"(kubenatd_drift_healed_total{ip_family="IPv4",kind="jump",table="nat"} 1)",
           R"(kubenatd_drift_healed_total{ip_family="IPv4",kind="fixed",table="filter"} 1)",
           R"(kubenatd_drift_heal_duration_seconds_count{ip_family="IPv4"} 1)",
           R"(kubenatd_drift_heal_duration_seconds_bucket{ip_family="IPv4",le="0.004"} 0)",
           R"(kubenatd_drift_heal_duration_seconds_bucket{ip_family="IPv4",le="0.008"} 1)",
           R"(kubenatd_transactions_total{ip_family="IPv4"} 2)",
           R"(kubenatd_transaction_messages_total{ip_family="IPv4"} 40)",
           R"(kubenatd_transaction_bytes_total{ip_family="IPv4"} 4000)",
           R"(kubenatd_generation_retries_total{ip_family="IPv4"} 3)",
           R"(kubenatd_sync_problems_total{ip_family="IPv4"} 1)",
           R"(kubenatd_event_overruns_total 2)",
           R"(kubenatd_drift_disputes_total 1)",
           R"(kubenatd_refused_objects{ip_family="IPv4",kind="service_port"} 3)",
           "kubenatd_restricted_services 2",
           R"(kubenatd_refused_objects{ip_family="IPv4",kind="pod"} 0)",
           R"(kubenatd_refused_objects{ip_family="IPv6",kind="pod"} 1)",
           R"(kubenatd_transaction_seconds_total 0.25)",
           R"(kubenatd_source_objects{kind="Service"} 12)",
       }) {
    CAPTURE(line);
    std::string wanted = line;
    CHECK(has_line(text, wanted));
  }
}

TEST_CASE("buckets are kube-proxy's") {
  const auto sync = sync_buckets();
  REQUIRE(sync.size() == 15);
  CHECK(sync.front() == 0.001);
  CHECK(sync.back() == Approx(16.384));
  const auto programming = programming_buckets();
  REQUIRE(programming.size() == 2 + 59 + 12 + 7);
  CHECK(programming[1] == 0.5);
  CHECK(programming[60] == 59);
  CHECK(programming[61] == 60);
  CHECK(programming[72] == 115);
  CHECK(programming[73] == 120);
  CHECK(programming.back() == 300);
}

TEST_CASE("figures of the process") {
  const Metrics metrics(Config::Mode::kIptables);
  std::map<std::string, double> values;
  for (const std::string& line : lines_of(metrics.text()))
    if (line.starts_with("process_")) values[line.substr(0, line.find(' '))] = std::stod(line.substr(line.find(' ')));
  CHECK(values.at("process_resident_memory_bytes") > 1 << 20);
  CHECK(values.at("process_virtual_memory_bytes") >= values.at("process_resident_memory_bytes"));
  CHECK(values.at("process_cpu_seconds_total") >= 0);
  CHECK(values.at("process_open_fds") >= 3);
  CHECK(values.at("process_max_fds") >= values.at("process_open_fds"));
  CHECK(values.at("process_start_time_seconds") > 1.6e9);
}

TEST_CASE("alerts and the dashboard are about metrics and labels that are told") {
  Metrics metrics(Config::Mode::kIptables);
  fill(metrics);
  const Metrics of_nftables(Config::Mode::kNftables);
  const std::string text = metrics.text() + of_nftables.text();
  // Names of series, and of the labels that each has.
  std::map<std::string, std::set<std::string>> told;
  static const std::regex sample(R"re(^([a-z_]+)(\{.*\})? )re");
  static const std::regex label(R"re(([a-z_]+)=")re");
  for (const std::string& line : lines_of(text)) {
    std::smatch match;
    if (!std::regex_search(line, match, sample)) continue;
    std::set<std::string>& labels = told[match[1]];
    const std::string all = match[2];
    for (std::sregex_iterator one(all.begin(), all.end(), label), end; one != end; ++one) labels.insert((*one)[1]);
  }
  for (const std::string& name : ConntrackMetrics::names()) told[name];
  for (const char* file : {"alerts.yaml", "dashboard.json"}) {
    std::ifstream in(kubenatd::test::project_file("manifests/monitoring/") + file);
    REQUIRE(in);
    const std::string manifest((std::istreambuf_iterator<char>(in)), {});
    static const std::regex name("\\b(?:kubeproxy|kubenatd|process|kubernetes)_[a-z_]+");
    std::size_t names = 0;
    for (std::sregex_iterator one(manifest.begin(), manifest.end(), name), end; one != end; ++one, ++names) {
      CAPTURE(file, one->str());
      CHECK(told.contains(one->str()));
    }
    CHECK(names > 5);
  }
  // Labels that the dashboard and the alerts group by.
  for (const auto& [series, labels] : std::map<std::string, std::set<std::string>>{
           {"kubenatd_drift_found_total", {"ip_family", "kind", "table"}},
           {"kubenatd_source_up", {"resource"}},
           {"kubenatd_refused_objects", {"ip_family", "kind"}},
           {"kubenatd_source_objects", {"kind"}},
           {"kubeproxy_sync_proxy_rules_iptables_total", {"ip_family", "table"}},
           {"kubeproxy_sync_proxy_rules_no_local_endpoints_total", {"ip_family", "traffic_policy"}},
           {"kubenatd_build_info", {"version"}}}) {
    CAPTURE(series);
    CHECK(told.at(series) == labels);
  }
}

TEST_CASE("nftables mode has kube-proxy's metrics of that mode, not those of iptables mode") {
  Metrics metrics(Config::Mode::kNftables);
  RoundReport report;
  SyncReport sync;
  sync.elements = 12;
  sync.drift.healed = {chain("kubenatd", "services"), kubenatd::rules::set_ref(Family::kIpv4, "kubenatd", "endpoints"),
                       kubenatd::rules::set_ref(Family::kIpv4, "kubenatd", "larger"),
                       kubenatd::rules::table_ref(Family::kIpv4, "kubenatd")};
  report.families.push_back({Family::kIpv4, sync, std::nullopt, 3ms, 5ms});
  report.families.push_back({Family::kIpv6, {}, kubenatd::rules::Error{"ip6", "sync", "refused", 1}, 1ms});
  metrics.round(report);
  metrics.rules(Family::kIpv4, kubenatd::rules::Table::kNat, 100, 10);
  using Ownership = kubenatd::agent::dataplane::TableOwnership;
  Ownership ownership;
  ownership.state = Ownership::State::kOwned;
  metrics.table_ownership(Family::kIpv4, ownership);
  ownership.state = Ownership::State::kForeign;
  metrics.table_ownership(Family::kIpv6, ownership);
  metrics.fast_path(
      Family::kIpv4,
      {.in_force = kubenatd::rules::nftables::FastPath::kTcp, .devices = {"cni0", "eth0"}, .problem = {}});
  const std::string text = metrics.text();
  for (const char* line : {
           R"(kubenatd_fast_path_devices{ip_family="IPv4"} 2)",
           R"(kubenatd_fast_path_devices{ip_family="IPv6"} 0)",
           R"(kubenatd_table_owned{ip_family="IPv4"} 1)",
           R"(kubenatd_table_owned{ip_family="IPv6"} 0)",
           R"(kubenatd_table_owned_by_another{ip_family="IPv4"} 0)",
           R"(kubenatd_table_owned_by_another{ip_family="IPv6"} 1)",
           R"(kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"} 0)",
           R"(kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv6"} 1)",
           R"(kubenatd_elements_written_total{ip_family="IPv4"} 12)",
           R"(kubenatd_drift_healed_total{ip_family="IPv4",kind="set",table="kubenatd"} 2)",
           R"(kubenatd_drift_healed_total{ip_family="IPv4",kind="chain",table="kubenatd"} 1)",
           R"(kubenatd_drift_healed_total{ip_family="IPv4",kind="table",table="kubenatd"} 1)",
       }) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
  CHECK(text.find("iptables") == std::string::npos);
}

TEST_CASE("promtool has nothing to say but what kube-proxy's own names earn") {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    std::cout << "SKIPPED: promtool is not installed\n";
    return;
  }
  Metrics metrics(Config::Mode::kIptables);
  fill(metrics);
  const kubenatd::test::TempFolder folder;
  folder.write("metrics", metrics.text());
  folder.write("said", "");
  const std::string path = folder.path().string();
  const int status = std::system(("promtool check metrics <" + path + "/metrics >" + path + "/said 2>&1").c_str());
  // 3: only names that promtool would have chosen otherwise.
  REQUIRE(WIFEXITED(status));
  CHECK((WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3));
  std::ifstream said(path + "/said");
  for (std::string line; std::getline(said, line);) {
    CAPTURE(line);
    CHECK((line.empty() || line.starts_with("kubeproxy_")));
  }
}
