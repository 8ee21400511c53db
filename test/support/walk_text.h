#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "rules/walk/statement.h"

/// Statements in short words, for tests to compare: every number and every byte is in it.
namespace kubenatd::test {

[[nodiscard]] inline std::string walk_text(const rules::walk::Bytes& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes.view()) text += fmt::format("{:02x}", byte);
  return text;
}

[[nodiscard]] inline std::string walk_text(const rules::walk::ExpressionPtr& expression) {
  using namespace rules::walk;
  struct Visitor {
    std::string operator()(const Payload& payload) const {
      static constexpr const char* kBases[] = {"link", "network", "transport", "inner"};
      return fmt::format("{}[{}+{}]", kBases[static_cast<int>(payload.base)], payload.offset, payload.size);
    }
    std::string operator()(const Meta& meta) const { return fmt::format("meta {}", meta.key); }
    std::string operator()(const Ct& ct) const {
      static constexpr const char* kDirections[] = {"", " original", " reply"};
      return fmt::format("ct {}{}", ct.key, kDirections[static_cast<int>(ct.direction)]);
    }
    std::string operator()(const Fib& fib) const { return fmt::format("fib {}/{:x}", fib.result, fib.flags); }
    std::string operator()(const SocketField& socket) const {
      return fmt::format("socket {}.{}", socket.key, socket.level);
    }
    std::string operator()(const RouteField& route) const { return fmt::format("rt {}", route.key); }
    std::string operator()(const ExtensionHeader& header) const {
      return fmt::format("exthdr {}.{}[{}+{}]{}", header.operation, header.type, header.offset, header.size,
                         header.presence ? " there" : "");
    }
    std::string operator()(const Constant& constant) const { return walk_text(constant.bytes); }
    std::string operator()(const Bits& bits) const {
      return fmt::format("({} & {} ^ {})", walk_text(bits.of), walk_text(bits.mask), walk_text(bits.flip));
    }
    std::string operator()(const BitsOfTwo& bits) const {
      static constexpr const char* kOperations[] = {"and", "or", "xor"};
      return fmt::format("({} {} {})", walk_text(bits.of), kOperations[static_cast<int>(bits.operation)],
                         walk_text(bits.other));
    }
    std::string operator()(const Shift& shift) const {
      return fmt::format("({} {} {})", walk_text(shift.of), shift.left ? "<<" : ">>", shift.by);
    }
    std::string operator()(const Swap& swap) const { return fmt::format("swap{}({})", swap.unit, walk_text(swap.of)); }
    std::string operator()(const Concat& concat) const {
      std::string text;
      for (const ExpressionPtr& part : concat.parts) text += (text.empty() ? "" : " . ") + walk_text(part);
      return "{" + text + "}";
    }
    std::string operator()(const Slice& slice) const {
      return fmt::format("{}[{}+{}]", walk_text(slice.of), slice.offset, slice.size);
    }
    std::string operator()(const MapLookup& map) const {
      return fmt::format("@{}({}):{}", map.map, walk_text(map.key), map.size);
    }
    std::string operator()(const Draw& draw) const {
      static constexpr const char* kKinds[] = {"random", "inc", "hash"};
      return fmt::format("{}({}) mod {} offset {}", kKinds[static_cast<int>(draw.kind)],
                         draw.of ? walk_text(draw.of) : "", draw.modulus, draw.offset);
    }
    std::string operator()(const Unread& unread) const {
      return fmt::format("unread<{}:{}>", unread.text, unread.size);
    }
  };
  return expression == nullptr ? "-" : std::visit(Visitor{}, expression->what);
}

[[nodiscard]] inline std::string walk_text(const rules::walk::Statement& statement) {
  using namespace rules::walk;
  struct Visitor {
    std::string operator()(const Condition& condition) const {
      std::string text = walk_text(condition.left) + (condition.negate ? " not in" : " in");
      for (const auto& [first, last] : condition.ranges)
        text += " " + walk_text(first) + (first == last ? "" : "-" + walk_text(last));
      return text;
    }
    std::string operator()(const InSet& set) const {
      return walk_text(set.key) + (set.negate ? " not in @" : " in @") + set.set;
    }
    std::string operator()(const AnyOf& any) const {
      std::string text = any.negate ? "none of" : "any of";
      for (const Condition& condition : any.conditions) text += " (" + (*this)(condition) + ")";
      return text;
    }
    std::string operator()(const InIpset& set) const { return "ipset " + set.name; }
    std::string operator()(const InTime& /*time*/) const { return "time"; }
    std::string operator()(const Chance& chance) const { return fmt::format("chance {}", chance.odds); }
    std::string operator()(const Remembered& remembered) const { return "remembered " + remembered.list; }
    std::string operator()(const Unjudged& unjudged) const { return "unjudged<" + unjudged.text + ">"; }
    std::string operator()(const Never& never) const { return "never<" + never.text + ">"; }
    std::string operator()(const SetMeta& set) const {
      return fmt::format("meta {} = {}", set.key, walk_text(set.value));
    }
    std::string operator()(const SetCt& set) const { return fmt::format("ct {} = {}", set.key, walk_text(set.value)); }
    std::string operator()(const SetPayload& set) const {
      return walk_text(make(set.where)) + " = " + walk_text(set.value);
    }
    std::string operator()(const NoTrack& /*nothing*/) const { return "notrack"; }
    std::string operator()(const ToVerdict& verdict) const {
      static constexpr const char* kNames[] = {"accept", "drop",  "return",       "continue", "jump",
                                               "goto",   "queue", "queue bypass", "stolen"};
      return kNames[static_cast<int>(verdict.verdict)] + (verdict.chain.empty() ? "" : " " + verdict.chain);
    }
    std::string operator()(const VerdictMap& map) const { return walk_text(map.key) + " vmap @" + map.map; }
    std::string operator()(const Refuse& refuse) const { return "refuse " + refuse.with; }
    std::string operator()(const Nat& nat) const {
      static constexpr const char* kKinds[] = {"dnat", "snat", "masquerade", "redirect"};
      std::string text = kKinds[static_cast<int>(nat.kind)];
      if (nat.address) text += " " + walk_text(nat.address);
      if (nat.last_address) text += "-" + walk_text(nat.last_address);
      if (nat.port) text += " port " + walk_text(nat.port);
      if (nat.last_port) text += "-" + walk_text(nat.last_port);
      if (nat.netmap) text += " netmap";
      if (nat.random) text += " random";
      if (nat.persistent) text += " persistent";
      return text;
    }
    std::string operator()(const Tproxy& proxy) const {
      return "tproxy " + walk_text(proxy.address) + " " + walk_text(proxy.port);
    }
    std::string operator()(const NoEffect& nothing) const { return "nothing<" + nothing.text + ">"; }
    std::string operator()(const UpdateSet& update) const {
      return "update @" + update.set + " " + walk_text(update.key) +
             (update.condition.empty() ? "" : " if <" + update.condition + ">");
    }
    std::string operator()(const OtherTarget& target) const { return "other<" + target.text + ">"; }
  };
  return std::visit(Visitor{}, statement);
}

[[nodiscard]] inline std::string walk_text(const std::vector<rules::walk::Statement>& statements) {
  std::string text;
  for (const rules::walk::Statement& statement : statements) text += (text.empty() ? "" : "; ") + walk_text(statement);
  return text;
}

}  // namespace kubenatd::test
