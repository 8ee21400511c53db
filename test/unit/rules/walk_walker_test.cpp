#include <catch2/catch.hpp>

#include "test/unit/rules/walk_builder.h"

namespace kubenatd::rules::walk::test {
namespace {

using Type = Base::Type;

TEST_CASE("a walk through netfilter: odds and masquerade of each way") {
  Rules rules;
  rules.add("nat", "PREROUTING", {to("10.96.0.10"), tcp(), dport(80), jump("A")});
  rules.iptables("nat", "A").base.reset();
  rules.add("nat", "A", {jump("M")});
  rules.add("nat", "A", {Chance{0.25}, jump("E1")});
  rules.add("nat", "A", {jump("E2")});
  rules.add("nat", "M", {set_mark(0x4000, 0x4000)});
  rules.add("nat", "E1", {tcp(), dnat("10.244.1.5", 8080)});
  rules.add("nat", "E2", {tcp(), dnat("10.244.1.6", 8080)});
  rules.add("nat", "POSTROUTING", {marked(0x4000, 0x4000), masquerade()});
  const Walk result = walk(rules.set, packet("192.168.77.100", "10.96.0.10", 80), node());
  REQUIRE(result.outcomes.size() == 2);
  CHECK(describe(result.outcomes[0]) == "forwarded to 10.244.1.5:8080 masqueraded 0.25");
  CHECK(describe(result.outcomes[1]) == "forwarded to 10.244.1.6:8080 masqueraded 0.75");
  CHECK(result.outcomes[0].route.interface == "eth0");
  const auto path = result.path(result.outcomes[0]);
  REQUIRE_FALSE(path.empty());
  CHECK(result.hops[path.front()].chain->name == "PREROUTING");
  CHECK(result.hops[path.back()].chain->name == "POSTROUTING");
  CHECK(result.hops[path.back()].translated);
  CHECK(result.hops[path.back()].mark.bits == 0x4000);

  const Walk other = walk(rules.set, packet("192.168.77.100", "10.96.0.10", 81), node());
  REQUIRE(other.outcomes.size() == 1);
  CHECK_FALSE(other.outcomes[0].state.destination_changed);
  CHECK(other.hops[other.path(other.outcomes[0]).front()].part == Part::kDestinationPort);
}

TEST_CASE("a walk through netfilter: what cannot be judged splits the way and its odds are not known") {
  const auto ends = [](std::initializer_list<WalkRule> forward) {
    Rules rules;
    rules.iptables("filter", "FORWARD").rules = forward;
    rules.add("filter", "A", {Refuse{"icmp-port-unreachable"}});
    rules.iptables("filter", "B");
    const Walk result = walk(rules.set, packet("192.168.77.100", "10.0.0.1", 80), node());
    std::vector<std::string> all;
    for (const Outcome& outcome : result.outcomes)
      all.push_back(describe(outcome) + (outcome.doubts.empty() ? "" : " " + std::to_string(outcome.doubts.size())));
    std::ranges::sort(all);
    return fmt::format("{}", fmt::join(all, "; "));
  };
  CHECK(ends({rule({limit(), drop()})}) == "dropped ? 1; forwarded ? 1");
  CHECK(ends({rule({from("10.9.9.9"), limit(), drop()})}) == "forwarded");
  CHECK(ends({rule({limit(), from("10.9.9.9"), drop()})}) == "forwarded");
  CHECK(ends({rule({limit(), accept()})}) == "forwarded 1");
  CHECK(ends({rule({limit(), accept()}), rule({drop()})}) == "dropped ? 1; forwarded ? 1");
  CHECK(ends({rule({limit(), NoEffect{"LOG"}})}) == "forwarded");
  CHECK(ends({rule({limit(), jump("A")})}) == "forwarded ? 1; rejected ? 1");
  CHECK(ends({rule({limit(), ToVerdict{Verdict::kQueue, {}}})}) == "forwarded ? 1; unknown ? 1");
  CHECK(ends({rule({ToVerdict{Verdict::kQueue, {}}})}) == "unknown");
  CHECK(ends({rule({ToVerdict{Verdict::kQueueBypass, {}}})}) == "forwarded ? 1; unknown ? 1");
  CHECK(ends({rule({OtherTarget{"NEW"}})}) == "unknown");
  CHECK(ends({rule({jump("missing")})}) == "unknown");
  SECTION("many of them that all come back are one way in the end") {
    Rules rules;
    rules.iptables("filter", "B");
    for (int i = 0; i < 61; ++i) rules.add("filter", "FORWARD", {limit(), jump("B")});
    const Walk result = walk(rules.set, packet("192.168.77.100", "10.0.0.1", 80), node());
    REQUIRE(result.outcomes.size() == 1);
    CHECK(describe(result.outcomes[0]) == "forwarded");
    CHECK(result.outcomes[0].doubts.size() == 61);
    CHECK(result.hops.size() < 1000);
  }
  SECTION("only the bits of the mark that such a rule may set are not known") {
    const WalkRule mark = rule({limit(), set_mark(0x10, 0x10)});
    CHECK(ends({mark, rule({marked(0x4000, 0x4000), drop()})}) == "forwarded 1");
    CHECK(ends({mark, rule({marked(0x10, 0x10), drop()})}) == "dropped ? 2; forwarded ? 2");
  }
}

TEST_CASE("a walk through netfilter: rules that lead in circles or never end are cut") {
  Rules circle;
  circle.add("filter", "FORWARD", {jump("A")}).add("filter", "A", {jump("A")});
  const Packet example = packet("192.168.77.100", "10.0.0.1", 80);
  CHECK(walk(circle.set, example, node()).cut);
  Rules goes;
  goes.add("filter", "FORWARD", {go_to("A")}).add("filter", "A", {go_to("A")});
  CHECK(walk(goes.set, example, node()).cut);
  Rules doubts;
  doubts.add("filter", "FORWARD", {go_to("A")}).add("filter", "A", {limit(), go_to("A")});
  CHECK(outcomes(doubts.set, example) == "forwarded");
  // Each chain jumps to the next one four times: 4^15 rules.
  Rules many;
  many.add("filter", "FORWARD", {jump("C0")});
  for (int i = 0; i < 15; ++i)
    for (int again = 0; again < 4; ++again)
      many.add("filter", fmt::format("C{}", i).c_str(), {jump(fmt::format("C{}", i + 1))});
  many.iptables("filter", "C15");
  CHECK(walk(many.set, example, node()).cut);
}

TEST_CASE("a walk through netfilter: policy and return and goto end a chain where the kernel ends it") {
  const auto end = [](auto&& fill) {
    Rules rules;
    rules.iptables("filter", "FORWARD").base->policy_drop = true;
    rules.iptables("filter", "A");
    rules.iptables("filter", "B");
    fill(rules);
    rules.set.table(TableFamily::kIp, "filter").chains["FORWARD"].base->policy_drop = true;
    return outcomes(rules.set, packet("192.168.77.100", "10.0.0.1", 80));
  };
  CHECK(end([](Rules&) {}) == "dropped");
  CHECK(end([](Rules& r) { r.add("filter", "FORWARD", {accept()}); }) == "forwarded");
  CHECK(end([](Rules& r) { r.add("filter", "FORWARD", {back()}).add("filter", "FORWARD", {accept()}); }) == "dropped");
  CHECK(end([](Rules& r) {
          r.add("filter", "FORWARD", {jump("A")}).add("filter", "FORWARD", {accept()}).add("filter", "A", {back()});
        }) == "forwarded");
  CHECK(end([](Rules& r) { r.add("filter", "FORWARD", {go_to("A")}).add("filter", "FORWARD", {accept()}); }) ==
        "dropped");
  CHECK(end([](Rules& r) {
          r.add("filter", "FORWARD", {jump("A")}).add("filter", "FORWARD", {accept()});
          r.add("filter", "A", {go_to("B")}).add("filter", "A", {drop()});
        }) == "forwarded");
}

TEST_CASE("a walk through netfilter: accept ends one base chain and drop ends all") {
  const Packet example = packet("192.168.77.100", "10.0.0.1", 80);
  Rules rules;
  rules.add("filter", "FORWARD", {accept()});
  CHECK(outcomes(rules.set, example) == "forwarded");
  rules.base(TableFamily::kInet, "firewalld", "filter_FORWARD", {Hook::kForward, Type::kFilter, 10, false, {}})
      .rules.push_back(rule({drop()}));
  CHECK(outcomes(rules.set, example) == "dropped");
  CHECK(outcomes(rules.set, packet("192.168.77.100", "192.168.77.2", 80)) == "local");
  rules.set.table(TableFamily::kInet, "firewalld").dormant = true;
  CHECK(outcomes(rules.set, example) == "forwarded");
}

TEST_CASE("a walk through netfilter: a chain that was not read may do anything") {
  Rules rules;
  rules.add("filter", "FORWARD", {dport(80), jump("A")});
  rules.iptables("filter", "A").unread = true;
  CHECK(outcomes(rules.set, packet("192.168.77.100", "10.0.0.1", 80)) == "unknown");
  CHECK(outcomes(rules.set, packet("192.168.77.100", "10.0.0.1", 81)) == "forwarded");
}

TEST_CASE("a walk through netfilter: connection tracking begins behind raw and can be kept away") {
  Rules rules;
  rules.add("raw", "PREROUTING", {dport(81), in_state(1), set_mark(1, 1)});
  rules.add("raw", "PREROUTING", {dport(81), in_state(8), drop()});
  rules.add("raw", "PREROUTING", {dport(82), NoTrack{}});
  rules.add("nat", "PREROUTING", {to("10.96.0.10"), dnat("10.244.1.5", 8080)});
  rules.add("filter", "FORWARD", {dport(8080), in_state(2 | 4), drop()});
  rules.add("filter", "FORWARD", {dport(8080), in_state(8, true), drop()});
  rules.add("filter", "FORWARD", {in_state(64), Refuse{"icmp-port-unreachable"}});
  CHECK(outcomes(rules.set, packet("192.168.77.100", "10.96.0.10", 80)) == "forwarded to 10.244.1.5:8080");
  const Walk result = walk(rules.set, packet("192.168.77.100", "10.96.0.10", 81), node());
  CHECK(result.outcomes.at(0).state.mark.bits == 1);
  CHECK(outcomes(rules.set, packet("192.168.77.100", "10.96.0.10", 82)) == "rejected");
}

TEST_CASE("a walk through netfilter: the chains of nat run at one place until one sets a mapping") {
  Rules rules;
  const auto nat = [&](const char* table, std::int32_t priority, std::initializer_list<Statement> statements) {
    rules.base(TableFamily::kIp, table, "dst", {Hook::kPrerouting, Type::kNat, priority, false, {}})
        .rules.push_back(rule(statements));
  };
  nat("later", 0, {dnat("10.244.1.7")});
  nat("sooner", -150, {dport(80), dnat("10.244.1.5")});
  nat("sooner", -150, {dport(81), accept()});
  rules.add("mangle", "PREROUTING", {to("10.244.1.5"), drop()});  // -150, before nat whatever its chains say
  rules.base(TableFamily::kIp, "between", "pre", {Hook::kPrerouting, Type::kFilter, -50, false, {}})
      .rules.push_back(rule({to("10.244.1.7"), Refuse{"tcp-reset"}}));
  CHECK(outcomes(rules.set, packet("192.168.77.100", "10.96.0.10", 80)) == "forwarded to 10.244.1.5:80");
  CHECK(outcomes(rules.set, packet("192.168.77.100", "10.96.0.10", 81)) == "rejected to 10.244.1.7:81");
}

TEST_CASE("a walk through netfilter: of equal priorities the table that came later is first") {
  Rules rules;
  const Base place{Hook::kPrerouting, Type::kFilter, -150, false, {}};
  rules.base(TableFamily::kIp, "one", "a", place).rules.push_back(rule({marked(0, 1), set_mark(1, 1)}));
  rules.base(TableFamily::kInet, "two", "b", place).rules.push_back(rule({marked(0, 1), set_mark(3, 3)}));
  const Packet example = packet("192.168.77.100", "10.0.0.1", 80);
  CHECK(walk(rules.set, example, node()).outcomes.at(0).state.mark.bits == 3);
  rules.set.table(TableFamily::kIp, "one").handle = 9;
  rules.set.table(TableFamily::kInet, "two").handle = 8;
  CHECK(walk(rules.set, example, node()).outcomes.at(0).state.mark.bits == 1);
}

TEST_CASE("a walk through netfilter: what a node sends to itself comes in again by lo") {
  Rules rules;
  rules.add("nat", "OUTPUT", {to("10.96.0.10"), dnat("192.168.77.2", 9000)});
  rules.add("nat", "PREROUTING", {dnat("10.9.9.9")});  // not asked: the connection is known
  rules.add("raw", "PREROUTING", {in_by("lo"), in_state(8), dport(9000), set_mark(5, 0xff)});
  rules.add("filter", "INPUT", {in_by("lo"), dport(9001), drop()});
  rules.add("filter", "INPUT", {equals(ct(NFT_CT_STATUS), Bytes::host(0)), drop()});
  // The way out in OUTPUT is the first one, although nat has changed it.
  rules.add("filter", "OUTPUT", {out_by("lo"), drop()});
  rules.add("mangle", "POSTROUTING", {out_by("eth0"), drop()});
  const Walk result = walk(rules.set, sent("192.168.77.2", "10.96.0.10", 80), node());
  REQUIRE(result.outcomes.size() == 1);
  CHECK(describe(result.outcomes[0]) == "local to 192.168.77.2:9000");
  CHECK(result.outcomes[0].state.mark.bits == 5);
}

TEST_CASE("a walk through netfilter: a mark that mangle gives decides about the route again") {
  Rules rules;
  rules.add("mangle", "OUTPUT", {dport(80), set_mark(7, 0xff)});
  rules.add("filter", "OUTPUT", {out_by("wg0"), drop()});
  rules.add("mangle", "POSTROUTING", {out_by("eth0"), drop()});
  Surroundings marked_routes = node();
  marked_routes.ask_route = [](const RouteQuestion& question) -> RouteAnswer {
    if (question.destination == ip("192.168.77.2")) return {RouteAnswer::Kind::kLocal, "lo", {}, {}};
    return {RouteAnswer::Kind::kForward, question.mark == 7 ? "wg0" : "eth0", {}, {}};
  };
  CHECK(outcomes(rules.set, sent("192.168.77.2", "10.0.0.1", 80), marked_routes) == "forwarded");
  CHECK(outcomes(rules.set, sent("192.168.77.2", "10.0.0.1", 81), marked_routes) == "dropped");
}

TEST_CASE("a walk through netfilter: the node around it decides as well") {
  Rules rules;
  rules.add("nat", "PREROUTING", {dport(8443), dnat("127.0.0.1")});
  const Packet example = packet("198.51.100.7", "10.0.0.1", 80);
  const auto cause = [&](const Packet& asked, const Surroundings& surroundings) {
    const Walk result = walk(rules.set, asked, surroundings);
    REQUIRE(result.outcomes.size() == 1);
    return std::pair{result.outcomes[0].end, result.outcomes[0].cause};
  };
  using Pair = std::pair<End, Cause>;
  Surroundings off = node();
  off.ip_forward = false;
  CHECK(cause(example, off) == Pair{End::kDropped, Cause::kForwardingOff});
  CHECK(cause(packet("198.51.100.7", "192.168.77.2", 80), off) == Pair{End::kLocal, Cause::kRules});
  Surroundings asked = node();
  RouteAnswer answer;
  asked.ask_route = [&](const RouteQuestion& question) -> RouteAnswer {
    if (question.destination == ip("10.0.0.1")) return answer;
    return {RouteAnswer::Kind::kForward, "eth0", {}, {}};
  };
  const std::pair<RouteAnswer::Kind, Pair> kinds[] = {
      {RouteAnswer::Kind::kNone, {End::kRejected, Cause::kNoRoute}},
      {RouteAnswer::Kind::kUnreachable, {End::kRejected, Cause::kUnreachableRoute}},
      {RouteAnswer::Kind::kProhibit, {End::kRejected, Cause::kProhibitRoute}},
      {RouteAnswer::Kind::kBlackhole, {End::kDropped, Cause::kBlackholeRoute}},
      {RouteAnswer::Kind::kUnknown, {End::kUnknown, Cause::kRouteUnknown}},
      {RouteAnswer::Kind::kForward, {End::kForwarded, Cause::kRules}},
  };
  for (const auto& [kind, wanted] : kinds) {
    answer.kind = kind;
    CHECK(cause(example, asked) == wanted);
  }
  answer.interface = "eth0";
  asked.rp_filter = [](const std::string&) { return 1; };
  CHECK(cause(example, asked) == Pair{End::kForwarded, Cause::kRules});
  Packet wrong_side = example;
  wrong_side.in_interface = "pod0";
  CHECK(cause(wrong_side, asked) == Pair{End::kDropped, Cause::kReversePath});
  asked.rp_filter = [](const std::string&) { return 2; };
  CHECK(cause(wrong_side, asked) == Pair{End::kForwarded, Cause::kRules});
  CHECK(cause(packet("192.168.77.2", "10.0.0.1", 80), node()) == Pair{End::kDropped, Cause::kMartian});
  const Packet to_loopback = packet("198.51.100.7", "192.168.77.2", 8443);
  CHECK(cause(to_loopback, node()) == Pair{End::kUnknown, Cause::kMartian});
  Surroundings localnet = node();
  localnet.route_localnet = [](const std::string&) { return false; };
  CHECK(cause(to_loopback, localnet) == Pair{End::kDropped, Cause::kMartian});
  localnet.route_localnet = [](const std::string&) { return true; };
  CHECK(cause(to_loopback, localnet) == Pair{End::kLocal, Cause::kRules});
  CHECK(walk(rules.set, example, node()).outcomes.at(0).end == End::kForwarded);
  Surroundings nothing;
  CHECK(outcomes(rules.set, example, nothing) == "forwarded");
}

TEST_CASE("a walk through netfilter: a device's ingress chain when the device is known and when it is not") {
  Rules rules;
  rules.base(TableFamily::kNetdev, "early", "in", {Hook::kIngress, Type::kFilter, 0, false, {"eth0"}})
      .rules.push_back(rule({dport(80), drop()}));
  Packet example = packet("198.51.100.7", "10.0.0.1", 80);
  CHECK(outcomes(rules.set, example) == "dropped");
  example.in_interface = "eth1";
  CHECK(outcomes(rules.set, example) == "forwarded");
  example.in_interface = "";
  CHECK(outcomes(rules.set, example) == "dropped ?; forwarded ?");
  example.destination_port = 81;
  CHECK(outcomes(rules.set, example) == "forwarded");
}

TEST_CASE("a walk through netfilter: forms of destination nat") {
  Rules rules;
  Nat range = dnat("10.244.1.11", 80);
  range.last_address = constant(bytes_of("10.244.1.14"));
  rules.add("nat", "PREROUTING", {dport(8003), range});
  Nat redirect;
  redirect.kind = Nat::Kind::kRedirect;
  redirect.port = constant(port_bytes(15001));
  rules.add("nat", "PREROUTING", {dport(8004), redirect});
  Nat ports = dnat("10.244.1.11", 9000);
  ports.last_port = constant(port_bytes(9010));
  rules.add("nat", "PREROUTING", {dport(8009), ports});
  rules.add("nat", "PREROUTING", {dport(9005), ports});
  Nat mapped = dnat("10.9.0.0");
  mapped.last_address = constant(bytes_of("10.9.255.255"));
  mapped.netmap = true;
  rules.add("nat", "PREROUTING", {dport(8010), mapped});
  rules.add("nat", "PREROUTING", {dport(8011), dnat("198.51.100.10", 8011)});
  rules.add("filter", "FORWARD", {to("10.244.1.12"), set_mark(1, 1)});
  Tproxy tproxy;
  tproxy.port = constant(port_bytes(15006));
  tproxy.mark = 0x539;
  rules.add("mangle", "PREROUTING", {dport(8008), tproxy});
  const auto only = [&](std::uint16_t port) {
    Walk result = walk(rules.set, packet("192.0.2.9", "198.51.100.10", port), node());
    REQUIRE_FALSE(result.outcomes.empty());
    return result.outcomes.front();
  };
  const Outcome one_of = only(8003);
  CHECK(one_of.state.packet.destination == ip("10.244.1.11"));
  CHECK(one_of.state.last_destination == ip("10.244.1.14"));
  CHECK(one_of.state.packet.destination_port == 80);
  CHECK(one_of.state.mark.unknown == 1);  // it may be .12
  const Outcome here = only(8004);
  CHECK(here.end == End::kLocal);
  CHECK(here.state.packet.destination_port == 15001);
  CHECK(here.state.packet.destination == ip("192.168.77.2"));
  const Outcome some_port = only(8009);
  CHECK(some_port.state.last_destination_port == 9010);
  CHECK(some_port.state.packet.destination_port == 9000);
  CHECK(only(9005).state.packet.destination_port == 9005);
  CHECK_FALSE(only(9005).state.last_destination_port);
  CHECK(only(8010).state.packet.destination == ip("10.9.100.10"));
  CHECK_FALSE(only(8011).state.destination_changed);
  const Outcome proxied = only(8008);
  CHECK(proxied.end == End::kLocal);
  CHECK(proxied.state.tproxy_port == 15006);
  CHECK(proxied.state.mark.bits == 0x539);
}

TEST_CASE("a walk through netfilter: numbers drawn again from a larger range give each endpoint one outcome") {
  Rules rules;
  WalkTable& table = rules.set.table(TableFamily::kIp, "nat");
  WalkSet& map = table.sets["endpoints"];
  map.name = "endpoints";
  map.parts = {4, 4};
  map.data_size = 8;
  map.is_map = true;
  const auto element = [&](std::uint32_t range, std::uint32_t number, const char* address) {
    SetElement made;
    made.first = Bytes::host(range);
    made.first.append(Bytes::host(number));
    made.last = made.first;
    made.data = bytes_of(address);
    made.data.append(port_bytes(8080));
    made.data.append(Bytes::filled(2, 0));
    map.elements.push_back(made);
  };
  for (const std::uint32_t number : {0U, 1U}) element(4, number, number == 0 ? "10.244.1.5" : "10.244.1.6");
  for (std::uint32_t number = 0; number < 16; ++number)
    element(16, number, number % 2 == 0 ? "10.244.1.5" : "10.244.1.7");
  const auto draw = [&](std::uint32_t range) {
    const ExpressionPtr data =
        make(MapLookup{make(Concat{{constant(Bytes::host(range)), random_number(range)}}), "endpoints", 8});
    Nat nat;
    nat.address = make(Slice{data, 0, 4});
    nat.port = make(Slice{data, 4, 2});
    return nat;
  };
  rules.add("nat", "PREROUTING", {to("10.96.0.10"), draw(4)});
  rules.add("nat", "PREROUTING", {to("10.96.0.10"), draw(16)});
  CHECK(outcomes(rules.set, packet("192.168.77.100", "10.96.0.10", 80)) ==
        "forwarded to 10.244.1.5:8080 0.5; forwarded to 10.244.1.6:8080 0.25; forwarded to 10.244.1.7:8080 0.25");

  SECTION("and a client that came lately has any of them") {
    WalkSet& affinity = table.sets["affinity"];
    affinity.name = "affinity";
    affinity.parts = {4};
    affinity.data_size = 8;
    affinity.is_map = affinity.dynamic = true;
    affinity.complete = false;
    const ExpressionPtr data = make(MapLookup{saddr(), "affinity", 8});
    Nat again;
    again.address = make(Slice{data, 0, 4});
    again.port = make(Slice{data, 4, 2});
    auto& chain = rules.iptables("nat", "PREROUTING").rules;
    chain.insert(chain.begin(), rule({again}));
    const std::string all = outcomes(rules.set, packet("192.168.77.100", "10.96.0.10", 80));
    CHECK(all ==
          "forwarded to 10.244.1.5:8080 0.5; forwarded to 10.244.1.6:8080 0.25; forwarded to 10.244.1.7:8080 0.25; "
          "forwarded to 10.244.1.5:8080 remembered; forwarded to 10.244.1.6:8080 remembered; "
          "forwarded to 10.244.1.7:8080 remembered");
    rules.set.look_up = [&](const WalkTable&, const WalkSet&, const Bytes& key) {
      Found found;
      found.answer = key == bytes_of("192.168.77.100") ? Found::Answer::kThere : Found::Answer::kAbsent;
      found.element.data = bytes_of("10.244.1.6");
      found.element.data.append(port_bytes(8080));
      return found;
    };
    CHECK(outcomes(rules.set, packet("192.168.77.100", "10.96.0.10", 80)) == "forwarded to 10.244.1.6:8080");
  }
}

TEST_CASE("a walk through netfilter: a rule for clients that came lately is a way of its own") {
  Rules rules;
  rules.add("nat", "PREROUTING", {Remembered{"A", false}, jump("E1")});
  rules.add("nat", "PREROUTING", {jump("E2")});
  rules.add("nat", "E1", {dnat("10.244.1.5", 8080)});
  rules.add("nat", "E2", {dnat("10.244.1.6", 8080)});
  CHECK(outcomes(rules.set, packet("192.168.77.100", "10.96.0.10", 80)) ==
        "forwarded to 10.244.1.6:8080; forwarded to 10.244.1.5:8080 remembered");
}

TEST_CASE("a walk through netfilter: sources are not known behind masquerading but by the route") {
  Rules rules;
  rules.add("nat", "POSTROUTING", {masquerade()});
  rules.base(TableFamily::kNetdev, "late", "out", {Hook::kEgress, Type::kFilter, 0, false, {"eth0"}})
      .rules.push_back(rule({from("192.168.77.2"), drop()}));
  const Packet example = packet("198.51.100.7", "10.0.0.1", 80);
  CHECK(outcomes(rules.set, example) == "forwarded masqueraded ?; dropped masqueraded ?");
  Surroundings asked = node();
  asked.ask_route = [](const RouteQuestion&) -> RouteAnswer {
    return {RouteAnswer::Kind::kForward, "eth0", ip("192.168.77.2"), {}};
  };
  CHECK(outcomes(rules.set, example, asked) == "dropped masqueraded");
}

TEST_CASE("a walk through netfilter: ten thousand services in one chain cost one hop each") {
  Rules rules;
  auto& services = rules.iptables("nat", "PREROUTING").rules;
  for (int i = 0; i < 10'000; ++i)
    services.push_back(
        rule({to(fmt::format("10.96.{}.{}", i / 250, i % 250 + 1).c_str()), tcp(), dport(80), jump("E")}));
  rules.add("nat", "E", {dnat("10.244.1.5", 8080)});
  const Walk result = walk(rules.set, packet("192.168.77.100", "10.96.39.250", 80), node());
  REQUIRE(result.outcomes.size() == 1);
  CHECK(describe(result.outcomes[0]) == "forwarded to 10.244.1.5:8080");
  CHECK(result.hops.size() == 10'001);
}

}  // namespace
}  // namespace kubenatd::rules::walk::test
