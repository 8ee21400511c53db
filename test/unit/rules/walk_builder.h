#pragma once

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "rules/walk/walker.h"

/// Rules for walks, built by hand.
namespace kubenatd::rules::walk::test {

inline Address ip(const char* text) {
  return Address::parse(text).value();
}
inline Prefix net(const char* text) {
  return Prefix::parse(text).value();
}

inline ExpressionPtr field(Payload::Base base, std::uint16_t offset, std::uint16_t size) {
  return make(Payload{base, offset, size});
}
inline ExpressionPtr meta(std::uint32_t key) {
  return make(Meta{key});
}
inline ExpressionPtr ct(std::uint32_t key, Ct::Direction direction = Ct::Direction::kNone) {
  return make(Ct{key, direction});
}
inline ExpressionPtr constant(const Bytes& bytes) {
  return make(Constant{bytes});
}
inline ExpressionPtr saddr() {
  return field(Payload::Base::kNetwork, 12, 4);
}
inline ExpressionPtr daddr() {
  return field(Payload::Base::kNetwork, 16, 4);
}
inline ExpressionPtr dport_field() {
  return field(Payload::Base::kTransport, 2, 2);
}
inline ExpressionPtr random_number(std::uint32_t modulus) {
  return make(Draw{Draw::Kind::kRandom, modulus, 0, nullptr});
}
inline Bytes bytes_of(const char* address) {
  return Bytes(ip(address).octets());
}
inline Bytes port_bytes(std::uint16_t port) {
  return Bytes::network(port, 2);
}

inline Condition equals(ExpressionPtr left, const Bytes& bytes, bool negate = false, Part part = Part::kOther) {
  return {std::move(left), {{bytes, bytes}}, negate, part};
}
inline Condition to(const char* address, bool negate = false) {
  return equals(daddr(), bytes_of(address), negate, Part::kDestination);
}
inline Condition from(const char* address, bool negate = false) {
  return equals(saddr(), bytes_of(address), negate, Part::kSource);
}
inline Condition tcp() {
  return equals(meta(NFT_META_L4PROTO), Bytes::filled(1, 6), false, Part::kProtocol);
}
inline Condition dport(std::uint16_t port, bool negate = false) {
  return equals(dport_field(), port_bytes(port), negate, Part::kDestinationPort);
}
inline Condition marked(std::uint32_t bits, std::uint32_t mask, bool negate = false) {
  return equals(make(Bits{meta(NFT_META_MARK), Bytes::host(mask), Bytes::host(0)}), Bytes::host(bits), negate,
                Part::kMark);
}
inline Condition in_state(std::uint32_t bits, bool negate = false) {  // any of them
  return equals(make(Bits{ct(NFT_CT_STATE), Bytes::host(bits), Bytes::host(0)}), Bytes::host(0), !negate, Part::kState);
}
inline Bytes interface_bytes(std::string_view name) {
  Bytes bytes(name);
  bytes.size = 16;
  return bytes;
}
inline Condition in_by(std::string_view name, bool negate = false) {
  return equals(meta(NFT_META_IIFNAME), interface_bytes(name), negate, Part::kInInterface);
}
inline Condition out_by(std::string_view name, bool negate = false) {
  return equals(meta(NFT_META_OIFNAME), interface_bytes(name), negate, Part::kOutInterface);
}
inline Unjudged limit() {
  return {"-m limit --limit 3/min", Part::kOther};
}
inline SetMeta set_mark(std::uint32_t bits, std::uint32_t mask) {
  return {NFT_META_MARK, make(Bits{meta(NFT_META_MARK), Bytes::host(~mask), Bytes::host(bits)})};
}
inline ToVerdict jump(std::string chain) {
  return {Verdict::kJump, std::move(chain)};
}
inline ToVerdict go_to(std::string chain) {
  return {Verdict::kGoto, std::move(chain)};
}
inline ToVerdict accept() {
  return {Verdict::kAccept, {}};
}
inline ToVerdict drop() {
  return {Verdict::kDrop, {}};
}
inline ToVerdict back() {
  return {Verdict::kReturn, {}};
}
inline Nat dnat(const char* address, std::uint16_t port = 0) {
  Nat nat;
  nat.address = constant(bytes_of(address));
  if (port != 0) nat.port = constant(port_bytes(port));
  return nat;
}
inline Nat masquerade() {
  Nat nat;
  nat.kind = Nat::Kind::kMasquerade;
  return nat;
}

inline WalkRule rule(std::initializer_list<Statement> statements) {
  WalkRule made;
  made.statements = statements;
  return made;
}

/// A rule set to which rules are added one by one.
class Rules {
 public:
  Ruleset set;

  WalkChain& base(TableFamily family, const char* table, const char* chain, Base base) {
    WalkChain& made = set.table(family, table).chains[chain];
    made.name = chain;
    made.base = std::move(base);
    return made;
  }
  WalkChain& iptables(const char* table, const char* chain) {
    WalkChain& made = set.table(TableFamily::kIp, table).chains[chain];
    made.name = chain;
    made.base = iptables_base(table, chain);
    return made;
  }
  Rules& add(const char* table, const char* chain, std::initializer_list<Statement> statements) {
    iptables(table, chain).rules.push_back(rule(statements));
    return *this;
  }
};

inline Packet packet(const char* source, const char* destination, std::uint16_t port) {
  Packet made;
  made.source = ip(source);
  made.destination = ip(destination);
  made.destination_port = port;
  made.in_interface = "eth0";
  return made;
}
inline Packet sent(const char* source, const char* destination, std::uint16_t port) {
  Packet made = packet(source, destination, port);
  made.origin = Packet::Origin::kLocal;
  made.in_interface = "";
  return made;
}

inline Surroundings node() {
  Surroundings surroundings;
  surroundings.local = {ip("192.168.77.2")};
  surroundings.routes = {{net("0.0.0.0/0"), "eth0"}};
  return surroundings;
}

inline std::string describe(const Outcome& outcome) {
  constexpr const char* kEnds[] = {"forwarded", "local", "dropped", "rejected", "unknown"};
  std::string text = kEnds[static_cast<int>(outcome.end)];
  const PacketState& state = outcome.state;
  if (state.destination_changed)
    text += " to " + join_host_port(state.packet.destination, state.packet.destination_port);
  if (state.masqueraded) text += " masqueraded";
  if (outcome.remembered) text += " remembered";
  if (!outcome.odds_known) return text + " ?";
  if (!outcome.remembered && outcome.odds < 0.9999) text += fmt::format(" {:.4g}", outcome.odds);
  return text;
}

/// All outcomes, in their order.
inline std::string outcomes(const Ruleset& ruleset, const Packet& packet, const Surroundings& surroundings = node()) {
  const Walk result = walk(ruleset, packet, surroundings);
  std::vector<std::string> all;
  for (const Outcome& outcome : result.outcomes) all.push_back(describe(outcome));
  std::string text = fmt::format("{}", fmt::join(all, "; "));
  return result.cut ? text + " (cut)" : text;
}

}  // namespace kubenatd::rules::walk::test
