#include "agent/serve/service_connections.h"

#include "test/dataplane/agent_on.h"
#include "test/support/netns.h"
#include "test/support/process.h"
#include "test/support/traffic.h"

namespace kubenatd::agent::test {
namespace {

using kubenatd::test::ask;
using kubenatd::test::EchoServer;
using kubenatd::test::Inside;
using kubenatd::test::Namespace;
using kubenatd::test::Transport;

/// The connections of a Service, over all its ports; none when it has no series.
std::optional<double> connections(const serve::ServiceConnections& counters, const std::string& service) {
  std::optional<double> sum;
  for (const prometheus::MetricFamily& family : counters.Collect()) {
    CHECK(family.name == "kubenatd_service_new_connections_total");
    for (const prometheus::ClientMetric& metric : family.metric)
      for (const prometheus::ClientMetric::Label& label : metric.label)
        if (label.name == "service" && label.value == service) sum = sum.value_or(0) + metric.counter.value;
  }
  return sum;
}

void must_run(const std::vector<std::string>& arguments) {
  const auto result = kubenatd::test::run(arguments);
  INFO(result.describe());
  REQUIRE(result.ok());
}

/// A node whose endpoints are its own addresses, and where cluster IPs have a route.
void make_node() {
  must_run({"ip", "link", "set", "lo", "up"});
  for (const char* address : {"192.168.77.2/32", "10.244.1.5/32", "10.244.2.7/32", "10.244.2.8/32"})
    must_run({"ip", "address", "add", address, "dev", "lo"});
  must_run({"ip", "route", "add", "10.96.0.0/16", "dev", "lo", "src", "192.168.77.2"});
}

void connect_times(const Namespace& from, int times, const std::string& address,
                   Transport transport = Transport::kTcp) {
  for (int i = 0; i < times; ++i) REQUIRE(ask(from, transport, address, 80).answered());
}

}  // namespace

TEST_CASE("new connections of a Service are what the kernel counts, also when rules or elements are written anew") {
  KUBENATD_NEEDS_NAMESPACES();
  config::Config config = test::config();
  config.counted_services = 3;
  SECTION("iptables mode") {}
  SECTION("nftables mode") {
    config.mode = config::Config::Mode::kNftables;
  }
  const Namespace node = Namespace::create();
  const Inside inside(node);
  make_node();
  const EchoServer server(node, "web", {8080});
  dataplane::NetlinkKernel kernel;
  AgentOn agent(config, kernel);
  objects::Service local = service("local", "10.96.0.3");
  local.internal_policy_local = true;
  objects::EndpointSlice here = slice("local", {"10.244.1.5"});
  here.endpoints[0].place = objects::on_node("node-1");
  const std::vector<objects::ObjectEvent> events{put(service("web", "10.96.0.1")),
                                                 put(slice("web", {"10.244.1.5", "10.244.2.7"})),
                                                 put(service("dns", "10.96.0.2", rules::Protocol::kUdp)),
                                                 put(slice("dns", {"10.244.1.5"}, rules::Protocol::kUdp)),
                                                 put(local),
                                                 put(here)};
  agent.apply(events);
  const auto counters = serve::ServiceConnections::open(config.mode, 3).value();
  counters->note(events);
  CHECK(connections(*counters, "web") == 0);

  connect_times(node, 7, "10.96.0.1");
  connect_times(node, 2, "10.96.0.2", Transport::kUdp);
  connect_times(node, 3, "10.96.0.3");
  for (int scrape = 0; scrape < 3; ++scrape) {
    CHECK(connections(*counters, "web") == 7);
    CHECK(connections(*counters, "dns") == 2);
    CHECK(connections(*counters, "local") == 3);
  }
  {
    // Packets of a connection that is there already are no new ones.
    kubenatd::test::Conversation talk(node, Transport::kTcp, "10.96.0.1", 80);
    for (int i = 0; i < 4; ++i) CHECK(talk.ask().answered());
    CHECK(connections(*counters, "web") == 8);
  }

  agent.apply({put(slice("web", {"10.244.1.5", "10.244.2.7", "10.244.2.8"}))});
  CHECK(connections(*counters, "web") == 8);
  connect_times(node, 3, "10.96.0.1");
  CHECK(connections(*counters, "web") == 11);

  if (config.mode == config::Config::Mode::kIptables) must_run({"iptables", "-t", "nat", "-Z"});
  CHECK(connections(*counters, "web") == 11);
  agent.sync();
  connect_times(node, 2, "10.96.0.1");
  CHECK(connections(*counters, "web") == 13);

  agent.apply({remove_slice("web")});
  CHECK(connections(*counters, "web") == 13);
  agent.apply({put(slice("web", {"10.244.2.7"}))});
  connect_times(node, 1, "10.96.0.1");
  CHECK(connections(*counters, "web") == 14);
  connect_times(node, 2, "10.96.0.3");
  CHECK(connections(*counters, "local") == 5);

  // What the rules have counted before somebody asked belongs to it.
  const auto later = serve::ServiceConnections::open(config.mode, 3).value();
  later->note(events);
  const bool set_to_zero = config.mode == config::Config::Mode::kIptables;
  CHECK(connections(*later, "local") == (set_to_zero ? 2 : 5));
}

TEST_CASE("in nftables mode NodePorts, policies and affinity count for their Service, and nft loads the counters") {
  KUBENATD_NEEDS_NAMESPACES();
  const Namespace node = Namespace::create();
  const Inside inside(node);
  make_node();
  const EchoServer server(node, "web", {8080});
  config::Config config = test::config();
  config.mode = config::Config::Mode::kNftables;
  config.counted_services = 10;
  config.own_table = config::Settings::OwnTable::kOff;  // others look at it, and nft writes it
  dataplane::NetlinkKernel kernel;
  AgentOn agent(config, kernel);
  objects::Service sticky = service("sticky", "10.96.0.2");
  sticky.affinity_seconds = 60;
  objects::Service outside = service("outside", "10.96.0.3");
  outside.type = objects::Service::Type::kNodePort;
  outside.ports[0].node_port = 30080;
  const std::vector<objects::ObjectEvent> events{put(sticky), put(slice("sticky", {"10.244.1.5", "10.244.2.7"})),
                                                 put(outside),
                                                 put(slice("outside", {"10.244.1.5", "10.244.2.7", "10.244.2.8"}))};
  agent.apply(events);
  const auto counters = serve::ServiceConnections::open(config.mode, 10).value();
  counters->note(events);
  connect_times(node, 5, "10.96.0.2");
  connect_times(node, 2, "10.96.0.3");
  for (int i = 0; i < 4; ++i) REQUIRE(ask(node, Transport::kTcp, "192.168.77.2", 30080).answered());
  CHECK(connections(*counters, "sticky") == 5);
  CHECK(connections(*counters, "outside") == 6);

  // Another agent with the same settings finds nothing to do; one without makes the maps anew, and back.
  CHECK_FALSE(AgentOn(config, kernel).apply(events).wrote());
  const auto listed = kubenatd::test::run({"nft", "list", "table", "ip", "kubenatd"});
  REQUIRE(listed.ok());
  CHECK(listed.out.find("counter packets 0 bytes 0") != std::string::npos);
  kubenatd::test::ProcessOptions from_list;
  from_list.input = "flush ruleset\n" + listed.out;
  CHECK(kubenatd::test::run({"nft", "-f", "-"}, from_list).ok());
  config::Config without = config;
  without.counted_services = 0;
  CHECK(AgentOn(without, kernel).apply(events).wrote());
  CHECK(kubenatd::test::run({"nft", "list", "ruleset"}).out.find("counter") == std::string::npos);
  CHECK(AgentOn(config, kernel).apply(events).wrote());
}

TEST_CASE("only so many Services have connection counters, and one that goes makes room") {
  if (!kubenatd::test::enter_fresh_namespace()) return;
  const auto counters = serve::ServiceConnections::open(config::Config::Mode::kIptables, 2).value();
  std::vector<objects::ObjectEvent> events;
  for (const char* name : {"a", "b", "c"}) events.push_back(put(service(name, "10.96.0.1")));
  objects::Service headless = service("aa", "10.96.0.1");
  headless.headless = true;
  headless.cluster_ips.clear();
  events.push_back(put(headless));
  counters->note(events);
  CHECK(connections(*counters, "a") == 0);
  CHECK(connections(*counters, "b") == 0);
  CHECK_FALSE(connections(*counters, "c"));
  CHECK_FALSE(connections(*counters, "aa"));
  // One that comes later takes nobody's place.
  counters->note({put(service("a0", "10.96.0.1")), put(service("b", "10.96.0.9"))});
  CHECK(connections(*counters, "b") == 0);
  CHECK_FALSE(connections(*counters, "a0"));
  counters->note({remove_service("b"), remove_service("a0")});
  CHECK_FALSE(connections(*counters, "b"));
  CHECK(connections(*counters, "c") == 0);
  CHECK(serve::ServiceConnections::open(config::Config::Mode::kIptables, 0).value()->Collect().at(0).metric.empty());
}

TEST_CASE("as many Services have connection counters as the setting can ask for") {
  if (!kubenatd::test::enter_fresh_namespace()) return;
  const auto counters =
      serve::ServiceConnections::open(config::Config::Mode::kIptables, config::kMostCountedServices).value();
  std::vector<objects::ObjectEvent> events;
  for (std::size_t i = 0; i < config::kMostCountedServices + 5; ++i)
    events.push_back(put(service("s" + std::to_string(i), "10.96.0.1")));
  counters->note(events);
  CHECK(counters->Collect().at(0).metric.size() == config::kMostCountedServices);
}

TEST_CASE("ports and families of a Service are series of their own") {
  if (!kubenatd::test::enter_fresh_namespace()) return;
  const auto counters = serve::ServiceConnections::open(config::Config::Mode::kIptables, 1).value();
  objects::Service web = service("web", "10.96.0.1");
  web.cluster_ips.push_back(ip("fd00:10:96::1"));
  web.ports = {{"http", rules::Protocol::kTcp, 80, 0, ""},
               {"", rules::Protocol::kUdp, 53, 0, ""},
               {"http", rules::Protocol::kTcp, 81, 0, ""}};
  counters->note({put(web)});
  const auto families = counters->Collect();
  REQUIRE(families.size() == 1);
  std::set<std::string> series;
  for (const auto& metric : families[0].metric) {
    std::string text;
    for (const auto& label : metric.label) text += label.name + "=" + label.value + " ";
    series.insert(text);
  }
  CHECK(series == std::set<std::string>{"namespace=demo service=web port=http protocol=tcp ip_family=IPv4 ",
                                        "namespace=demo service=web port=http protocol=tcp ip_family=IPv6 ",
                                        "namespace=demo service=web port=53 protocol=udp ip_family=IPv4 ",
                                        "namespace=demo service=web port=53 protocol=udp ip_family=IPv6 "});
  CHECK(families[0].metric.size() == 4);
}

}  // namespace kubenatd::agent::test
