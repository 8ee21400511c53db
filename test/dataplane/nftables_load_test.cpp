#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "test/dataplane/sync_support.h"

// What nft lists of kubenatd's table, it loads again: people keep their firewall in such a file.
namespace kubenatd::agent::test {
namespace {

/// The programs to try: KUBENATD_NFT, divided by blanks, or the nft that is installed.
std::vector<std::string> programs() {
  const char* named = std::getenv("KUBENATD_NFT");
  std::istringstream words(named == nullptr ? "nft" : named);
  std::vector<std::string> all;
  for (std::string word; words >> word;) all.push_back(word);
  return all;
}

/// Lines without the order of elements, which is that of a hash table.
std::vector<std::string> sorted(const std::string& listed) {
  std::vector<std::string> lines;
  for (std::string line : kubenatd::test::lines_of(listed)) {
    const std::size_t first = line.find_first_not_of("\t ");
    if (first == std::string::npos) continue;
    line.erase(0, first);
    for (const std::string_view word : {"elements = { ", ",", " }"})
      if (const std::size_t at = line.find(word); at != std::string::npos) line.erase(at, word.size());
    lines.push_back(line);
  }
  std::ranges::sort(lines);
  return lines;
}

std::vector<objects::ObjectEvent> objects() {
  std::vector<objects::ObjectEvent> all;
  const auto add = [&](const objects::Service& one, std::size_t endpoints, const std::string& prefix) {
    std::vector<std::string> addresses;
    for (std::size_t i = 1; i <= endpoints; ++i) addresses.push_back(prefix + std::to_string(i));
    all.push_back(put(slice(one.key.name, addresses, one.ports[0].protocol)));
    all.push_back(put(one));
  };
  objects::Service sticky = service("sticky", "10.96.0.1");
  sticky.affinity_seconds = 10800;
  sticky.ports[0].node_port = 30080;
  add(sticky, 5, "10.244.1.");
  objects::Service dns = service("dns", "10.96.0.10");
  dns.ports[0].protocol = rules::Protocol::kUdp;
  add(dns, 3, "10.244.2.");
  objects::Service outside = service("outside", "10.96.0.4");
  outside.external_policy_local = true;
  outside.load_balancer_ips = {ip("203.0.113.4")};
  outside.source_ranges = {rules::Prefix::parse("192.0.2.0/24").value()};
  add(outside, 70, "10.244.1.");
  add(service("idle", "10.96.0.3"), 0, "");
  objects::Service six = service("six", "fd00:10:96::1");
  six.affinity_seconds = 60;
  add(six, 20, "fd00:10:244:1::");
  return all;
}

}  // namespace

TEST_CASE("nft loads what it lists of the table, lists it again, and nothing that matters differs", "[real]") {
  REAL_WORLD_ONLY("it has no nft that reads rules");
  Agent agent(nftables_config());
  CHECK(agent.apply(objects()).wrote());
  for (const std::string& nft : programs()) {
    INFO(nft);
    const std::string listed = must_run({nft, "list", "ruleset"}, {});
    must_run({nft, "flush", "ruleset"}, {});
    must_run({nft, "-f", "-"}, listed);
    CHECK(sorted(must_run({nft, "list", "ruleset"}, {})) == sorted(listed));
    // These two nft writes in another way that does the same: with other registers, and (1.0.6) with a change of byte
    // order of no bytes.
    for (const std::string& line : kubenatd::test::lines_of(difference(nftables_config(), objects())))
      if (!line.empty() && line[0] != ' ') CHECK((line.ends_with(" remember") || line.ends_with(" firewall")));
    agent.audit();
    CHECK(difference(nftables_config(), objects()) == "");
    // So that the next program meets nothing that this one has written: 1.0.6 aborts where a later one declared sets.
    must_run({nft, "flush", "ruleset"}, {});
    agent.audit();
    CHECK(difference(nftables_config(), objects()) == "");
  }
}

TEST_CASE("the table of a version that drew numbers inside keys is replaced", "[real]") {
  REAL_WORLD_ONLY("it has no nft that reads rules");
  must_run({"nft", "-f", "-"},
           "table ip kubenatd {\n"
           " set larger { type ipv4_addr . inet_proto . inet_service . mark\n }\n"
           " map endpoints { type ipv4_addr . inet_proto . inet_service . mark : ipv4_addr . inet_service\n"
           "  elements = { 10.96.0.10 . udp . 80 . 0x0 : 10.244.2.9 . 8080 }\n }\n"
           " chain services { ip daddr 10.96.0.10 drop\n }\n"
           " chain nat-prerouting { type nat hook prerouting priority -100\n  jump services\n }\n"
           "}\n");
  Agent agent(nftables_config());
  CHECK(agent.apply(objects()).wrote());
  CHECK(difference(nftables_config(), objects()) == "");
  const std::string listed = must_run("nft list ruleset");
  CHECK_FALSE(has_line(listed, "mark : ipv4_addr"));
  CHECK(has_line(listed, "10.96.0.10 . udp . 80 . 7f00:0"));
}

}  // namespace kubenatd::agent::test
