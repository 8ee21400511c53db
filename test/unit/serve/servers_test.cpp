#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <iostream>
#include <latch>
#include <nlohmann/json.hpp>
#include <thread>

#include "agent/serve/health_check_ports.h"
#include "agent/serve/pages.h"
#include "agent/serve/server_keeper.h"
#include "test/unit/serve/http_client.h"

using namespace kubenatd::agent::base;
using namespace kubenatd::agent::config;
using namespace kubenatd::agent::dataplane;
using namespace kubenatd::agent::objects;
using namespace kubenatd::agent::serve;
using namespace kubenatd::agent::state;
using namespace kubenatd::test;
using kubenatd::rules::Family;
using namespace std::chrono_literals;

namespace {

/// What every server of the agent needs.
struct Servers {
  std::unique_ptr<HttpTransport> transport = HttpTransport::start().value();
  HealthState health{60s};
  Metrics metrics{Config::Mode::kIptables};
  std::atomic<int> failures = 0;
  std::atomic<int> recoveries = 0;
  ServerKeeper keeper{*transport, DescriptorShares::of(1024),
                      [this](const std::string&, const auto& error) { ++(error ? failures : recoveries); }, 20ms};

  std::uint16_t open(HttpHandler handler, bool ipv6 = false) {
    REQUIRE(keeper.keep("test", loopback(ipv6), std::move(handler)));
    return keeper.port("test").value();
  }
  /// Has asked for a sync an hour ago and got none.
  void fall_ill() {
    const Moment long_ago{.steady = Moment::now().steady - 1h, .wall = Moment::now().wall - 1h};
    health.updated(Family::kIpv4, long_ago);
    health.queued(Family::kIpv4, long_ago);
  }
};

/// A port that was free just now. Somebody else may take it, so callers that listen on it try again.
std::uint16_t free_port() {
  return ListenSocket::open({.address = {}, .port = 0}).value().port();
}

HealthCheck check(std::uint16_t port, std::size_t local_endpoints) {
  return {.port = port, .local_endpoints = local_endpoints};
}

bool eventually(const std::function<bool()>& what) {
  for (int i = 0; i < 1000; ++i) {
    if (what()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

}  // namespace

TEST_CASE("healthz and livez") {
  Servers servers;
  servers.health.updated(Family::kIpv4, Moment::now());
  const std::uint16_t port = servers.open(healthz_pages(servers.health, servers.metrics));
  const Reply good = fetch("127.0.0.1", port, "/healthz");
  CHECK(good.status == 200);
  CHECK(good.headers.at("Content-Type") == "application/json");
  CHECK(good.headers.at("X-Content-Type-Options") == "nosniff");
  const auto body = nlohmann::json::parse(good.body);
  CHECK(body.at("healthy") == true);
  CHECK(body.at("nodeEligible") == true);
  CHECK(body.at("lastUpdated") == body.at("currentTime"));
  CHECK(body.at("status").at("IPv4").at("healthy") == true);
  CHECK_FALSE(body.at("status").contains("IPv6"));
  CHECK(fetch("127.0.0.1", port, "/livez").status == 200);
  CHECK(fetch("127.0.0.1", port, "/").status == 404);

  servers.health.set_node_eligible(false);
  CHECK(fetch("127.0.0.1", port, "/healthz").status == 503);
  const Reply alive = fetch("127.0.0.1", port, "/livez");
  CHECK(alive.status == 200);
  CHECK_FALSE(nlohmann::json::parse(alive.body).contains("nodeEligible"));

  servers.health.set_node_eligible(true);
  servers.fall_ill();
  CHECK(fetch("127.0.0.1", port, "/healthz").status == 503);
  CHECK(fetch("127.0.0.1", port, "/livez").status == 503);

  const std::string text = servers.metrics.text();
  CHECK(text.find("kubeproxy_proxy_healthz_total{code=\"200\"} 1\n") != std::string::npos);
  CHECK(text.find("kubeproxy_proxy_healthz_total{code=\"503\"} 2\n") != std::string::npos);
  CHECK(text.find("kubeproxy_proxy_livez_total{code=\"200\"} 2\n") != std::string::npos);
  CHECK(text.find("kubeproxy_proxy_livez_total{code=\"503\"} 1\n") != std::string::npos);
}

TEST_CASE("the metrics server's pages") {
  Servers servers;
  const bool ipv6 = has_ipv6();
  const char* address = ipv6 ? "::1" : "127.0.0.1";
  const std::uint16_t port = servers.open(metrics_pages(servers.metrics, default_config()), ipv6);

  const Reply metrics = fetch(address, port, "/metrics");
  CHECK(metrics.status == 200);
  CHECK(metrics.headers.at("Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(metrics.body.find("# TYPE kubeproxy_sync_proxy_rules_duration_seconds histogram\n") != std::string::npos);

  const Reply healthz = fetch(address, port, "/healthz");
  CHECK(healthz.status == 200);
  CHECK(healthz.body == "ok");

  const Reply mode = fetch(address, port, "/proxyMode");
  CHECK(mode.status == 200);
  CHECK(mode.body == "iptables");
  CHECK(mode.headers.at("Content-Type") == "text/plain; charset=utf-8");
  CHECK(mode.headers.at("X-Content-Type-Options") == "nosniff");

  const Reply configz = fetch(address, port, "/configz");
  CHECK(configz.status == 200);
  CHECK(configz.headers.at("Content-Type") == "application/json");
  const auto config = nlohmann::json::parse(configz.body).at("kubeproxy.config.k8s.io");
  CHECK(config.at("kind") == "KubeProxyConfiguration");
  CHECK(config.at("apiVersion") == "kubeproxy.config.k8s.io/v1alpha1");

  CHECK(fetch(address, port, "/other").status == 404);
}

TEST_CASE("an address that is taken is tried again until it is free") {
  Servers servers;
  auto holder = ListenSocket::open(loopback());
  REQUIRE(holder);
  BindAddress taken = loopback();
  taken.port = holder->port();
  const auto kept = servers.keeper.keep("test", taken, metrics_pages(servers.metrics, default_config()));
  REQUIRE_FALSE(kept);
  CHECK(kept.error().code == EADDRINUSE);
  CHECK(servers.failures == 1);
  std::this_thread::sleep_for(100ms);
  CHECK(servers.failures == 1);
  CHECK(servers.recoveries == 0);
  { const ListenSocket gone = std::move(*holder); }
  REQUIRE(eventually([&] { return servers.recoveries == 1; }));
  CHECK(fetch("127.0.0.1", taken.port, "/healthz").body == "ok");
  servers.keeper.drop("test");
  CHECK_THROWS(fetch("127.0.0.1", taken.port, "/healthz"));
}

TEST_CASE("health check ports follow their Services") {
  Servers servers;
  HealthCheckPorts ports(servers.keeper, servers.health);
  const ObjectKey web{"demo", "web"};
  const ObjectKey dns{"demo", "dns"};
  const auto everywhere = [](const ObjectKey& key) { return HealthCheckPorts::name_of(key, std::nullopt); };
  // Port 0 takes a free one, as no Service can.
  ports.apply({{web, check(0, 2)}, {dns, check(0, 0)}});
  const std::uint16_t web_port = servers.keeper.port(everywhere(web)).value();
  const std::uint16_t dns_port = servers.keeper.port(everywhere(dns)).value();

  Reply reply = fetch("127.0.0.1", web_port, "/any/path");
  CHECK(reply.status == 200);
  CHECK(reply.headers.at("Content-Type") == "application/json");
  CHECK(reply.headers.at("X-Content-Type-Options") == "nosniff");
  CHECK(reply.headers.at("X-Load-Balancing-Endpoint-Weight") == "2");
  CHECK(reply.body ==
        "{\n\t\"service\": {\n\t\t\"namespace\": \"demo\",\n\t\t\"name\": \"web\"\n\t},\n"
        "\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}");
  if (has_ipv6()) CHECK(fetch("::1", web_port, "/").status == 200);
  reply = fetch("127.0.0.1", dns_port, "/");
  CHECK(reply.status == 503);
  CHECK(reply.headers.at("X-Load-Balancing-Endpoint-Weight") == "0");

  // Counts change in place, a Service that is not named stays, and one that goes takes its port along.
  ports.apply({{web, check(0, 3)}});
  CHECK(servers.keeper.port(everywhere(dns)) == dns_port);
  CHECK(fetch("127.0.0.1", dns_port, "/").headers.at("X-Load-Balancing-Endpoint-Weight") == "0");
  ports.apply({{dns, std::nullopt}, {{"demo", "never seen"}, std::nullopt}});
  CHECK(servers.keeper.port(everywhere(web)) == web_port);
  CHECK(fetch("127.0.0.1", web_port, "/").headers.at("X-Load-Balancing-Endpoint-Weight") == "3");
  CHECK_THROWS(fetch("127.0.0.1", dns_port, "/"));

  servers.fall_ill();
  reply = fetch("127.0.0.1", web_port, "/");
  CHECK(reply.status == 503);
  CHECK(reply.body.find("\"localEndpoints\": 3,\n\t\"serviceProxyHealthy\": false") != std::string::npos);

  // Only on given addresses.
  const auto address = *kubenatd::rules::Address::parse("127.0.0.2");
  ports.set_addresses({address});
  const auto there = servers.keeper.port(HealthCheckPorts::name_of(web, address));
  REQUIRE(there);
  CHECK(fetch("127.0.0.2", *there, "/").status == 503);
  CHECK_THROWS(fetch("127.0.0.1", *there, "/"));
  // None of the node's addresses is wanted: nowhere, not everywhere.
  ports.set_addresses({});
  ports.apply({{web, check(0, 1)}});
  CHECK_THROWS(fetch("127.0.0.2", *there, "/"));
  CHECK_FALSE(servers.keeper.port(everywhere(web)));
  ports.set_addresses({address});
  const auto again = servers.keeper.port(HealthCheckPorts::name_of(web, address));
  REQUIRE(again);
  ports.set_addresses({address});
  CHECK(servers.keeper.port(HealthCheckPorts::name_of(web, address)) == again);
  ports.apply({{web, std::nullopt}});
  CHECK_FALSE(servers.keeper.port(HealthCheckPorts::name_of(web, address)));
  CHECK(servers.failures == 0);
}

TEST_CASE("health check ports leave descriptors for the rest, and say which limit they met") {
  const auto transport = HttpTransport::start().value();
  HealthState health{60s};
  std::map<std::string, std::string> refused;
  ServerKeeper keeper(*transport, {.limit = 200, .connections = 8, .health_ports = 3}, {}, 20ms);
  HealthCheckPorts ports(keeper, health, [&](const ObjectKey& service, std::uint16_t, const auto& error) {
    refused[service.name] = error.to_string();
  });
  HealthCheckChanges five;
  for (const char* name : {"a", "b", "c", "d", "e"}) five[{"demo", name}] = check(0, 1);
  ports.apply(five);
  CHECK(refused.size() == 2);
  REQUIRE(refused.contains("e"));
  CHECK_THAT(refused["e"],
             Catch::Contains("demo/e") && Catch::Contains("200 descriptors") && Catch::Contains("LimitNOFILE="));
  // The agent's own servers are not among those that are limited.
  CHECK(keeper.keep("own", loopback(), by_path({})));
  CHECK(fetch("127.0.0.1", keeper.port("own").value(), "/").status == 404);
  // Room that one leaves is for another.
  ports.apply({{{"demo", "a"}, std::nullopt}});
  const auto port_of = [&](const char* name) {
    return keeper.port(HealthCheckPorts::name_of({"demo", name}, std::nullopt));
  };
  CHECK(eventually([&] { return port_of("d") || port_of("e"); }));
  CHECK_FALSE((port_of("d") && port_of("e")));
}

TEST_CASE("shares of descriptors") {
  for (const std::size_t limit : {0UL, 64UL, 97UL, 256UL, 1024UL, 65536UL, 1UL << 20U}) {
    const auto shares = DescriptorShares::of(limit);
    CAPTURE(limit);
    CHECK(shares.connections >= 8);
    CHECK((shares.health_ports == 0 ||
           shares.health_ports + 2 * shares.connections + DescriptorShares::kReserve <= limit));
  }
  CHECK(DescriptorShares::of(256).health_ports >= 100);
  CHECK(DescriptorShares::of(1024).health_ports >= 600);
}

TEST_CASE("a health check port moves, also from one Service to another") {
  Servers servers;
  HealthCheckPorts ports(servers.keeper, servers.health);
  const ObjectKey one{"demo", "one"};
  const ObjectKey two{"demo", "two"};
  const std::uint16_t port = free_port();
  ports.apply({{one, check(port, 1)}});
  ports.apply({{two, check(port, 1)}, {one, std::nullopt}});
  const std::string name = HealthCheckPorts::name_of(two, std::nullopt);
  REQUIRE(eventually([&] { return servers.keeper.port(name) == port; }));
  CHECK(fetch("127.0.0.1", port, "/").body.find("\"name\": \"two\"") != std::string::npos);
  // Two at once: one has it, the other waits until it goes.
  ports.apply({{one, check(port, 1)}});
  CHECK(servers.failures >= 1);
  ports.apply({{two, std::nullopt}});
  REQUIRE(eventually([&] { return servers.keeper.port(HealthCheckPorts::name_of(one, std::nullopt)) == port; }));
  CHECK(fetch("127.0.0.1", port, "/").body.find("\"name\": \"one\"") != std::string::npos);
}

/// A collector that waits until it is told to go on.
class Slow final : public prometheus::Collectable {
 public:
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    entered_.count_down();
    released_.wait();
    return {};
  }
  void wait_until_entered() { entered_.wait(); }
  void release() { released_.count_down(); }

 private:
  mutable std::latch entered_{1};
  mutable std::latch released_{1};
};

TEST_CASE("probes are answered while a scrape takes long") {
  const auto slow = std::make_shared<Slow>();
  Servers servers;
  servers.metrics.add(slow);
  REQUIRE(
      servers.keeper.keep("metrics", loopback(), metrics_pages(servers.metrics, default_config()), HttpLane::kScrapes));
  const std::uint16_t metrics = servers.keeper.port("metrics").value();
  const std::uint16_t healthz = servers.open(healthz_pages(servers.health, servers.metrics));
  HealthCheckPorts ports(servers.keeper, servers.health);
  const ObjectKey web{"demo", "web"};
  ports.apply({{web, check(0, 1)}});
  const std::string name = HealthCheckPorts::name_of(web, std::nullopt);

  Connection scrape("127.0.0.1", metrics);
  REQUIRE(scrape.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  slow->wait_until_entered();
  CHECK(fetch("127.0.0.1", healthz, "/healthz").status == 200);
  CHECK(fetch("127.0.0.1", servers.keeper.port(name).value(), "/").status == 200);
  // Nor does a Service that comes, moves or goes wait for it.
  ports.apply({{web, std::nullopt}, {{"demo", "dns"}, check(0, 2)}});
  CHECK_FALSE(servers.keeper.port(name));
  const auto dns = servers.keeper.port(HealthCheckPorts::name_of({"demo", "dns"}, std::nullopt));
  CHECK(fetch("127.0.0.1", dns.value(), "/").headers.at("X-Load-Balancing-Endpoint-Weight") == "2");

  slow->release();
  const Reply late = parse_reply(scrape.read_to_end());
  CHECK(late.status == 200);
  CHECK(late.body.find("# TYPE kubeproxy_sync_proxy_rules_duration_seconds histogram\n") != std::string::npos);
}

TEST_CASE("names of Services cannot break out of the body") {
  const HttpResponse page = health_check_page({"a\"b", "c\n\xff"}, 1, true);
  const auto body = nlohmann::json::parse(page.body);
  CHECK(body.at("service").at("namespace") == "a\"b");
}

TEST_CASE("many scrapes while rounds go on") {
  Servers servers;
  const std::uint16_t port = servers.open(metrics_pages(servers.metrics, default_config()));
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> scrapers;
    for (int i = 0; i < 8; ++i)
      scrapers.emplace_back([&] {
        for (int j = 0; j < 10; ++j)
          if (fetch("127.0.0.1", port, "/metrics").status == 200) ++good;
      });
    RoundReport report;
    SyncReport sync;
    sync.drift.healed = {kubenatd::rules::chain_ref(Family::kIpv4, "nat", "KUBE-SERVICES")};
    report.families.push_back({Family::kIpv4, sync, std::nullopt});
    while (good < 80) servers.metrics.round(report);
  }
  CHECK(good == 80);
}
