#include "agent/serve/conntrack_metrics.h"

#include <catch2/catch.hpp>
#include <map>

#include "test/support/netns.h"
#include "test/support/process.h"
#include "test/support/traffic.h"

using namespace kubenatd::agent::serve;
using namespace kubenatd::test;

TEST_CASE("the fullness of connection tracking is that of the agent's own network namespace") {
  KUBENATD_NEEDS_NAMESPACES();
  const Namespace node = Namespace::create();
  const Inside inside(node);
  const auto told = [] {
    std::map<std::string, double> values;
    for (const prometheus::MetricFamily& family : ConntrackMetrics().Collect())
      values[family.name] = family.type == prometheus::MetricType::Gauge ? family.metric.at(0).gauge.value
                                                                         : family.metric.at(0).counter.value;
    return values;
  };
  // A rule that asks for the state of connections makes this namespace track them.
  REQUIRE(run({"ip", "link", "set", "lo", "up"}).ok());
  REQUIRE(run({"iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP"}).ok());
  const auto before = told();
  for (const std::string& name : ConntrackMetrics::names()) {
    CAPTURE(name);
    CHECK(before.contains(name));
  }
  CHECK(before.at("kubenatd_conntrack_entries") == 0);
  CHECK(before.at("kubenatd_conntrack_entries_limit") > 0);
  CHECK(before.at("kubenatd_conntrack_insert_failed_total") == 0);
  const EchoServer server(node, "server", {8080});
  REQUIRE(ask(node, Transport::kTcp, "127.0.0.1", 8080).answered());
  CHECK(told().at("kubenatd_conntrack_entries") >= 1);
}
