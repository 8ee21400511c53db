#include "rules/digest.h"

#include <catch2/catch.hpp>
#include <functional>
#include <map>

#include "rules/siphash.h"

using namespace kubenatd::rules;

namespace {

/// A rule in which every field is set.
Rule full_rule() {
  Rule rule;
  rule.source = AddressMatch{*Prefix::parse("10.0.0.0/8"), true};
  rule.destination = AddressMatch{*Prefix::parse("10.96.0.1/32"), false};
  rule.in_interface = InterfaceMatch{"veth", true, true};
  rule.out_interface = InterfaceMatch{"eth0", false, false};
  rule.protocol = Protocol::kTcp;
  rule.matches = {CommentMatch{"ns/a"},
                  PortMatch{Protocol::kTcp, std::uint16_t{80}},
                  MarkMatch{0x4000, 0x4000, true},
                  ConntrackMatch{kStateNew, false},
                  AddrTypeMatch{false, true},
                  StatisticMatch{0x40000000},
                  RecentMatch{"KUBE-SEP-A", RecentMatch::Action::kCheck, 10800, true},
                  NfacctMatch{"counter"},
                  MultiportMatch{{80, 443}}};
  rule.target = Jump{"KUBE-SVC-A", false};
  return rule;
}

template <class Kind>
Kind& match(Rule& rule) {
  for (Match& match : rule.matches)
    if (auto* found = std::get_if<Kind>(&match)) return *found;
  throw std::logic_error("no such match");
}

Digest with_target(Target target) {
  Rule rule;
  rule.target = std::move(target);
  return digest_of(rule);
}

}  // namespace

TEST_CASE("SipHash-2-4-128 gives the published values") {
  const SipHash128::Key key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  // From the reference implementation's vectors: input 00 01 02 ... of so many bytes.
  const std::map<std::size_t, std::array<std::uint64_t, 2>> expected = {
      {0, {0xe6a825ba047f81a3, 0x930255c71472f66d}},  {1, {0x44af996bd8c187da, 0x45fc229b11597634}},
      {8, {0x61f55862baa9623b, 0xb49714f364e2830f}},  {15, {0x11a8b03399e99354, 0xd9c3cf970fec087e}},
      {63, {0x4a83502f77d15051, 0x7cbd3f979a063e50}},
  };
  for (const auto& [size, words] : expected) {
    SipHash128 hash(key);
    for (std::size_t i = 0; i < size; ++i) hash.add(static_cast<std::uint8_t>(i));
    CHECK(hash.finish() == words);
  }
}

TEST_CASE("SipHash gives the same value however the message is cut") {
  const SipHash128::Key key{1, 2};
  std::vector<std::uint8_t> message(1500);
  for (std::size_t i = 0; i < message.size(); ++i) message[i] = static_cast<std::uint8_t>(i * 7);
  SipHash128 whole(key);
  whole.add(message);
  const auto expected = whole.finish();
  for (const std::size_t piece : {1U, 3U, 8U, 255U, 256U, 257U}) {
    SipHash128 hash(key);
    for (std::size_t at = 0; at < message.size(); at += piece)
      hash.add(std::span(message).subspan(at, std::min<std::size_t>(piece, message.size() - at)));
    CHECK(hash.finish() == expected);
  }
}

TEST_CASE("a digest changes with every field of a rule") {
  using Change = std::function<void(Rule&)>;
  const Change changes[] = {
      [](Rule&) {},
      [](Rule& r) { r.source.reset(); },
      [](Rule& r) { r.source->negate = false; },
      [](Rule& r) { r.source->prefix.length = 9; },
      [](Rule& r) { r.source->prefix.address.bytes[1] = 1; },
      [](Rule& r) { r.source->prefix.address.family = Family::kIpv6; },
      [](Rule& r) { r.destination.reset(); },
      [](Rule& r) { r.destination->negate = true; },
      [](Rule& r) { std::swap(r.source, r.destination); },
      [](Rule& r) { r.in_interface.reset(); },
      [](Rule& r) { r.in_interface->name = std::string("vet"); },
      [](Rule& r) { r.in_interface->prefix = false; },
      [](Rule& r) { r.in_interface->negate = false; },
      [](Rule& r) { r.out_interface.reset(); },
      [](Rule& r) { std::swap(r.in_interface, r.out_interface); },
      [](Rule& r) { r.protocol.reset(); },
      [](Rule& r) { r.protocol = Protocol::kUdp; },
      [](Rule& r) { match<CommentMatch>(r).text = std::string("ns/b"); },
      [](Rule& r) { match<CommentMatch>(r).text += '\0'; },
      [](Rule& r) { match<PortMatch>(r).destination = 81; },
      [](Rule& r) { match<PortMatch>(r).destination.reset(); },
      [](Rule& r) { match<PortMatch>(r).destination = 0; },
      [](Rule& r) { match<PortMatch>(r).protocol = Protocol::kSctp; },
      [](Rule& r) { match<MarkMatch>(r).value = 0x8000; },
      [](Rule& r) { match<MarkMatch>(r).mask = 0xffffffff; },
      [](Rule& r) { match<MarkMatch>(r).negate = false; },
      [](Rule& r) { match<ConntrackMatch>(r).states = kStateInvalid; },
      [](Rule& r) { match<ConntrackMatch>(r).negate = true; },
      [](Rule& r) {
        match<AddrTypeMatch>(r) = {true, false};
      },
      [](Rule& r) {
        match<AddrTypeMatch>(r) = {true, true};
      },
      [](Rule& r) { match<StatisticMatch>(r).probability++; },
      [](Rule& r) { match<RecentMatch>(r).name = std::string("KUBE-SEP-B"); },
      [](Rule& r) { match<RecentMatch>(r).action = RecentMatch::Action::kSet; },
      [](Rule& r) { match<RecentMatch>(r).seconds = 1; },
      [](Rule& r) { match<RecentMatch>(r).reap = false; },
      [](Rule& r) { match<NfacctMatch>(r).name = std::string("other"); },
      [](Rule& r) {
        match<MultiportMatch>(r).destinations = {443, 80};
      },
      [](Rule& r) { match<MultiportMatch>(r).destinations.push_back(1); },
      [](Rule& r) { r.matches.pop_back(); },
      [](Rule& r) { std::swap(r.matches[0], r.matches[1]); },
      [](Rule& r) { r.matches.clear(); },
      [](Rule& r) {
        r.target = Jump{"KUBE-SVC-B", false};
      },
      [](Rule& r) {
        r.target = Jump{"KUBE-SVC-A", true};
      },
      [](Rule& r) { r.target = NoTarget{}; },
      [](Rule& r) { r.opaque = std::string("unknown expression"); },
  };
  std::map<Digest, std::size_t> seen;
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    Rule rule = full_rule();
    changes[i](rule);
    const auto [place, is_new] = seen.emplace(digest_of(rule), i);
    INFO("change " << i << " looks like change " << place->second);
    CHECK(is_new);
    CHECK(digest_of(rule) == place->first);
  }
}

TEST_CASE("a digest changes with every kind and field of a target") {
  const Address one = *Address::parse("10.0.0.1"), two = *Address::parse("10.0.0.2");
  const Digest digests[] = {
      with_target(NoTarget{}),
      with_target(Verdict::kAccept),
      with_target(Verdict::kDrop),
      with_target(Verdict::kReturn),
      with_target(MarkTarget{0x4000, 0x4000}),
      with_target(MarkTarget{0x4000, 0}),
      with_target(MarkTarget{0x8000, 0x4000}),
      with_target(MasqueradeTarget{false}),
      with_target(MasqueradeTarget{true}),
      with_target(DnatTarget{one, 80}),
      with_target(DnatTarget{one, 81}),
      with_target(DnatTarget{two, 80}),
      with_target(RejectTarget{}),
      with_target(Jump{"", false}),
  };
  for (std::size_t i = 0; i < std::size(digests); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      INFO(i << " and " << j);
      CHECK(digests[i] != digests[j]);
    }
}

TEST_CASE("texts of neighbouring fields cannot run into each other") {
  Rule one, two;
  one.matches = {CommentMatch{"ab"}, CommentMatch{"c"}};
  two.matches = {CommentMatch{"a"}, CommentMatch{"bc"}};
  CHECK(digest_of(one) != digest_of(two));
  one = two = Rule{};
  one.in_interface = InterfaceMatch{"ab", false, false};
  one.target = Jump{"c", false};
  two.in_interface = InterfaceMatch{"a", false, false};
  two.target = Jump{"bc", false};
  CHECK(digest_of(one) != digest_of(two));
}

TEST_CASE("an opaque rule never looks like a normal one") {
  Rule opaque;
  opaque.opaque = std::string("x");
  CHECK(digest_of(opaque) != digest_of(Rule{}));
  Rule other = opaque;
  other.opaque = std::string("y");
  CHECK(digest_of(opaque) != digest_of(other));
}

TEST_CASE("the digest of a list depends on the rules and their order") {
  Rule a, b;
  a.target = Verdict::kAccept;
  b.target = Verdict::kDrop;
  const auto list = [](std::vector<Rule> rules) { return digest_of(rules); };
  CHECK(list({}) == Digest{});
  CHECK(ListDigest{}.value() == Digest{});
  CHECK(list({a}) != Digest{});
  CHECK(list({a}) != digest_of(a));
  CHECK(list({a, b}) != list({b, a}));
  CHECK(list({a, a}) != list({a}));
  CHECK(list({a, a}) != Digest{});
  ListDigest fed;
  fed.add(digest_of(a));
  fed.add(digest_of(b));
  CHECK(fed.value() == list({a, b}));
}
