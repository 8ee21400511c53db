#include "rules/hostport/host_ports.h"

#include <catch2/catch.hpp>

#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"
#include "rules/text.h"

namespace kubenatd::rules::hostport {
namespace {

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

Mapping tcp(std::uint16_t host, std::uint16_t container, std::optional<Address> host_ip = {}) {
  return {Protocol::kTcp, host, container, host_ip};
}

PodPorts web() {
  return {.id = "demo/web", .address = ip("10.244.1.5"), .mappings = {tcp(8080, 80)}};
}

std::vector<std::string> texts(const std::vector<Rule>& rules, Family family = Family::kIpv4) {
  std::vector<std::string> all;
  for (const Rule& rule : rules) all.push_back(to_text(rule, family));
  return all;
}

TEST_CASE("container chains have portmap's names") {
  // From portmap's own tests, and from a kind node.
  const std::string id =
      "icee6giejonei6sohng6ahngee7laquohquee9shiGo7fohferakah3Feiyoolu2pei7ciPhoh7shaoX6vai3vuf0ahfaeng8yohb9ceu0daez5h"
      "ashe"
      "e8ooYai5wa3y";
  CHECK(container_chain("test", id).view() == "CNI-DN-67e92b96e692a494b6b85");
  CHECK(container_chain("testNetName", id).view() == "CNI-DN-bfd599665540dd91d5d28");
  CHECK(container_chain("kindnet", "0123456789abcdef").view() == "CNI-DN-26a2c5f26c25c64d29ac5");
}

TEST_CASE("a pod's id is its name, and always fits into a comment") {
  CHECK(container_id("demo", "web-1") == "demo/web-1");
  const std::string long_name(253, 'a');
  const std::string one = container_id(std::string(63, 'n'), long_name + "b");
  const std::string other = container_id(std::string(63, 'n'), long_name + "c");
  CHECK(one != other);
  CHECK(entry_comment(kNetwork, one).size() <= 255);
}

TEST_CASE("a pod's rules are portmap's, in its order") {
  PodPorts pod = web();
  pod.mappings.push_back({Protocol::kUdp, 8053, 53, ip("192.0.2.1")});
  const ChainRules chain = compile_container(pod);
  CHECK(chain.id.name == container_chain("kubenatd", "demo/web"));
  CHECK(texts(chain.rules) == std::vector<std::string>{
                                  "-s 10.244.1.5/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
                                  "-s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
                                  "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.244.1.5:80",
                                  "-s 10.244.1.5/32 -d 192.0.2.1/32 -p udp -m udp --dport 8053 -j CNI-HOSTPORT-SETMARK",
                                  "-s 127.0.0.1/32 -d 192.0.2.1/32 -p udp -m udp --dport 8053 -j CNI-HOSTPORT-SETMARK",
                                  "-d 192.0.2.1/32 -p udp -m udp --dport 8053 -j DNAT --to-destination 10.244.1.5:53",
                              });
  const std::string jump = " -j " + std::string(chain.id.name.view());
  CHECK(
      texts(compile_entries(pod)) ==
      std::vector<std::string>{
          R"(-p tcp -m comment --comment "dnat name: \"kubenatd\" id: \"demo/web\"" -m multiport --dports 8080)" + jump,
          R"(-p udp -m comment --comment "dnat name: \"kubenatd\" id: \"demo/web\"" -m multiport --dports 8053)" + jump,
      });
}

TEST_CASE("IPv6 has no localhost to be masqueraded") {
  const PodPorts pod{.id = "demo/web", .address = ip("fd00::5"), .mappings = {tcp(8080, 80)}};
  CHECK(texts(compile_container(pod).rules, Family::kIpv6) ==
        std::vector<std::string>{
            "-s fd00::5/128 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK",
            "-p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00::5]:80",
        });
}

TEST_CASE("one entry rule holds fifteen ports") {
  PodPorts pod = web();
  pod.mappings.clear();
  for (std::uint16_t port = 1; port <= 31; ++port) pod.mappings.push_back(tcp(port, port));
  const std::vector<Rule> entries = compile_entries(pod);
  REQUIRE(entries.size() == 3);
  CHECK(std::get<MultiportMatch>(entries[0].matches[1]).destinations.size() == 15);
  CHECK(std::get<MultiportMatch>(entries[2].matches[1]).destinations == std::vector<std::uint16_t>{31});
}

TEST_CASE("an entry is ours by its comment and by the chain that follows from it") {
  Rule entry = compile_entries(web()).front();
  CHECK(own_entry(entry) == "demo/web");
  CHECK(is_own_rule(kDnatChain, entry));
  SECTION("another chain") {
    entry.target = Jump{"CNI-DN-67e92b96e692a494b6b85"};
  }
  SECTION("another network") {
    entry.matches.front() = CommentMatch{entry_comment("kindnet", "demo/web")};
    entry.target = Jump{std::string(container_chain("kindnet", "demo/web").view())};
  }
  SECTION("a comment that ends early") {
    const auto cut = GENERATE(1, 10, 20, 24, 25, 26, 30);
    entry.matches.front() = CommentMatch{entry_comment(kNetwork, "demo/web").substr(0, static_cast<std::size_t>(cut))};
  }
  CHECK_FALSE(own_entry(entry));
  CHECK_FALSE(is_own_rule(kDnatChain, entry));
}

TEST_CASE("shared rules are known by their content") {
  for (const ChainRules& chain : compile_shared()) {
    CHECK(is_shared_chain(Table::kNat, chain.id.name));
    CHECK(is_own_rule(chain.id.name, chain.rules.front()));
    CHECK_FALSE(is_own_rule(chain.id.name, compile_entries(web()).front()));
  }
  CHECK_FALSE(is_shared_chain(Table::kFilter, kDnatChain));
  CHECK_FALSE(is_container_chain(Table::kFilter, "CNI-DN-67e92b96e692a494b6b85"));
  CHECK_FALSE(is_container_chain(Table::kNat, "CNI-DN-" + std::string(40, 'a')));
}

TEST_CASE("what is wanted is told once") {
  HostPorts ports;
  CHECK_FALSE(ports.has_changes());
  ports.set_pods({web()});
  const auto name = container_chain(kNetwork, "demo/web");
  auto changes = ports.take_changes();
  CHECK(changes.changed == std::set{name});
  const auto version = ports.version();
  ports.set_pods({web()});
  CHECK_FALSE(ports.has_changes());
  CHECK(ports.version() == version);
  ports.set_pods({});
  changes = ports.take_changes();
  CHECK(changes.gone == std::set{name});
  CHECK(changes.changed.empty());
  CHECK(ports.empty());
}

TEST_CASE("a port that others serve is withheld, and taken over when they let go") {
  HostPorts ports;
  PodPorts pod = web();
  pod.mappings.push_back(tcp(8443, 443));
  ports.set_pods({pod});
  (void)ports.take_changes();
  const Claim claim{Protocol::kTcp, 8080, {}, "chain CNI-DN-1"};
  ports.set_foreign({claim});
  REQUIRE(ports.chains().size() == 1);
  CHECK(ports.chains().begin()->second.pod.mappings == std::vector{tcp(8443, 443)});
  CHECK(ports.take_changes().changed.size() == 1);
  const auto remarks = ports.take_remarks();
  REQUIRE(remarks.size() == 1);
  CHECK(to_text(remarks.front()) == "Pod demo/web: hostPort 8080/tcp is withheld: chain CNI-DN-1 serves it already");
  ports.set_foreign({claim});
  CHECK_FALSE(ports.has_changes());
  CHECK(ports.take_remarks().empty());
  ports.set_foreign({claim, {Protocol::kTcp, 8443, {}, "table cni_hostport"}});
  CHECK(ports.empty());
  CHECK(ports.take_changes().gone.size() == 1);
  ports.set_foreign({});
  CHECK(ports.take_changes().changed.size() == 1);
  CHECK(ports.chains().begin()->second.pod == pod);
  CHECK(to_text(ports.take_remarks().back()) == "Pod demo/web: hostPort 8443/tcp is no longer withheld");
}

TEST_CASE("only the same protocol, port and address is served already") {
  const auto withheld = [](const Mapping& mapping, const Claim& claim) {
    HostPorts ports;
    ports.set_foreign({claim});
    ports.set_pods({{.id = "a", .address = ip("10.0.0.1"), .mappings = {mapping}}});
    return ports.empty();
  };
  const Claim everywhere{Protocol::kTcp, 80, {}, "x"};
  const Claim somewhere{Protocol::kTcp, 80, ip("192.0.2.1"), "x"};
  CHECK(withheld(tcp(80, 1), everywhere));
  CHECK(withheld(tcp(80, 1), somewhere));
  CHECK(withheld(tcp(80, 1, ip("192.0.2.1")), everywhere));
  CHECK(withheld(tcp(80, 1, ip("192.0.2.1")), somewhere));
  CHECK_FALSE(withheld(tcp(80, 1, ip("192.0.2.2")), somewhere));
  CHECK_FALSE(withheld(tcp(81, 1), everywhere));
  CHECK_FALSE(withheld({Protocol::kUdp, 80, 1, {}}, everywhere));
}

TEST_CASE("a refused pod is out until it changes") {
  HostPorts ports;
  ports.set_pods({web()});
  CHECK(ports.owner_of(container_chain(kNetwork, "demo/web"), {}) == "demo/web");
  Rule entry = compile_entries(web()).front();
  CHECK(ports.owner_of(ChainName(kDnatChain), digest_of(entry)) == "demo/web");
  CHECK_FALSE(ports.owner_of(ChainName("KUBE-SERVICES"), digest_of(entry)));
  entry.protocol = Protocol::kUdp;  // with the same comment
  CHECK_FALSE(ports.owner_of(ChainName(kDnatChain), digest_of(entry)));
  REQUIRE(ports.wanted_by("demo/web") != nullptr);
  CHECK(*ports.wanted_by("demo/web") == web());
  CHECK(ports.wanted_by("demo/other") == nullptr);
  ports.refuse("demo/web");
  CHECK(ports.empty());
  CHECK(ports.wanted_by("demo/web") != nullptr);
  ports.set_pods({web(), {.id = "demo/other", .address = ip("10.0.0.9"), .mappings = {tcp(1, 1)}}});
  CHECK(ports.chains().size() == 1);
  PodPorts changed = web();
  changed.address = ip("10.244.1.6");
  ports.set_pods({changed});
  CHECK(ports.chains().size() == 1);
}

}  // namespace
}  // namespace kubenatd::rules::hostport
