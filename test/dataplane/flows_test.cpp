#include <thread>

#include "test/dataplane/sync_support.h"

// UDP conntrack entries are made and listed by conntrack(8), an encoder and decoder that is not ours.
namespace kubenatd::agent::test {
namespace {

constexpr rules::Protocol kUdp = rules::Protocol::kUdp;

/// A flow from `client` to address:port that `endpoint`:8080 answers; without an endpoint it is not DNATed.
void make_flow(const std::string& protocol, const std::string& client, const std::string& address, int port,
               const std::string& endpoint = {}) {
  const std::string answerer = endpoint.empty() ? address : endpoint;
  const std::string answering = endpoint.empty() ? std::to_string(port) : "8080";
  std::vector<std::string> command{"conntrack",
                                   "-I",
                                   "-p",
                                   protocol,
                                   "-t",
                                   "100",
                                   "-s",
                                   client,
                                   "-d",
                                   address,
                                   "--sport",
                                   "4000",
                                   "--dport",
                                   std::to_string(port),
                                   "-r",
                                   answerer,
                                   "-q",
                                   client,
                                   "--reply-port-src",
                                   answering,
                                   "--reply-port-dst",
                                   "4000"};
  if (protocol == "tcp") command.insert(command.end(), {"--state", "ESTABLISHED"});
  must_run(command);
}

/// Clients of the flows that are left.
std::set<std::string> clients() {
  std::set<std::string> found;
  for (const std::string& line : kubenatd::test::lines_of(must_run("conntrack -L"))) {
    const std::size_t at = line.find("src=");
    if (at != std::string::npos) found.insert(line.substr(at + 4, line.find(' ', at) - at - 4));
  }
  return found;
}

using Clients = std::set<std::string>;

std::vector<objects::ObjectEvent> dns(const std::vector<std::string>& endpoints, std::uint16_t node_port = 0) {
  objects::Service service = test::service("dns", "10.96.0.10", kUdp);
  service.ports[0].node_port = node_port;
  return {put(service), put(slice("dns", endpoints, kUdp))};
}

/// The second sweep comes about a second after the first.
void wait_for_second_sweep(Agent& agent) {
  const auto second = agent.reconciler().deadline();
  REQUIRE(second - dataplane::Reconciler::Clock::now() < std::chrono::seconds(2));
  std::this_thread::sleep_until(second);
  CHECK(agent.reconciler().due(dataplane::Reconciler::Clock::now()));
  agent.sync();
}

}  // namespace

TEST_CASE("flows to an endpoint that goes are removed, others stay", "[long]") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(dns({"10.244.1.5", "10.244.2.7"}));
  make_flow("udp", "10.0.0.1", "10.96.0.10", 80, "10.244.1.5");
  make_flow("udp", "10.0.0.2", "10.96.0.10", 80, "10.244.2.7");
  make_flow("udp", "10.0.0.3", "10.96.0.10", 81, "10.244.1.5");  // not a port of the service
  make_flow("udp", "10.0.0.4", "10.9.9.9", 80);
  make_flow("tcp", "10.0.0.5", "10.96.0.10", 80, "10.244.1.5");

  const dataplane::RoundReport report = agent.apply({put(slice("dns", {"10.244.2.7", "10.244.2.8"}, kUdp))});
  CHECK(report.conntrack_deleted == 1);
  CHECK(clients() == Clients{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"});

  // A packet that was under way during the commit makes its entry by the old rules.
  make_flow("udp", "10.0.0.6", "10.96.0.10", 80, "10.244.1.5");
  wait_for_second_sweep(agent);
  CHECK(clients() == Clients{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"});
}

TEST_CASE("a flow made while there were no endpoints is removed when there are some") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(dns({}));
  make_flow("udp", "10.0.0.1", "10.96.0.10", 80);
  agent.apply({put(slice("dns", {"10.244.1.5"}, kUdp))});
  CHECK(clients() == Clients{});
}

TEST_CASE("flows of a service scaled to zero, deleted, or moved are removed", "[long]") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(dns({"10.244.1.5"}));
  make_flow("udp", "10.0.0.1", "10.96.0.10", 80, "10.244.1.5");
  make_flow("tcp", "10.0.0.5", "10.96.0.10", 80, "10.244.1.5");
  SECTION("to zero") {
    agent.apply({remove_slice("dns")});
  }
  SECTION("deleted") {
    agent.apply({remove_service("dns")});
  }
  SECTION("another address") {
    objects::Service moved = service("dns", "10.96.0.11", kUdp);
    agent.apply({put(moved)});
  }
  SECTION("another port") {
    objects::Service moved = service("dns", "10.96.0.10", kUdp);
    moved.ports[0].port = 81;
    agent.apply({put(moved)});
  }
  SECTION("another protocol") {
    agent.apply({put(service("dns", "10.96.0.10"))});
  }
  SECTION("headless") {
    objects::Service headless = service("dns", "10.96.0.10", kUdp);
    headless.headless = true;
    headless.cluster_ips.clear();
    agent.apply({put(headless)});
  }
  CHECK(clients() == Clients{"10.0.0.5"});
  make_flow("udp", "10.0.0.2", "10.96.0.10", 80, "10.244.1.5");
  wait_for_second_sweep(agent);
  CHECK(clients() == Clients{"10.0.0.5"});
}

TEST_CASE("a TCP port of the same name does not take the UDP one's flows away", "[long]") {
  SYNC_TEST_WORLD();
  objects::Service both = service("dns", "10.96.0.10", kUdp);
  both.ports.push_back({"", rules::Protocol::kTcp, 80, 0, ""});
  Agent agent;
  agent.apply({put(both), put(slice("dns", {"10.244.1.5"}, kUdp))});
  make_flow("udp", "10.0.0.1", "10.96.0.10", 80, "10.244.1.5");
  wait_for_second_sweep(agent);
  objects::Service grown = both;
  grown.ports.push_back({"more", kUdp, 81, 0, ""});
  agent.apply({put(grown)});
  CHECK(clients() == Clients{"10.0.0.1"});
}

TEST_CASE("flows to a NodePort are followed on the node's addresses") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(dns({"10.244.1.5", "10.244.2.7"}, 30053));
  make_flow("udp", "10.0.0.1", "192.168.77.2", 30053, "10.244.1.5");
  make_flow("udp", "10.0.0.2", "192.168.77.2", 30053, "10.244.2.7");
  make_flow("udp", "10.0.0.3", "192.168.99.9", 30053, "10.244.1.5");  // of somebody else
  agent.apply({put(slice("dns", {"10.244.2.7"}, kUdp))});
  CHECK(clients() == Clients{"10.0.0.2", "10.0.0.3"});
  SECTION("an address that the node gets later counts from then on") {
    config::Environment more = environment();
    more.local_addresses.push_back(ip("192.168.99.9"));
    agent.reconciler().set_environment(more);
    CHECK(agent.reconciler().due(dataplane::Reconciler::Clock::now()));
    agent.sync();
    CHECK(clients() == Clients{"10.0.0.2"});
  }
  SECTION("the NodePort goes") {
    agent.apply(dns({"10.244.2.7"}));
    CHECK(clients() == Clients{"10.0.0.3"});
  }
}

TEST_CASE("what changed while nobody ran is cleaned at the start") {
  SYNC_TEST_WORLD();
  objects::Service other = service("other", "10.96.0.20", kUdp);
  other.ports[0].node_port = 30020;
  for (const config::Config::Dispatch dispatch : {config::Config::Dispatch::kLinear, config::Config::Dispatch::kTree}) {
    REQUIRE(enter_fresh_world());
    {
      Agent agent(config(dispatch));
      agent.apply(dns({"10.244.1.5", "10.244.2.7"}));
      agent.apply({put(other), put(slice("other", {"10.244.1.6"}, kUdp))});
    }
    make_flow("udp", "10.0.0.1", "10.96.0.10", 80, "10.244.1.5");
    make_flow("udp", "10.0.0.2", "10.96.0.10", 80, "10.244.2.7");
    make_flow("udp", "10.0.0.3", "10.96.0.20", 80, "10.244.1.6");
    make_flow("udp", "10.0.0.4", "192.168.77.2", 30020, "10.244.1.6");
    make_flow("udp", "10.0.0.5", "10.9.9.9", 80, "10.244.1.6");
    Agent agent(config(dispatch));
    const dataplane::RoundReport report = agent.apply(dns({"10.244.2.7"}));
    CHECK(report.conntrack_deleted == 3);
    CHECK(clients() == Clients{"10.0.0.2", "10.0.0.5"});
  }
}

TEST_CASE("flows are not touched before the new rules are in force", "[long]") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(dns({"10.244.1.5"}));
  wait_for_second_sweep(agent);
  make_flow("udp", "10.0.0.1", "10.96.0.10", 80, "10.244.1.5");
  agent.reconciler().apply({remove_slice("dns")});
  CHECK(clients() == Clients{"10.0.0.1"});
  agent.sync();
  CHECK(clients() == Clients{});
}

TEST_CASE("without UDP services nothing is swept, and nothing is due") {
  SYNC_TEST_WORLD();
  make_flow("udp", "10.0.0.4", "10.9.9.9", 80, "10.244.1.6");
  Agent agent;
  agent.apply({put(service("web", "10.96.0.1")), put(slice("web", {"10.244.1.5"}))});
  CHECK_FALSE(agent.reconciler().due(dataplane::Reconciler::Clock::now()));
  CHECK(agent.reconciler().deadline() - dataplane::Reconciler::Clock::now() > std::chrono::seconds(60));
  CHECK(clients() == Clients{"10.0.0.4"});
}

}  // namespace kubenatd::agent::test
