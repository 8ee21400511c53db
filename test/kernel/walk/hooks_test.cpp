#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "rules/walk/walker.h"
#include "test/kernel/walk/packet_node.h"
#include "test/kernel/walk/random_packets.h"
#include "test/support/netns.h"

/// Random base chains at all hooks, of all types and priorities, in several tables: the kernel's order, connection
/// tracking, nat and routing against those of rules::walk. Each rule is made twice, in nft's words and as statements.
namespace kubenatd::test {
namespace {

using namespace rules::walk;
using rules::Address;
using rules::Protocol;

Address ip(const std::string& text) {
  return Address::parse(text).value();
}

struct Words {
  std::string text;
  std::vector<Statement> statements;
  void add(const std::string& words, Statement statement) {
    text += words + " ";
    statements.push_back(std::move(statement));
  }
};

ExpressionPtr field(Payload::Base base, std::uint16_t offset, std::uint16_t size) {
  return make(Payload{base, offset, size});
}
Condition equals(ExpressionPtr left, const Bytes& bytes, bool negate) {
  return {std::move(left), {{bytes, bytes}}, negate, Part::kOther};
}
ExpressionPtr masked(ExpressionPtr of, std::uint32_t mask) {
  return make(Bits{std::move(of), Bytes::host(mask), Bytes::host(0)});
}
Bytes name_bytes(const std::string& name) {
  Bytes bytes(name);
  bytes.size = 16;
  return bytes;
}

class RuleMaker {
 public:
  RuleMaker(Dice& dice, bool inet) : dice_(dice), inet_(inet) {}

  void condition(Words& words) {
    const bool negate = dice_.one_in(3);
    const std::string sign = negate ? "!= " : "";
    const auto address = [&](const char* key, std::uint16_t offset, const std::vector<std::string>& all) {
      const std::string& one = dice_.of(all);
      words.add(fmt::format("ip {} {}{}", key, sign, one),
                equals(field(Payload::Base::kNetwork, offset, 4), Bytes(ip(one).octets()), negate));
    };
    const auto bits = [&](const std::string& name, ExpressionPtr of, std::uint32_t mask, std::uint32_t value) {
      words.add(fmt::format("{} & {:#x} {} {:#x}", name, mask, negate ? "!=" : "==", value),
                equals(masked(std::move(of), mask), Bytes::host(value), negate));
    };
    switch (dice_.below(11)) {
      case 0: return address("saddr", 12, {"192.168.77.100", "10.244.1.5", "192.168.77.2"});
      case 1: return address("daddr", 16, {"10.244.1.5", "192.168.77.2", "203.0.113.9", "10.244.1.6"});
      case 2: {
        const auto port = dice_.of(std::vector<std::uint16_t>{80, 81, 8080});
        return words.add(fmt::format("th dport {}{}", sign, port),
                         equals(field(Payload::Base::kTransport, 2, 2), Bytes::network(port, 2), negate));
      }
      case 3: {
        const std::string name = dice_.of(std::vector<std::string>{"ext0", "pod0", "lo"});
        const bool in = dice_.one_in(2);
        return words.add(fmt::format("{} {}\"{}\"", in ? "iifname" : "oifname", sign, name),
                         equals(make(Meta{in ? NFT_META_IIFNAME : NFT_META_OIFNAME}), name_bytes(name), negate));
      }
      case 4:
      case 5: return bits("meta mark", make(Meta{NFT_META_MARK}), 1 + dice_.below(3), dice_.below(3));
      case 6: return bits("ct mark", make(Ct{NFT_CT_MARK, {}}), 1 + dice_.below(3), dice_.below(3));
      case 7: {
        const std::pair<const char*, std::uint32_t> states[] = {
            {"new", 8}, {"established", 2}, {"untracked", 64}, {"invalid", 1}};
        const auto& [word, bit] = states[dice_.below(4)];
        // nft: "ct state new" asks for the bit, "!= new" compares the whole number.
        if (negate)
          return words.add(fmt::format("ct state != {}", word),
                           equals(make(Ct{NFT_CT_STATE, {}}), Bytes::host(bit), true));
        return words.add(fmt::format("ct state {}", word),
                         equals(masked(make(Ct{NFT_CT_STATE, {}}), bit), Bytes::host(0), true));
      }
      case 8: {
        const std::pair<const char*, std::uint32_t> statuses[] = {{"dnat", 0x20}, {"snat", 0x10}, {"confirmed", 8}};
        const auto& [word, bit] = statuses[dice_.below(3)];
        return words.add(fmt::format("ct status & {} {} 0", word, negate ? "==" : "!="),
                         equals(masked(make(Ct{NFT_CT_STATUS, {}}), bit), Bytes::host(0), !negate));
      }
      case 9: {
        const bool source = dice_.one_in(3);
        return words.add(fmt::format("fib {} type {}local", source ? "saddr" : "daddr", sign),
                         equals(make(Fib{NFT_FIB_RESULT_ADDRTYPE, source ? NFTA_FIB_F_SADDR : NFTA_FIB_F_DADDR}),
                                Bytes::host(2), negate));
      }
      default: {
        const bool original = dice_.one_in(2);
        const std::string one = dice_.of(std::vector<std::string>{"10.244.1.5", "192.168.77.2", "203.0.113.9"});
        const auto direction = original ? Ct::Direction::kOriginal : Ct::Direction::kReply;
        return words.add(
            fmt::format("ct {} ip {} {}{}", original ? "original" : "reply", original ? "daddr" : "saddr", sign, one),
            equals(make(Ct{original ? NFT_CT_DST_IP : NFT_CT_SRC_IP, direction}), Bytes(ip(one).octets()), negate));
      }
    }
  }

  void mark(Words& words) {
    const std::uint32_t bits = 1 + dice_.below(3);
    switch (dice_.below(4)) {
      case 0:
        return words.add(
            fmt::format("ct mark set meta mark xor {:#x}", bits),
            SetCt{NFT_CT_MARK, make(Bits{make(Meta{NFT_META_MARK}), Bytes::host(~0U), Bytes::host(bits)})});
      case 1: return words.add("meta mark set ct mark", SetMeta{NFT_META_MARK, make(Ct{NFT_CT_MARK, {}})});
      default:
        return words.add(
            fmt::format("meta mark set meta mark xor {:#x}", bits),
            SetMeta{NFT_META_MARK, make(Bits{make(Meta{NFT_META_MARK}), Bytes::host(~0U), Bytes::host(bits)})});
    }
  }

  void verdict(Words& words, Hook hook, bool may_jump, bool is_raw) {
    const auto go = [&](Verdict verdict, const char* word) {
      const std::string chain = dice_.one_in(2) ? "u0" : "u1";
      words.add(fmt::format("{} {}", word, chain), ToVerdict{verdict, chain});
    };
    switch (dice_.below(9)) {
      case 0: return words.add("drop", ToVerdict{Verdict::kDrop, {}});
      case 1: return words.add("return", ToVerdict{Verdict::kReturn, {}});
      case 2:
        if (hook == Hook::kPostrouting || hook == Hook::kPrerouting) break;
        return words.add(inet_ ? "reject with icmpx type port-unreachable" : "reject with icmp type port-unreachable",
                         Refuse{"icmp-port-unreachable"});
      case 3:
      case 4:
        if (may_jump) return go(Verdict::kJump, "jump");
        break;
      case 5:
        if (may_jump) return go(Verdict::kGoto, "goto");
        break;
      case 6:
        if (is_raw) return words.add("notrack", NoTrack{});
        return mark(words);
      case 7: return mark(words);
      default: break;
    }
    words.add("accept", ToVerdict{Verdict::kAccept, {}});
  }

  void nat(Words& words, Hook hook) {
    const std::string family = inet_ ? "ip " : "";
    if (hook == Hook::kPrerouting || hook == Hook::kOutput) {
      Nat made;
      const std::uint16_t port = dice_.one_in(2) ? 8080 : 8081;
      if (dice_.one_in(4)) {
        made.kind = Nat::Kind::kRedirect;
        made.port = make(Constant{Bytes::network(port, 2)});
        return words.add(fmt::format("redirect to :{}", port), made);
      }
      const std::string to =
          dice_.of(std::vector<std::string>{"10.244.1.5", "10.244.1.6", "192.168.77.2", "203.0.113.9"});
      made.address = make(Constant{Bytes(ip(to).octets())});
      if (dice_.one_in(3)) return words.add(fmt::format("dnat {}to {}", family, to), made);
      made.port = make(Constant{Bytes::network(port, 2)});
      return words.add(fmt::format("dnat {}to {}:{}", family, to, port), made);
    }
    Nat made;
    if (hook == Hook::kPostrouting && dice_.one_in(2)) {
      made.kind = Nat::Kind::kMasquerade;
      return words.add("masquerade", made);
    }
    made.kind = Nat::Kind::kSource;
    made.address = make(Constant{Bytes(ip("198.51.100.77").octets())});
    words.add(fmt::format("snat {}to 198.51.100.77", family), made);
  }

  [[nodiscard]] Words rule(Hook hook, Base::Type type, bool may_jump, bool is_raw) {
    Words words;
    words.add("meta l4proto { tcp, udp }",
              Condition{make(Meta{NFT_META_L4PROTO}),
                        {{Bytes::filled(1, 6), Bytes::filled(1, 6)}, {Bytes::filled(1, 17), Bytes::filled(1, 17)}},
                        false,
                        Part::kProtocol});
    if (dice_.one_in(10)) mark(words);
    for (unsigned count = dice_.below(3); count > 0; --count) condition(words);
    if (type == Base::Type::kNat && dice_.one_in(2)) {
      nat(words, hook);
    } else {
      verdict(words, hook, may_jump, is_raw);
    }
    return words;
  }

 private:
  Dice& dice_;
  bool inet_;
};

/// Replies, answers and the packet that PacketNode waits for always pass; they are not what is compared.
constexpr const char* kPass =
    "meta l4proto icmp accept; udp dport 7 accept; udp sport 7 accept; tcp flags & (syn | rst) == rst accept;";

class RandomTables {
 public:
  explicit RandomTables(Dice& dice) : dice_(dice) {
    const unsigned tables = 1 + dice.below(3);
    for (unsigned i = 0; i < tables; ++i) table(i);
  }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] const Ruleset& ruleset() const { return ruleset_; }

 private:
  void table(unsigned number) {
    const bool inet = dice_.one_in(2);
    const std::string name = "t" + std::to_string(number);
    WalkTable& made = ruleset_.table(inet ? TableFamily::kInet : TableFamily::kIp, name);
    made.handle = number + 1;
    text_ += fmt::format("table {} {} {{\n", inet ? "inet" : "ip", name);
    RuleMaker maker(dice_, inet);
    for (const char* user : {"u0", "u1"}) {
      // One that is met from any hook: what is not allowed everywhere is not in it.
      text_ += fmt::format(" chain {} {{\n", user);
      WalkChain& chain = add(made, user);
      for (unsigned count = dice_.below(3); count > 0; --count)
        put(chain, maker.rule(Hook::kPostrouting, Base::Type::kFilter, false, false));
      text_ += " }\n";
    }
    for (unsigned count = 2 + dice_.below(5); count > 0; --count) base(made, maker, count);
    text_ += "}\n";
  }

  WalkChain& add(WalkTable& table, const std::string& name) {
    WalkChain& chain = table.chains[name];
    chain.name = name;
    chain.handle = ++handle_;
    return chain;
  }

  void put(WalkChain& chain, Words words) {
    text_ += "  " + words.text + "\n";
    WalkRule rule;
    rule.statements = std::move(words.statements);
    rule.text = words.text;
    chain.rules.push_back(std::move(rule));
  }

  void base(WalkTable& table, RuleMaker& maker, unsigned number) {
    constexpr Hook kHooks[] = {Hook::kPrerouting, Hook::kInput, Hook::kForward, Hook::kOutput, Hook::kPostrouting};
    Base base;
    base.hook = kHooks[dice_.below(5)];
    base.type = base.hook != Hook::kForward && dice_.one_in(2) ? Base::Type::kNat : Base::Type::kFilter;
    if (base.hook == Hook::kOutput && base.type == Base::Type::kFilter && dice_.one_in(2))
      base.type = Base::Type::kRoute;
    base.priority = dice_.of(std::vector<std::int32_t>{-300, -250, -150, -110, -90, 0, 0, 50, 90, 110});
    if (base.type == Base::Type::kNat) base.priority = std::max(base.priority, -199);
    base.policy_drop = dice_.one_in(12);
    constexpr const char* kTypes[] = {"filter", "nat", "route"};
    const std::string name = "b" + std::to_string(number);
    text_ += fmt::format(" chain {} {{\n  type {} hook {} priority {}; policy {};\n  {}\n", name,
                         kTypes[static_cast<int>(base.type)], name_of(base.hook), base.priority,
                         base.policy_drop ? "drop" : "accept", kPass);
    WalkChain& chain = add(table, name);
    chain.base = base;
    const bool early = base.hook == Hook::kPrerouting || base.hook == Hook::kOutput;
    for (unsigned count = 1 + dice_.below(4); count > 0; --count)
      put(chain, maker.rule(base.hook, base.type, true, early && base.priority < -200));
    text_ += " }\n";
  }

  Dice& dice_;
  std::string text_;
  Ruleset ruleset_;
  std::uint64_t handle_ = 0;
};

bool agrees_with(const rules::walk::Outcome& outcome, const Fate& fate, const rules::walk::Packet& sent) {
  using End = rules::walk::End;
  const PacketState& state = outcome.state;
  const bool told = fate.source != Address{};
  const auto source_fits = [&] {
    if (!state.source_changed) return fate.source == sent.source;
    return !state.new_source || fate.source == *state.new_source;
  };
  switch (fate.kind) {
    case Fate::Kind::kForwarded:
      return outcome.end == End::kForwarded && fate.destination == state.packet.destination &&
             fate.destination_port == state.packet.destination_port && fate.interface == outcome.route.interface &&
             source_fits();
    case Fate::Kind::kLocal:
      return outcome.end == End::kLocal &&
             (!told || (fate.destination_port == state.packet.destination_port && source_fits()));
    case Fate::Kind::kRejected: return outcome.end == End::kRejected;
    case Fate::Kind::kDropped:
      // An answer to a changed source, or without a connection to find back, reaches nobody here.
      return outcome.end == End::kDropped ||
             (outcome.end == End::kRejected && (state.source_changed || state.destination_changed ||
                                                sent.origin == rules::walk::Packet::Origin::kLocal)) ||
             (outcome.end == End::kLocal && sent.protocol == Protocol::kTcp && state.source_changed);
  }
  return false;
}

std::string words(const rules::walk::Outcome& outcome) {
  constexpr const char* kEnds[] = {"forwarded", "local", "dropped", "rejected", "unknown"};
  return fmt::format("{} to {} by {}{}{}", kEnds[static_cast<int>(outcome.end)],
                     rules::join_host_port(outcome.state.packet.destination, outcome.state.packet.destination_port),
                     outcome.route.interface, outcome.state.masqueraded ? " masqueraded" : "",
                     outcome.state.new_source ? " from " + outcome.state.new_source->to_string() : "");
}

void compare(unsigned seed, unsigned states, unsigned packets) {
  PacketNode node;
  Dice dice(seed);
  const Surroundings& surroundings = node.surroundings();
  std::uint16_t next_port = 20000;
  unsigned compared = 0, unknown = 0, dropped = 0;
  for (unsigned state = 0; state < states; ++state) {
    const RandomTables tables(dice);
    ProcessOptions options;
    options.input = "flush ruleset\n" + tables.text();
    const ProcessResult loaded = run({"nft", "-f", "-"}, options);
    INFO(tables.text());
    INFO(loaded.describe());
    REQUIRE(loaded.ok());
    for (unsigned i = 0; i < packets; ++i) {
      rules::walk::Packet packet;
      packet.protocol = dice.one_in(2) ? Protocol::kUdp : Protocol::kTcp;
      packet.destination =
          ip(dice.of(std::vector<std::string>{"192.168.77.2", "10.244.1.5", "203.0.113.9", "10.244.1.1"}));
      packet.destination_port = dice.one_in(2) ? 80 : 81;
      packet.source_port = next_port = static_cast<std::uint16_t>(next_port == 60000 ? 20000 : next_port + 1);
      if (dice.one_in(3)) {
        packet.origin = rules::walk::Packet::Origin::kLocal;
        packet.protocol = Protocol::kUdp;
        packet.source = ip(dice.one_in(2) ? "192.168.77.2" : "10.244.1.1");
      } else {
        const bool pod = dice.one_in(2);
        packet.in_interface = pod ? PacketNode::kPods : PacketNode::kExternal;
        packet.source = ip(pod ? "10.244.1.5" : "192.168.77.100");
      }
      const Walk told = walk(tables.ruleset(), packet, surroundings);
      const Fate fate = node.send(packet);
      ++compared;
      dropped += fate.kind == Fate::Kind::kDropped ? 1 : 0;
      INFO("seed " << seed << ", state " << state << ": " << describe(packet));
      REQUIRE_FALSE(told.outcomes.empty());
      const bool is_unknown = std::ranges::any_of(
          told.outcomes, [](const auto& one) { return !one.odds_known || one.end == rules::walk::End::kUnknown; });
      unknown += is_unknown ? 1 : 0;
      if (std::ranges::any_of(told.outcomes, [&](const auto& one) {
            return one.end == rules::walk::End::kUnknown || agrees_with(one, fate, packet);
          }))
        continue;
      const rules::walk::Outcome& outcome = told.outcomes.front();
      std::string path;
      for (const std::uint32_t hop : told.path(outcome)) {
        const Hop& met = told.hops[hop];
        if (met.fit != Fit::kNo)
          path += fmt::format("  {} {} {}: {}\n", met.table->name, name_of(met.hook), met.chain->name,
                              met.rule != nullptr ? met.rule->text : "policy");
      }
      FAIL("told: " << words(outcome) << "\nseen: " << describe(fate) << "\n" << path);
    }
  }
  std::printf("compared %u, dropped %u, unknown %u\n", compared, dropped, unknown);
  CHECK(dropped * 2 < compared);
  CHECK(unknown * 100 < compared);
}

TEST_CASE("base chains of all hooks and types and priorities run as the walk says") {
  if (const auto missing = tunnels_missing()) {
    std::printf("SKIPPED: %s\n", missing->c_str());
    return;
  }
  if (!enter_fresh_namespace()) return;
  const char* seed = std::getenv("KUBENATD_TEST_SEED");
  compare(seed != nullptr ? static_cast<unsigned>(std::atoi(seed)) : 11, 150, 20);
}

}  // namespace
}  // namespace kubenatd::test
