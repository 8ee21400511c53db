#include "rules/walk/nft/rule_print.h"

#include <fmt/format.h>

#include <vector>

#include "rules/walk/nft/condition_print.h"
#include "rules/walk/nft/element_text.h"
#include "rules/walk/nft/value_text.h"

namespace kubenatd::rules::walk::nft {
namespace {

class RulePrinter {
 public:
  explicit RulePrinter(const WalkTable& table)
      : table_(table), told_(table.family), expressions_(table, told_), conditions_(expressions_, told_) {}

  std::string rule(const std::vector<Statement>& statements) {
    std::string text;
    for (std::size_t i = 0; i < statements.size(); ++i) {
      if (told_.learn(statements[i]) && told_.is_said_later(statements, i)) continue;
      if (!text.empty()) text += ' ';
      text += std::visit(*this, statements[i]);
    }
    return text;
  }
  // Conditions.
  std::string operator()(const Condition& condition) { return conditions_.text(condition); }
  std::string operator()(const InSet& match) {
    const Text key = expressions_.expression(match.key);
    return fmt::format("{} {}{}", key.words, match.negate ? "!= " : "", expressions_.set_text(match.set, key, {}));
  }
  std::string operator()(const AnyOf& any) {
    std::vector<std::string> words;
    for (const Condition& condition : any.conditions) words.push_back(conditions_.text(condition));
    return fmt::format("{}({})", any.negate ? "not " : "", joined(words, " or "));
  }
  std::string operator()(const InIpset& match) { return match.text.empty() ? "-m set " + match.name : match.text; }
  std::string operator()(const InTime& match) { return match.negate ? "-m time !" : "-m time"; }
  std::string operator()(const Chance& chance) { return fmt::format("-m statistic {:.5f}", chance.odds); }
  std::string operator()(const Remembered& match) {
    return fmt::format("-m recent {}--name {}", match.negate ? "! " : "", match.list);
  }
  std::string operator()(const Unjudged& part) { return part.text; }
  std::string operator()(const Never& part) { return part.text; }
  // What is done.
  std::string operator()(const SetMeta& set) {
    const Key* key = key_numbered(meta_keys(), set.key);
    const std::string name = key != nullptr ? std::string(key->name) : fmt::format("{}", set.key);
    return fmt::format("meta {} set {}", name,
                       expressions_.value(set.value, key != nullptr ? key->type : Type::kUnknown));
  }
  std::string operator()(const SetCt& set) {
    const Key* key = key_numbered(ct_keys(), set.key);
    const std::string name = key != nullptr ? std::string(key->name) : fmt::format("{}", set.key);
    return fmt::format("ct {} set {}", name,
                       expressions_.value(set.value, key != nullptr ? key->type : Type::kUnknown));
  }
  std::string operator()(const SetPayload& set) {
    // A field of a few bits is written together with what stands around it.
    if (const auto* bits = is<Bits>(set.value)) {
      const auto* around = is<Payload>(bits->of);
      if (around != nullptr && *around == set.where) {
        const Bytes free = inverse(bits->mask);
        for (const Field& field : fields()) {
          const unsigned start = 8U * set.where.offset;
          if (!told_.fits(field, set.where.base) || field.offset < start ||
              field.offset + field.bits > start + 8U * set.where.size ||
              free != bit_mask(set.where.size, field.offset - start, field.bits))
            continue;
          return fmt::format("{} {} set {}", info_of(field.header).name, field.name,
                             field_value(bits->flip, field, set.where.offset));
        }
      }
    }
    const Text where = expressions_.payload(set.where);
    return fmt::format("{} set {}", where.words, expressions_.value(set.value, where.type));
  }
  std::string operator()(const NoTrack& /*untracked*/) { return "notrack"; }
  std::string operator()(const ToVerdict& verdict) { return verdict_text(verdict); }
  std::string operator()(const VerdictMap& map) {
    const Text key = expressions_.expression(map.key);
    return fmt::format("{} vmap {}", key.words, expressions_.set_text(map.map, key, {}));
  }
  std::string operator()(const Refuse& refuse) {
    if (refuse.with == "tcp-reset") return "reject with tcp reset";
    for (const Answer& answer : answers()) {
      if (answer.name != refuse.with) continue;
      if (answer.code_name == "port-unreachable" && is_default(answer.family)) return "reject";
      return fmt::format("reject with {} {}", answer.family, answer.code_name);
    }
    return refuse.with.empty() ? "reject" : "reject with " + refuse.with;
  }
  std::string operator()(const Nat& nat) {
    std::string text;
    switch (nat.kind) {
      case Nat::Kind::kDestination: text = "dnat"; break;
      case Nat::Kind::kSource: text = "snat"; break;
      case Nat::Kind::kMasquerade: text = "masquerade"; break;
      case Nat::Kind::kRedirect: text = "redirect"; break;
    }
    const std::string to = translation(nat);
    if (!to.empty()) text += to;
    const bool source = nat.kind == Nat::Kind::kSource || nat.kind == Nat::Kind::kMasquerade;
    if (nat.random) text += source ? " fully-random" : " random";
    if (nat.persistent) text += nat.random ? ",persistent" : " persistent";
    return text;
  }
  std::string operator()(const Tproxy& tproxy) {
    std::string text = "tproxy";
    if (table_.family == TableFamily::kInet && tproxy.address) text += is_ip6(tproxy.address) ? " ip6" : " ip";
    text += " to " + endpoint(tproxy.address, nullptr, tproxy.port, nullptr);
    return text;
  }
  std::string operator()(const NoEffect& part) { return part.text; }
  std::string operator()(const UpdateSet& update) {
    const Text key = expressions_.expression(update.key);
    return fmt::format("update @{} {{ {}{}{} }}", update.set, key.words, update.condition.empty() ? "" : " ",
                       update.condition);
  }
  std::string operator()(const OtherTarget& target) { return target.text; }

 private:
  [[nodiscard]] bool is_default(std::string_view family) const {
    switch (table_.family) {
      case TableFamily::kIp: return family == "icmp";
      case TableFamily::kIp6: return family == "icmpv6";
      default: return family == "icmpx";
    }
  }
  // Translation.

  [[nodiscard]] bool is_ip6(const ExpressionPtr& address) const {
    if (const auto* constant = is<Constant>(address)) return constant->bytes.size == 16;
    if (const auto* map = is<MapLookup>(address)) return map->size == 16;
    if (const auto* part = is<Slice>(address)) return part->size == 16;
    return told_.network() == Header::kIp6;
  }
  std::string endpoint(const ExpressionPtr& address, const ExpressionPtr& last_address, const ExpressionPtr& port,
                       const ExpressionPtr& last_port, bool netmap = false) {
    std::string text;
    if (address) {
      const bool six = is_ip6(address);
      const Type type = six ? Type::kAddress6 : Type::kAddress4;
      const bool brackets = six && port && is<Constant>(address) != nullptr;
      const auto one = [&](const ExpressionPtr& which) {
        return brackets ? fmt::format("[{}]", expressions_.value(which, type)) : expressions_.value(which, type);
      };
      const auto* first = is<Constant>(address);
      const auto* last = is<Constant>(last_address);
      if (netmap && first != nullptr && last != nullptr) return range_text(first->bytes, last->bytes, type);
      text = one(address);
      if (last_address && !same(last_address, address)) text += "-" + one(last_address);
    }
    if (port) {
      text += ":" + expressions_.value(port, Type::kPort);
      if (last_port && !same(last_port, port)) text += "-" + expressions_.value(last_port, Type::kPort);
    }
    return text;
  }
  std::string translation(const Nat& nat) {
    const bool to_address = nat.kind == Nat::Kind::kDestination || nat.kind == Nat::Kind::kSource;
    if (!nat.address && !nat.port) return "";
    // Address and port out of one map.
    const auto* address = is<Slice>(nat.address);
    if (address != nullptr && address->offset == 0) {
      const auto* map = is<MapLookup>(address->of);
      const auto* port = is<Slice>(nat.port);
      const auto* last = is<Slice>(nat.last_address);
      const bool with_port = port != nullptr && same(port->of, address->of);
      const bool with_last = last != nullptr && same(last->of, address->of);
      if (map != nullptr && (with_port || with_last)) {
        const Type type = address->size == 16 ? Type::kAddress6 : Type::kAddress4;
        const Text key = expressions_.expression(map->key);
        std::vector<Type> types{type};
        if (with_port) types.push_back(Type::kPort);
        return fmt::format(" {}{} to {} map {}", address->size == 16 ? "ip6" : "ip", nat.netmap ? " prefix" : "",
                           key.words, expressions_.set_text(map->map, key, types));
      }
    }
    std::string family;
    if (to_address && nat.address && table_.family == TableFamily::kInet) family = is_ip6(nat.address) ? " ip6" : " ip";
    if (nat.netmap) family += " prefix";
    return fmt::format("{} to {}", family,
                       endpoint(nat.address, nat.last_address, nat.port, nat.last_port, nat.netmap));
  }

  const WalkTable& table_;
  ToldProtocols told_;
  ExpressionPrinter expressions_;
  ConditionPrinter conditions_;
};

}  // namespace

std::string to_text(const std::vector<Statement>& statements, const WalkTable& table) {
  return RulePrinter(table).rule(statements);
}

std::string to_text(const SetElement& element, const WalkSet& set) {
  const bool any = set.catch_all && &element == &*set.catch_all;
  return element_text(element, set, types_named(set.type), types_named(set.data_type), any);
}

}  // namespace kubenatd::rules::walk::nft
