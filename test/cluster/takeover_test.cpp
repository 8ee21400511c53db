#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <thread>

#include "netlink/host/counters.h"
#include "test/cluster/cluster_support.h"
#include "test/support/places.h"

/// On a node where kube-proxy was, or still is.
namespace kubenatd::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWarning = "a kube-proxy runs on this node, too";

/// Chains with handles, which tell whether a rule was written again, of everything but canaries.
std::string handles(const Namespace& node) {
  static const std::regex noise("counter packets [0-9]+ bytes [0-9]+|\tchain KUBE-PROXY-CANARY [^}]*\\}\n");
  static const std::regex blank("\n+");
  return std::regex_replace(std::regex_replace(must_run_in(node, {"nft", "-a", "list", "ruleset"}), noise, ""), blank,
                            "\n");
}

std::string without(std::string text, const std::string& line) {
  for (auto at = text.find(line); at != std::string::npos; at = text.find(line)) text.erase(at, line.size());
  return text;
}

std::string both_families(const Namespace& node) {
  return saved_rules(node) + saved_rules(node, true);
}

bool has_canary(const Namespace& node) {
  return must_run_in(node, {"nft", "list", "ruleset"}).find("KUBE-PROXY-CANARY") != std::string::npos;
}

void make_canary(const Namespace& node) {
  for (const char* table : {"mangle", "nat", "filter"})
    must_run_in(node, {"iptables", "-t", table, "-N", "KUBE-PROXY-CANARY"});
}

/// Recorded states are not part of the project; its own have no canaries, but the same form.
std::vector<fs::path> states() {
  const char* named = std::getenv("KUBENATD_CONFORMANCE");
  std::vector<fs::path> found;
  for (const fs::path& folder :
       {named != nullptr ? fs::path(named) / "kube-proxy" : fs::path(project_file("../shared/conformance/kube-proxy")),
        fs::path(project_file("test/conformance/states"))}) {
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(folder, missing))
      if (fs::exists(entry.path() / "objects.yaml")) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

ProcessResult run_once(const Namespace& node, const fs::path& objects, const fs::path& config) {
  return run_in(node, {program(), "run", "--once", "--hostname-override", "node-1", "--manifests", objects.string(),
                       "--config", config.string()});
}

/// Leaves the namespace as kube-proxy's own iptables-restore does when it brings a state about. Of a state that was not
/// recorded from kube-proxy the text is made on the spot, so that packet counters are in it or not, as this kernel has
/// it.
void leave_behind(const Namespace& node, const fs::path& state) {
  must_run_in(node, {"nft", "flush", "ruleset"});
  set_sysctl(node, "net/netfilter/nf_conntrack_tcp_be_liberal", "0");
  {
    const Inside inside(node);
    for (const char* counter : {"ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts"})
      static_cast<void>(netlink::host::ensure_counter(counter));
  }
  std::string four = read_file(state / "iptables-save");
  std::string six = read_file(state / "ip6tables-save");
  if (four.find("KUBE-PROXY-CANARY") == std::string::npos) {
    const auto made = run_once(node, state, state / "config.yaml");
    if (!made.ok()) throw std::runtime_error(made.describe());
    make_canary(node);
    four = must_run_in(node, {"iptables-save"});
    six = must_run_in(node, {"ip6tables-save"});
    must_run_in(node, {"nft", "flush", "ruleset"});
  }
  must_run_in(node, {"iptables-restore"}, four);
  must_run_in(node, {"ip6tables-restore"}, six);
}

TEST_CASE("kube-proxy's chains that are right already are not written, and its canaries go") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const auto all = states();
  REQUIRE(all.size() >= 8);
  int untouched = 0;
  for (const fs::path& state : all) {
    INFO(state);
    leave_behind(bare.node, state);
    const std::string before = handles(bare.node);
    const std::string rules = both_families(bare.node);
    const auto result = run_once(bare.node, state, state / "config.yaml");
    INFO(result.describe());
    CHECK(result.ok());
    CHECK_FALSE(has_canary(bare.node));
    // kube-proxy goes through its Services in any order, kubenatd in the order of their names.
    if (const std::string canary = ":KUBE-PROXY-CANARY - \n", now = both_families(bare.node);
        without(rules, canary) != without(now, canary)) {
      CHECK(changed_lines(without(rules, canary), without(now, canary)) == "only the order of lines differs");
      continue;
    }
    CHECK(changed_lines(before, handles(bare.node)) == "");
    CHECK(result.err.find("msg=\"synced\"") == std::string::npos);
    ++untouched;
  }
  CHECK(untouched >= 8);
}

TEST_CASE("what differs from kube-proxy's chains is replaced in one transaction a family") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const auto all = states();
  REQUIRE(all.size() >= 8);
  for (std::size_t i = 0; i + 1 < all.size(); ++i) {
    INFO(all[i] << " to " << all[i + 1]);
    leave_behind(bare.node, all[i]);
    const auto result = run_once(bare.node, all[i + 1], all[i + 1] / "config.yaml");
    INFO(result.describe());
    CHECK(result.ok());
    for (const auto& line : lines_of(result.err))
      if (line.find("msg=\"synced\"") != std::string::npos) CHECK(line.find(" transactions=1 ") != std::string::npos);
    const auto diff = run_in(bare.node, {program(), "diff", "--hostname-override", "node-1", "--manifests",
                                         all[i + 1].string(), "--config", (all[i + 1] / "config.yaml").string()});
    INFO(diff.describe());
    CHECK(diff.ok());
  }
}

TEST_CASE("connections through a ClusterIP outlive the take-over") {
  KUBENATD_NEEDS_NAMESPACES();
  const Lab lab;
  const Manifests manifests;
  const ServiceSpec web{.name = "web", .cluster_ips = {"10.96.0.10"}};
  const ServiceSpec other{.name = "other", .cluster_ips = {"10.96.0.11"}};
  manifests.put(web, ready({kPodB, kPodC}));
  const Agent agent(lab.node, manifests);
  // What kube-proxy would have left there, in iptables' own encoding, and a chain of its that nobody wants any more.
  agent.apply();
  const auto saved = must_run_in(lab.node, {"iptables-save"});
  must_run_in(lab.node, {"nft", "flush", "ruleset"});
  must_run_in(lab.node, {"iptables-restore"}, saved);
  must_run_in(lab.node, {"iptables", "-t", "nat", "-N", "KUBE-SVC-AAAAAAAAAAAAAAAA"});
  make_canary(lab.node);

  Conversation inside(lab.pod_a, Transport::kTcp, "10.96.0.10", 80);
  Conversation outside(lab.client, Transport::kTcp, "10.96.0.10", 80);
  const Outcome first = inside.ask();
  const Outcome second = outside.ask();
  REQUIRE(first.answered());
  REQUIRE(second.answered());

  manifests.put(other, ready({kPodA}));
  const auto running = agent.start();
  CHECK(eventually([&] { return has_rule(lab.node, "demo/other"); }, kPatience));
  CHECK(eventually([&] { return !has_rule(lab.node, "KUBE-SVC-AAAAAAAAAAAAAAAA"); }, kPatience));
  CHECK(eventually([&] { return !has_canary(lab.node); }, kPatience));
  for (int i = 0; i < 3; ++i) {
    const Outcome again = inside.ask();
    CHECK(again.answered());
    CHECK(again.by == first.by);
    CHECK(outside.ask().answered());
  }
  CHECK(ask(lab.pod_b, Transport::kTcp, "10.96.0.11", 80).answered());
  CHECK(running.err().find(kWarning) == std::string::npos);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST_CASE("a kube-proxy that still runs is noticed by its canaries, and named once") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  make_canary(bare.node);
  const auto running = agent.start();
  REQUIRE(says(running, "ready"));
  CHECK(eventually([&] { return !has_canary(bare.node); }, kPatience));
  CHECK(running.err().find(kWarning) == std::string::npos);

  // What kube-proxy does when it misses them: it makes them again and writes its own idea of the rules.
  make_canary(bare.node);
  CHECK(says(running, kWarning));
  CHECK(says(running, "by iptables ("));
  must_run_in(bare.node, {"iptables", "-t", "nat", "-X", "KUBE-PROXY-CANARY"});
  must_run_in(bare.node, {"iptables", "-t", "nat", "-N", "KUBE-PROXY-CANARY"});
  must_run_in(bare.node, {"iptables", "-t", "nat", "-F", "KUBE-SERVICES"});
  REQUIRE(says(running, "healed what others had changed"));
  CHECK(count(running.err(), kWarning) == 1);
  CHECK(has_canary(bare.node));  // only those of the take-over are taken
}

TEST_CASE("a kube-proxy that answers for its mode when kubenatd starts is noticed") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  const auto body = GENERATE(as<std::string>{}, "iptables", "nftables", "something else");
  std::unique_ptr<ScriptedServer> other;
  {
    const Inside inside(bare.node);
    other = std::make_unique<ScriptedServer>(std::nullopt, false, 10249);
  }
  other->on("/proxyMode", {[body](Reply& reply) {
              reply.answer(200, body);
              reply.cut();
            }});
  const auto running = agent.start();
  REQUIRE(says(running, "ready"));
  if (body == "something else") {
    CHECK(running.err().find(kWarning) == std::string::npos);
  } else {
    CHECK(says(running, kWarning));
    CHECK(says(running, "its mode is " + body));
  }
  CHECK(says(running, "a server could not be opened"));
}

/// What kube-proxy serves where it is asked for its mode.
std::unique_ptr<ScriptedServer> answering(const Namespace& node, const std::string& mode) {
  const Inside inside(node);
  auto server = std::make_unique<ScriptedServer>(std::nullopt, false, 10249);
  const Step tell = [mode](Reply& reply) {
    reply.answer(200, mode);
    reply.cut();
  };
  server->on("/proxyMode", std::vector<Step>(50, tell));
  return server;
}

TEST_CASE("kube-proxy's table of nft stays while that kube-proxy answers, and is named") {
  KUBENATD_NEEDS_NAMESPACES();
  const BareNode bare;
  const Manifests manifests;
  const Agent agent(bare.node, manifests);
  const auto mode = GENERATE(as<std::string>{}, "nftables", "iptables");
  const auto server = answering(bare.node, mode);
  must_run_in(bare.node, {"nft", "-f", project_file("test/field/F40/kube-proxy.nft")});
  const auto has_table = [&] {
    return must_run_in(bare.node, {"nft", "list", "tables"}).find("kube-proxy") != std::string::npos;
  };
  constexpr const char* kStands = "another proxy runs on this node, and its rules translate for Services beside ours";
  if (mode == "nftables") {
    const auto once = agent.once();
    CHECK(once.ok());
    CHECK(once.err.find(kStands) != std::string::npos);
    CHECK(has_table());
    const auto running = agent.start();
    CHECK(says(running, "answers_at=\"127.0.0.1:10249, its mode is nftables\""));
    CHECK(says(running, kWarning));
    CHECK(has_table());
  } else {
    // kube-proxy in iptables mode makes no such table: nobody runs who would miss it.
    const auto running = agent.start();
    CHECK(says(running, "removed what another proxy had left behind"));
    CHECK_FALSE(has_table());
  }
}

}  // namespace
}  // namespace kubenatd::test
