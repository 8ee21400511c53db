#include "agent/daemon/serving.h"

#include <catch2/catch.hpp>
#include <string>

#include "agent/daemon/request_metrics.h"
#include "test/support/netns.h"
#include "test/unit/serve/http_client.h"

using namespace kubenatd::agent::api;
using namespace kubenatd::agent::base;
using namespace kubenatd::agent::config;
using namespace kubenatd::agent::daemon;
using namespace kubenatd::agent::dataplane;
using namespace kubenatd::agent::objects;
using namespace kubenatd::agent::serve;
using namespace kubenatd::agent::state;
using namespace kubenatd::test;
using kubenatd::rules::Address;
using kubenatd::rules::Family;
using namespace std::chrono_literals;

namespace {

constexpr const char* kLocal = "127.0.0.1";

Config config() {
  Config config = default_config();
  config.healthz_bind_address = "127.0.0.1:10256";
  config.metrics_bind_address = "127.0.0.1:10249";
  return config;
}

Environment environment() {
  Environment environment;
  environment.node_name = "node-1";
  environment.has_nfacct = false;
  return environment;
}

template <class T>
ObjectEvent put(const T& object) {
  return {kind_of(Object(object)), object.key, std::make_shared<const Object>(object)};
}

Node node(bool is_leaving = false) {
  Node node;
  node.key = {"", "node-1"};
  node.is_leaving = is_leaving;
  return node;
}

Service web() {
  Service service;
  service.key = {"demo", "web"};
  service.cluster_ips = {Address::parse("10.96.0.1").value()};
  service.internal_policy_local = true;
  service.ports = {{"", kubenatd::rules::Protocol::kTcp, 80, 0, ""}};
  return service;
}

EndpointSlice slice(std::optional<WallTime> triggered) {
  EndpointSlice slice;
  slice.key = {"demo", "web-1"};
  slice.service = "web";
  slice.ports = {{"", 8080, kubenatd::rules::Protocol::kTcp}};
  slice.endpoints.resize(1);
  slice.endpoints[0].address = Address::parse("10.244.1.5").value();
  slice.endpoints[0].place = on_node("node-2");
  slice.change_triggered = triggered;
  return slice;
}

WallTime now() {
  return Moment::now().wall;
}

RoundReport all_settled() {
  RoundReport report;
  report.settled = {true, true};
  return report;
}

bool tells(const std::string& line) {
  const std::string text = fetch(kLocal, 10249, "/metrics").body;
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("the node is eligible once it was seen, and until it leaves") {
  if (!enter_fresh_namespace()) return;
  Model model(config(), environment());
  {
    const auto serving = Serving::open(model).value();
    CHECK(fetch(kLocal, 10256, "/healthz").status == 200);  // no source that could know better
  }
  const auto serving = Serving::open(model, {.counted_services = 0, .source_has_node = true}).value();
  CHECK(fetch(kLocal, 10256, "/healthz").status == 503);
  CHECK(fetch(kLocal, 10256, "/livez").status == 200);
  serving->note({put(node())});
  CHECK(fetch(kLocal, 10256, "/healthz").status == 200);
  Node other = node(true);
  other.key.name = "node-2";
  serving->note({put(other)});
  CHECK(fetch(kLocal, 10256, "/healthz").status == 200);
  serving->note({put(node(true))});
  const Reply leaving = fetch(kLocal, 10256, "/healthz");
  CHECK(leaving.status == 503);
  CHECK_THAT(leaving.body, Catch::Contains(R"("nodeEligible":false,"healthy":true)"));
  CHECK(fetch(kLocal, 10256, "/livez").status == 200);
  serving->note({put(node())});
  CHECK(fetch(kLocal, 10256, "/healthz").status == 200);
  serving->note({ObjectEvent{Kind::kNode, {"", "node-1"}, nullptr}});
  CHECK(fetch(kLocal, 10256, "/healthz").status == 503);
}

TEST_CASE("what objects ask for is pending until their families are settled") {
  if (!enter_fresh_namespace()) return;
  Model model(config(), environment());
  const WallTime before = now();
  const auto serving = Serving::open(model).value();
  const std::vector<ObjectEvent> events{put(web()), put(slice(now() + 1ns)), put(slice(before)),
                                        put(slice(std::nullopt))};
  serving->note(events);
  model.apply(events);
  CHECK(tells("kubeproxy_sync_proxy_rules_service_changes_pending 1"));
  CHECK(tells("kubeproxy_sync_proxy_rules_endpoint_changes_pending 3"));

  RoundReport failed;
  failed.settled = {false, true};
  failed.families.push_back({Family::kIpv4, {}, kubenatd::rules::Error{"ip", "sync", "refused", 1}, 1ms});
  serving->note(failed);
  CHECK(tells("kubeproxy_sync_proxy_rules_service_changes_pending 1"));
  CHECK(tells(R"(kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 0)"));

  RoundReport done = all_settled();
  SyncReport sync;
  sync.rules = {3, 4};
  done.families.push_back({Family::kIpv4, sync, std::nullopt, 1ms});
  CHECK(tells(R"(kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} 0)"));
  // Nothing was to be done there, so it is not behind.
  CHECK_FALSE(tells(R"(kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv6"} 0)"));
  serving->note(done);
  CHECK_FALSE(tells(R"(kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} 0)"));
  CHECK(tells("kubeproxy_sync_proxy_rules_service_changes_pending 0"));
  CHECK(tells("kubeproxy_sync_proxy_rules_service_changes_total 1"));
  CHECK(tells("kubeproxy_sync_proxy_rules_endpoint_changes_pending 0"));
  // Only the one after the start; told once.
  CHECK(tells(R"(kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 1)"));
  CHECK(tells(R"(kubeproxy_network_programming_duration_seconds_count{ip_family="IPv6"} 0)"));
  CHECK(tells(R"(kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="internal"} 1)"));
  CHECK(tells(R"(kubeproxy_sync_proxy_rules_iptables_last{ip_family="IPv4",table="filter"} 3)"));
  CHECK(tells(R"(kubeproxy_sync_proxy_rules_iptables_last{ip_family="IPv4",table="nat"} 4)"));
  CHECK(tells(R"(kubenatd_source_objects{kind="Service"} 1)"));
  CHECK(tells(R"(kubenatd_source_objects{kind="Node"} 0)"));
  serving->note(all_settled());
  CHECK(tells(R"(kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 1)"));
  serving->note_source({.resource = "services",
                        .phase = WatchState::Phase::kWatching,
                        .synced = true,
                        .objects = 1,
                        .lists = 1,
                        .failure = {},
                        .absent = {}});
  CHECK(tells(R"(kubenatd_source_up{resource="services"} 1)"));
}

TEST_CASE("requests to the API server are told as client-go tells them") {
  const auto stats = std::make_shared<RequestStats>();
  stats->answered("GET", 200);
  stats->answered("GET", 200);
  stats->answered("POST", 0);
  stats->took("GET", 25ms);
  stats->took("GET", 26ms);
  stats->took("GET", 2min);
  const auto families = RequestMetrics(stats, "10.0.0.1:6443").Collect();
  REQUIRE(families.size() == 2);
  CHECK(families[0].name == "rest_client_requests_total");
  REQUIRE(families[0].metric.size() == 2);
  const auto label = [](const prometheus::ClientMetric& metric, const std::string& name) {
    for (const auto& one : metric.label)
      if (one.name == name) return one.value;
    return std::string();
  };
  CHECK(families[0].metric[0].counter.value == 2);
  CHECK(label(families[0].metric[0], "code") == "200");
  CHECK(label(families[0].metric[0], "method") == "GET");
  CHECK(label(families[0].metric[0], "host") == "10.0.0.1:6443");
  CHECK(label(families[0].metric[1], "code") == "<error>");
  CHECK(families[1].name == "rest_client_request_duration_seconds");
  REQUIRE(families[1].metric.size() == 1);
  CHECK(label(families[1].metric[0], "verb") == "GET");
  const auto& histogram = families[1].metric[0].histogram;
  CHECK(histogram.sample_count == 3);
  CHECK(histogram.sample_sum == Approx(120.051));
  REQUIRE(histogram.bucket.size() == 13);
  CHECK(histogram.bucket[0].cumulative_count == 0);
  CHECK(histogram.bucket[1].cumulative_count == 1);  // up to 25 ms, that included
  CHECK(histogram.bucket[2].cumulative_count == 2);
  CHECK(histogram.bucket[11].cumulative_count == 2);
  CHECK(histogram.bucket[12].cumulative_count == 3);
}

TEST_CASE("health check ports come with the first round after their Services, and go with them") {
  if (!enter_fresh_namespace()) return;
  Model model(config(), environment());
  const auto serving = Serving::open(model).value();
  const auto round = [&](const std::vector<ObjectEvent>& events) {
    serving->note(events);
    model.apply(events);
    serving->note(all_settled());
  };
  Service service = web();
  service.external_policy_local = true;
  service.health_check_node_port = 30999;
  EndpointSlice here = slice(std::nullopt);
  here.endpoints[0].place = on_node("node-1");
  serving->note({put(service), put(here)});
  model.apply({put(service), put(here)});
  CHECK_THROWS(fetch(kLocal, 30999, "/"));  // not before the rules are there
  serving->note(all_settled());
  CHECK(fetch(kLocal, 30999, "/").status == 200);
  round({ObjectEvent{Kind::kEndpointSlice, here.key, nullptr}});
  CHECK(fetch(kLocal, 30999, "/").status == 503);
  service.health_check_node_port = 30998;
  round({put(service), put(here)});
  CHECK_THROWS(fetch(kLocal, 30999, "/"));
  CHECK(fetch(kLocal, 30998, "/").status == 200);
  round({ObjectEvent{Kind::kService, service.key, nullptr}});
  CHECK_THROWS(fetch(kLocal, 30998, "/"));
}

TEST_CASE("a first sync that never succeeds makes the node ill") {
  if (!enter_fresh_namespace()) return;
  Config impatient = config();
  impatient.sync_period = 1ns;
  Model model(impatient, environment());
  const auto serving = Serving::open(model).value();
  CHECK(fetch(kLocal, 10256, "/livez").status == 200);
  serving->note({put(web())});
  CHECK(fetch(kLocal, 10256, "/livez").status == 503);
  serving->note(all_settled());
  CHECK(fetch(kLocal, 10256, "/livez").status == 200);
  // Nothing was asked for, but what somebody broke cannot be put right.
  RoundReport failed;
  failed.settled = {true, false};
  failed.families.push_back({Family::kIpv6, {}, kubenatd::rules::Error{"ip6", "sync", "refused", 1}, 1ms});
  serving->note(failed);
  CHECK(fetch(kLocal, 10256, "/livez").status == 503);
}

TEST_CASE("an address that cannot be had ends the start only with bindAddressHardFail") {
  if (!enter_fresh_namespace()) return;
  Config wanted = config();
  wanted.metrics_bind_address = "192.0.2.1:10249";
  {
    Model model(wanted, environment());
    const auto serving = Serving::open(model).value();
    CHECK(fetch(kLocal, 10256, "/livez").status == 200);
  }
  wanted.bind_address_hard_fail = true;
  Model model(wanted, environment());
  const auto refused = Serving::open(model);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().to_string(), Catch::Contains("192.0.2.1:10249"));
}

TEST_CASE("servers on an IPv6 address, on all addresses, and none") {
  if (!enter_fresh_namespace()) return;
  Config wanted = config();
  wanted.healthz_bind_address = "0.0.0.0:10256";
  wanted.metrics_bind_address = has_ipv6() ? "[::1]:10249" : "";
  Model model(wanted, environment());
  const auto serving = Serving::open(model).value();
  CHECK(fetch(kLocal, 10256, "/livez").status == 200);
  CHECK_THROWS(fetch(kLocal, 10249, "/metrics"));
  if (!has_ipv6()) return;
  CHECK(fetch("::1", 10256, "/livez").status == 200);
  CHECK(fetch("::1", 10249, "/metrics").status == 200);
}
