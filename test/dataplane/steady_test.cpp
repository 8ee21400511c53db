#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>

#include "test/dataplane/sync_support.h"

namespace kubenatd::agent::test {
namespace {

std::vector<objects::ObjectEvent> objects() {
  std::vector<objects::ObjectEvent> events;
  for (int i = 1; i <= 30; ++i) {
    const std::string number = std::to_string(i);
    objects::Service service = test::service("s" + number, "10.96.0." + number);
    if (i % 3 == 0) service.ports[0].node_port = static_cast<std::uint16_t>(30000 + i);
    if (i % 5 == 0) service.affinity_seconds = 60;
    if (i % 4 == 0) service.cluster_ips.push_back(ip("fd00:10:96::" + number));
    events.push_back(put(service));
    if (i % 7 != 0) events.push_back(put(slice("s" + number, {"10.244.1." + number, "10.244.2." + number})));
  }
  return events;
}

/// Handle of each rule of IPv4 nat with its text, chain by chain.
std::map<std::string, std::string> handles() {
  std::map<std::string, std::string> all;
  std::string chain;
  for (const std::string& line : kubenatd::test::lines_of(must_run("nft -a list table ip nat"))) {
    const std::size_t at = line.rfind("# handle ");
    if (at == std::string::npos) continue;
    const std::size_t name = line.find("chain ");
    if (name != std::string::npos) {
      chain = line.substr(name + 6, line.find(' ', name + 6) - name - 6);
    } else {
      all[chain + " " + line.substr(at)] = line.substr(0, at);
    }
  }
  return all;
}

/// Sends the first packet of a TCP connection.
void start_connecting(const std::string& address, std::uint16_t port) {
  const kubenatd::test::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  REQUIRE(inet_pton(AF_INET, address.c_str(), &to.sin_addr) == 1);
  CHECK(connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0);
}

/// The rules of IPv4 nat that a packet has passed, each with its counters.
std::vector<std::string> counted() {
  std::vector<std::string> lines = kubenatd::test::lines_of(must_run("iptables-save -c -t nat"));
  std::erase_if(lines, [](const std::string& line) { return !line.starts_with("[") || line.starts_with("[0:0]"); });
  return lines;
}

}  // namespace

TEST_CASE("a restart against right chains writes nothing") {
  SYNC_TEST_WORLD();
  for (const config::Config::Dispatch dispatch : {config::Config::Dispatch::kLinear, config::Config::Dispatch::kTree}) {
    REQUIRE(enter_fresh_world());
    {
      Agent agent(config(dispatch));
      CHECK(agent.apply(objects()).wrote());
    }
    const std::uint32_t before = generation();
    const auto rules = handles();
    for (int run = 0; run < 3; ++run) {
      Agent agent(config(dispatch));
      const dataplane::RoundReport report = agent.apply(objects());
      CHECK_FALSE(report.wrote());
      CHECK(written_chains(report) == 0);
      CHECK_FALSE(agent.audit().wrote());
    }
    CHECK(generation() == before);
    CHECK(handles() == rules);
  }
}

TEST_CASE("a restart with another form, and other objects, writes what differs and leaves nothing behind") {
  SYNC_TEST_WORLD();
  {
    Agent agent(config(config::Config::Dispatch::kTree));
    agent.apply(objects());
  }
  auto fewer = objects();
  fewer.resize(fewer.size() / 2);
  Agent agent(config(config::Config::Dispatch::kLinear));
  CHECK(agent.apply(fewer).wrote());
  check_no_difference(config(config::Config::Dispatch::kLinear), fewer);
}

TEST_CASE("rules that stay keep their counters and handles when an endpoint elsewhere changes", "[real]") {
  REAL_WORLD_ONLY("no packet is counted there");
  must_run("ip route add default dev lo");
  Agent agent;
  agent.apply(objects());
  start_connecting("10.96.0.1", 80);
  const auto before = counted();
  REQUIRE(before.size() >= 4);  // from OUTPUT through KUBE-SERVICES and its own chains to the endpoint
  REQUIRE(std::ranges::any_of(before, [](const std::string& line) { return has_line(line, "-A KUBE-SEP-"); }));
  const auto rules = handles();

  const dataplane::RoundReport report = agent.apply({put(slice("s2", {"10.244.1.2"}))});
  CHECK(written_chains(report) == 2);  // its KUBE-SVC- chain and the KUBE-SEP- that went
  std::size_t lost = 0;
  const auto after = handles();
  for (const auto& [handle, rule] : rules) lost += after.contains(handle) ? 0 : 1;
  CHECK(lost == 5);  // the three rules of the one and the two of the other
  CHECK(counted() == before);

  // In the middle of KUBE-SERVICES, and away again.
  agent.apply({put(service("s10a", "10.96.1.1")), put(slice("s10a", {"10.244.1.99"}))});
  CHECK(counted() == before);
  agent.apply({remove_service("s10a")});
  CHECK(counted() == before);
  // What others put in between costs no counter either.
  must_run("iptables -t nat -I KUBE-SERVICES -s 1.2.3.4 -j RETURN");
  CHECK(agent.sync().wrote());
  CHECK(counted() == before);
}

TEST_CASE("what objects ask for is answered by a round, also for a family that has nothing to do") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(objects());
  dataplane::Reconciler& reconciler = agent.reconciler();
  while (reconciler.due(dataplane::Reconciler::Clock::now())) (void)reconciler.reconcile();
  for (const auto& event : {put(slice("s1", {"10.244.9.9"})), put(slice("of-no-service", {"10.244.9.9"}))}) {
    reconciler.apply({event});
    CHECK(reconciler.due(dataplane::Reconciler::Clock::now()));
    CHECK(reconciler.deadline() <= dataplane::Reconciler::Clock::now());
    const dataplane::RoundReport report = reconciler.reconcile();
    CHECK(report.settled == std::array{true, true});
    for (const auto& family : report.families) CHECK(family.family == rules::Family::kIpv4);
    CHECK_FALSE(reconciler.due(dataplane::Reconciler::Clock::now()));
  }
}

TEST_CASE("rules that are written are counted by table, and drift is told") {
  SYNC_TEST_WORLD();
  Agent agent;
  const dataplane::RoundReport first = agent.apply(objects());
  const auto& ipv4 = first.families.at(0).sync;
  const auto rules_of = [](const std::string& table) {
    const auto lines = kubenatd::test::lines_of(must_run("iptables-save -t " + table));
    return static_cast<std::size_t>(
        std::ranges::count_if(lines, [](const std::string& line) { return line.starts_with("-A KUBE-"); }));
  };
  CHECK(ipv4.rules == std::array{rules_of("filter"), rules_of("nat")});
  for (const dataplane::OwnedRules& owned : agent.model().dataplane(rules::Family::kIpv4).owned_rules())
    if (owned.table == rules::Table::kNat) CHECK(owned.count == rules_of("nat"));
  CHECK(ipv4.drift.found.empty());

  must_run("iptables -t nat -F KUBE-MARK-MASQ");
  const dataplane::RoundReport healed = agent.sync();
  const std::vector mark{rules::chain_ref(rules::Family::kIpv4, "nat", "KUBE-MARK-MASQ")};
  CHECK(found_by(healed) == mark);
  CHECK(healed_by(healed) == mark);
  CHECK(healed.families.at(0).sync.rules == std::array<std::size_t, 2>{0, 1});
  // Put back by the other program itself before anybody looked: suspected, and then nothing differs.
  must_run("iptables -t filter -I KUBE-FORWARD -j RETURN");
  must_run("iptables -t filter -D KUBE-FORWARD -j RETURN");
  const dataplane::RoundReport found = agent.sync();
  CHECK(found_by(found).empty());
  CHECK(healed_by(found).empty());
}

TEST_CASE("a service that comes or goes moves no rule of others in the shared chains") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(objects());
  const auto before = handles();
  objects::Service more = service("s15a", "10.96.1.1");
  more.ports[0].node_port = 31000;
  agent.apply({put(more), put(slice("s15a", {"10.244.1.99"}))});
  auto after = handles();
  for (const auto& [handle, rule] : before) CHECK(after.contains(handle));
  agent.apply({remove_service("s15a"), remove_slice("s15a"), remove_service("s1")});
  after = handles();
  for (const auto& [handle, rule] : before)
    if (handle.starts_with("KUBE-SERVICES ") && !has_line(rule, "10.96.0.1 ") && !has_line(rule, "10.96.0.1/32 "))
      CHECK(after.contains(handle));
}

TEST_CASE("events that change no view, and syncs without a difference, write nothing") {
  SYNC_TEST_WORLD();
  Agent agent;
  agent.apply(objects());
  const std::uint32_t before = generation();
  CHECK_FALSE(agent.apply(objects()).wrote());
  objects::EndpointSlice unrelated = slice("nobody", {"10.244.1.1"});
  CHECK_FALSE(agent.apply({put(unrelated)}).wrote());
  CHECK_FALSE(agent.apply({remove_service("nobody"), remove_slice("nobody")}).wrote());
  CHECK(generation() == before);
}

}  // namespace kubenatd::agent::test
