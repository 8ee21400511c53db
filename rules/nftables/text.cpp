#include "rules/nftables/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace kubenatd::rules::nftables {
namespace {

std::string_view family_word(Family family) {
  return family == Family::kIpv4 ? "ip" : "ip6";
}

std::string_view type_word(FieldType field, Family family) {
  switch (field) {
    case FieldType::kAddress: return family == Family::kIpv4 ? "ipv4_addr" : "ipv6_addr";
    case FieldType::kProtocol: return "inet_proto";
    case FieldType::kPort: return "inet_service";
    case FieldType::kClassId: return "classid";
  }
  return "";
}

std::string concatenated(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, " . "));
}

std::string types(const std::vector<FieldType>& fields, Family family) {
  std::vector<std::string> words;
  for (const FieldType field : fields) words.emplace_back(type_word(field, family));
  return concatenated(words);
}

std::string class_word(std::uint32_t id) {
  return fmt::format("{:x}:{:x}", id >> 16, id & 0xffff);
}

/// Reads the parts of a key or value one after the other.
template <std::size_t Capacity>
std::string fields_text(const Bytes<Capacity>& bytes, const std::vector<FieldType>& fields, Family family,
                        std::uint8_t range) {
  std::vector<std::string> words;
  const std::uint8_t* at = bytes.data.data();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    std::uint32_t number = 0;
    std::memcpy(&number, at, sizeof number);
    std::size_t size = 4;
    switch (fields[i]) {
      case FieldType::kAddress: {
        Address address{family, {}};
        size = bits_of(family) / 8;
        std::copy_n(at, size, address.bytes.begin());
        words.push_back(address.to_string());
        if (range != 0 && i + 1 == fields.size())
          words.back() += fmt::format("/{}", static_cast<unsigned>(bits_of(family)) - range);
        break;
      }
      case FieldType::kProtocol: words.emplace_back(name_of(static_cast<Protocol>(*at))); break;
      case FieldType::kPort: words.push_back(fmt::format("{}", at[0] << 8 | at[1])); break;
      case FieldType::kClassId: words.push_back(class_word(number)); break;
    }
    at += size;
  }
  return concatenated(words);
}

std::string seconds_text(std::uint32_t seconds) {
  std::string text;
  const auto unit = [&](std::uint32_t size, char name) {
    if (seconds >= size) text += fmt::format("{}{}", seconds / size, name);
    seconds %= size;
  };
  unit(86400, 'd');
  unit(3600, 'h');
  unit(60, 'm');
  unit(1, 's');
  return text;
}

class StatementText {
 public:
  explicit StatementText(Family family) : word_(family_word(family)) {}

  std::string operator()(const InSet& match) const {
    return fmt::format("{} {}@{}", key(match.key), match.negate ? "!= " : "", name_of(match.set));
  }
  std::string operator()(const IsNew& match) const {
    return match.strays ? "ct state invalid,new,untracked" : "ct state new";
  }
  std::string operator()(const IsEstablished& /*match*/) const { return "ct state established"; }
  std::string operator()(const HasMorePackets& match) const { return fmt::format("ct packets > {}", match.count); }
  std::string operator()(const IsTranslated& /*match*/) const { return "ct status dnat"; }
  std::string operator()(const InPrefix& match) const {
    const Prefix& prefix = match.prefix;
    const bool host = prefix.length == bits_of(prefix.address.family);
    return fmt::format("{} {} {}{}", word_, match.source ? "saddr" : "daddr", match.negate ? "!= " : "",
                       host ? prefix.address.to_string() : prefix.to_string());
  }
  std::string operator()(const FromInterface& match) const {
    return fmt::format("iifname {}\"{}{}\"", match.negate ? "!= " : "", match.name, match.is_prefix ? "*" : "");
  }
  std::string operator()(const IsLocal& match) const {
    return fmt::format("fib {} type local", match.source ? "saddr" : "daddr");
  }
  std::string operator()(const HasMark& match) const {
    return fmt::format("meta mark & 0x{:08x} != 0x00000000", match.bits);
  }
  std::string operator()(const ChangeMark& change) const {
    return fmt::format("meta mark set meta mark {} 0x{:08x}", change.flip ? '^' : '|', change.bits);
  }
  std::string operator()(const RecallClient& /*recall*/) const {
    if (word_ == "ip") return fmt::format("meta priority set {} map @affinity", client());
    return fmt::format("meta priority set {} meta priority set meta priority map @affinity", client());
  }
  std::string operator()(const SetPriority& change) const {
    return fmt::format("meta priority set {} map @{}", key(change.key), name_of(change.map));
  }
  std::string operator()(const FixPriority& change) const {
    return fmt::format("meta priority set {}", change.value == 0 ? "none" : class_word(change.value));
  }
  std::string operator()(const DrawNumber& draw) const {
    if (!draw.seed) return fmt::format("meta priority set numgen random mod {} offset {}", draw.numbers, draw.first);
    return fmt::format(
        "meta priority set jhash {0} saddr . th sport . {0} daddr . th dport mod {1} seed 0x{2:x} offset {3}", word_,
        draw.numbers, *draw.seed, draw.first);
  }
  std::string operator()(const HasPriority& match) const {
    return fmt::format("meta priority & {} == {}", class_word(match.mask), class_word(match.value));
  }
  std::string operator()(const HasProtocol& match) const {
    return fmt::format("meta l4proto {}", name_of(match.protocol));
  }
  std::string operator()(const Translate& translate) const {
    return fmt::format("dnat {} to {} map @{}", word_, key(translate.key), name_of(translate.map));
  }
  std::string operator()(const Remember& remember) const {
    using enum Remember::What;
    if (remember.what == kNothing) return fmt::format("delete @affinity {{ {} : meta priority }}", client());
    const std::string endpoint = remember.what == kAgain
                                     ? "meta priority"
                                     : fmt::format("jhash {} daddr . th dport mod {} seed 0x{:x} offset {}", word_,
                                                   kEndpointIds, kHashSeed, kOwn);
    return fmt::format("update @affinity {{ {} timeout {} : {} }}", client(), seconds_text(remember.timeout), endpoint);
  }
  std::string operator()(const Masquerade& /*masquerade*/) const { return "masquerade fully-random"; }
  std::string operator()(const Reject& /*reject*/) const { return "reject"; }
  std::string operator()(const Drop& /*drop*/) const { return "drop"; }
  std::string operator()(const AddToFlowtable& /*add*/) const { return fmt::format("flow add @{}", kFlowtable); }
  std::string operator()(const GoTo& go) const { return fmt::format("{} {}", go.jump ? "jump" : "goto", go.chain); }

 private:
  [[nodiscard]] std::string client() const {
    std::string parts = fmt::format("{} saddr . meta l4proto . meta priority", word_);
    if (word_ == "ip") return parts;
    return fmt::format("jhash {} mod {} seed 0x{:x}", parts, kClientHashes, kHashSeed);
  }
  [[nodiscard]] std::string key(const Key& key) const {
    std::vector<std::string> words;
    for (const Operand& operand : key) {
      using enum Operand::Kind;
      switch (operand.kind) {
        case kSource: words.push_back(fmt::format("{} saddr", word_)); break;
        case kDestination: words.push_back(fmt::format("{} daddr", word_)); break;
        case kProtocol: words.emplace_back("meta l4proto"); break;
        case kPort: words.emplace_back("th dport"); break;
        case kPriority: words.emplace_back("meta priority"); break;
        case kFirstDestination: words.push_back(fmt::format("ct original {} daddr", word_)); break;
        case kFirstProtocol: words.emplace_back("ct protocol"); break;
        case kFirstPort: words.emplace_back("ct original proto-dst"); break;
      }
    }
    return concatenated(words);
  }

  std::string_view word_;
};

std::string_view hook_word(Hook hook) {
  switch (hook) {
    case Hook::kPrerouting: return "prerouting";
    case Hook::kInput: return "input";
    case Hook::kForward: return "forward";
    case Hook::kOutput: return "output";
    case Hook::kPostrouting: return "postrouting";
    case Hook::kNone: break;
  }
  return "";
}

/// nft names priorities of a hook and counts from them.
std::string priority_text(const Chain& chain) {
  const std::int32_t priority = chain.priority;
  if (priority == 0) return "filter";
  if (chain.hook == Hook::kPostrouting && priority == 100) return "srcnat";
  if (chain.hook != Hook::kPrerouting) return fmt::format("{}", priority);
  const std::int32_t from_dnat = priority + 100;
  if (from_dnat == 0) return "dstnat";
  return fmt::format("dstnat {} {}", from_dnat < 0 ? '-' : '+', from_dnat < 0 ? -from_dnat : from_dnat);
}

void append_set(std::string& text, const SetSpec& set, const std::set<std::string>& elements, Family family) {
  text += fmt::format("\t{} {} {{\n\t\ttype {}", set.data.empty() ? "set" : "map", set.name, types(set.key, family));
  if (!set.data.empty()) text += " : " + types(set.data, family);
  text += '\n';
  if (set.size != 0) text += fmt::format("\t\tsize {}\n", set.size);
  if (set.dynamic) text += "\t\tflags dynamic,timeout\n";
  if (set.interval) text += "\t\tflags interval\n";
  if (set.counted) text += "\t\tcounter\n";
  if (!elements.empty()) text += fmt::format("\t\telements = {{ {} }}\n", fmt::join(elements, ",\n\t\t\t     "));
  text += "\t}\n\n";
}

void append_flowtable(std::string& text, const FlowtableSpec& flowtable, const std::set<std::string>& devices) {
  text += fmt::format("\tflowtable {} {{\n\t\thook ingress priority {}\n", flowtable.name,
                      flowtable.priority == 0 ? "filter" : std::to_string(flowtable.priority));
  if (!devices.empty()) text += fmt::format("\t\tdevices = {{ {} }}\n", fmt::join(devices, ", "));
  text += "\t}\n\n";
}

}  // namespace

std::string to_text(const NftRule& rule, Family family) {
  std::string text;
  const StatementText statements(family);
  for (const Statement& statement : rule.statements) {
    if (!text.empty()) text += ' ';
    text += std::visit(statements, statement);
  }
  if (!rule.comment.empty()) text += fmt::format(" comment \"{}\"", rule.comment);
  return text;
}

std::string to_text(const ElementKey& key, const ElementValue& value, const SetSpec& set, Family family) {
  std::string text = fields_text(key.key, set.key, family, key.range);
  if (value.comment && !value.comment->empty()) text += fmt::format(" comment \"{}\"", *value.comment);
  if (!set.data.empty()) text += " : " + fields_text(value.data, set.data, family, 0);
  return text;
}

std::string to_text(const DesiredElements& desired, Family family, const DesiredElements::AsIf& as_if,
                    const std::set<std::string>& devices) {
  const Ruleset ruleset = desired.ruleset();
  std::map<SetRef, const SetSpec*> sets;
  for (const SetSpec& set : ruleset.sets) sets[set.ref] = &set;
  std::map<SetRef, std::set<std::string>> elements;
  desired.for_each_element([](const SetRef& /*set*/) { return true; },
                           [&](const ElementKey& key, const ElementValue& value) {
                             const auto set = sets.find(key.set);
                             if (set != sets.end()) elements[key.set].insert(to_text(key, value, *set->second, family));
                           },
                           as_if);
  std::string text = fmt::format("table {} {} {{\n\tcomment \"{}\"\n", family_word(family), kTable, kTableComment);
  for (const SetSpec& set : ruleset.sets) append_set(text, set, elements[set.ref], family);
  for (const FlowtableSpec& flowtable : ruleset.flowtables) append_flowtable(text, flowtable, devices);
  for (const Chain& chain : ruleset.chains) {
    text += fmt::format("\tchain {} {{\n", chain.name);
    if (chain.hook != Hook::kNone)
      text += fmt::format("\t\ttype {} hook {} priority {}; policy accept;\n", chain.nat ? "nat" : "filter",
                          hook_word(chain.hook), priority_text(chain));
    for (const NftRule& rule : chain.rules) text += "\t\t" + to_text(rule, family) + '\n';
    text += "\t}\n\n";
  }
  text.pop_back();
  return text + "}\n";
}

}  // namespace kubenatd::rules::nftables
