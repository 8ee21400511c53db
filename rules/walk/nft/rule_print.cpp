#include "rules/walk/nft/rule_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <type_traits>

#include "rules/walk/nft/value_text.h"

namespace kubenatd::rules::walk::nft {
namespace {

/// Anonymous sets with more elements than that are cut.
constexpr std::size_t kMaxElements = 64;
/// Of expressions in a rule; more do not come out of a kernel. Trees share their branches, so a small one may be long
/// to walk.
constexpr int kMaxDepth = 32;
constexpr int kMaxSteps = 2000;

/// An expression in words, and how its values are to be written.
struct Text {
  std::string words;
  Type type = Type::kUnknown;
  std::vector<Type> parts;  ///< of a concatenation
  bool turned = false;      ///< values have been turned into network order
  unsigned shift = 0;       ///< values are bits at their place in a field: so far from the right
};

/// What the conditions so far say of the packet: which header it is whose fields are meant.
struct Protocols {
  std::optional<std::uint8_t> transport;
  std::optional<Header> network;
};

template <class What>
const What* is(const ExpressionPtr& expression) {
  return expression ? std::get_if<What>(&expression->what) : nullptr;
}

bool all(const Bytes& bytes, std::uint8_t value) {
  return std::ranges::all_of(bytes.view(), [value](std::uint8_t byte) { return byte == value; });
}

Bytes inverse(Bytes bytes) {
  for (std::size_t i = 0; i < bytes.size; ++i) bytes.data[i] = static_cast<std::uint8_t>(~bytes.data[i]);
  return bytes;
}

std::string joined(const std::vector<std::string>& parts, std::string_view between) {
  return fmt::format("{}", fmt::join(parts, between));
}

std::string in_quotes(std::string_view text) {
  return fmt::format("\"{}\"", text);
}

std::string verdict_text(const ToVerdict& verdict) {
  switch (verdict.verdict) {
    case Verdict::kAccept: return "accept";
    case Verdict::kDrop: return "drop";
    case Verdict::kReturn: return "return";
    case Verdict::kContinue: return "continue";
    case Verdict::kJump: return "jump " + verdict.chain;
    case Verdict::kGoto: return "goto " + verdict.chain;
    case Verdict::kQueue: return "queue";
    case Verdict::kQueueBypass: return "queue flags bypass";
    case Verdict::kStolen: return "stolen";
  }
  return "";
}

/// The bits `offset` to `offset + size` of a number of `bytes` bytes, as a mask.
Bytes field_mask(std::size_t bytes, unsigned offset, unsigned size) {
  Bytes mask = Bytes::filled(bytes, 0);
  for (unsigned bit = offset; bit < offset + size && bit / 8 < bytes; ++bit)
    mask.data[bit / 8] = static_cast<std::uint8_t>(mask.data[bit / 8] | 0x80U >> bit % 8);
  return mask;
}

/// Parts of a key or of data one behind the other.
std::string parts_text(const Bytes& first, const Bytes& last, const std::vector<std::uint16_t>& sizes,
                       const std::vector<Type>& types, bool turn) {
  std::vector<std::string> words;
  std::size_t at = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const Type type = i < types.size() ? types[i] : Type::kUnknown;
    Bytes low = first.slice(at, sizes[i]);
    Bytes high = last.slice(at, sizes[i]);
    if (turn && info_of(type).host_order) {
      low = turned(low);
      high = turned(high);
    }
    words.push_back(low != high && all(low, 0) && all(high, 0xff) && sizes.size() == 1 ? "*"
                                                                                       : range_text(low, high, type));
    at += filled_up(sizes[i]);
  }
  return joined(words, " . ");
}

std::vector<std::uint16_t> sizes_of(const std::vector<Type>& types, std::size_t whole) {
  std::vector<std::uint16_t> sizes;
  for (const Type type : types) sizes.push_back(info_of(type).size);
  if (sizes.size() <= 1 || std::ranges::find(sizes, 0) != sizes.end()) return {static_cast<std::uint16_t>(whole)};
  return sizes;
}

std::string element_text(const SetElement& element, const WalkSet& set, const std::vector<Type>& types,
                         const std::vector<Type>& data_types, bool any) {
  std::string text = any ? "*" : parts_text(element.first, element.last, set.parts, types, set.interval);
  if (!element.comment.empty()) text += " comment " + in_quotes(element.comment);
  if (element.verdict) return text + " : " + verdict_text(*element.verdict);
  if (!set.is_map || element.data.size == 0) return text;
  // Data that is a range is its first and its last value.
  std::size_t whole = 0;
  for (const Type type : data_types)
    whole += data_types.size() == 1 ? info_of(type).size : filled_up(info_of(type).size);
  const std::size_t half = element.data.size / 2U;
  const bool range = whole != 0 && whole == half && element.data.size % 2 == 0;
  const Bytes first = range ? element.data.slice(0, half) : element.data;
  const Bytes last = range ? element.data.slice(half, half) : element.data;
  text += " : " + parts_text(first, last, sizes_of(data_types, first.size), data_types, false);
  return text;
}

class Printer {
 public:
  explicit Printer(const WalkTable& table) : table_(table) {
    if (table.family == TableFamily::kIp) protocols_.network = Header::kIp;
    if (table.family == TableFamily::kIp6) protocols_.network = Header::kIp6;
  }

  std::string rule(const std::vector<Statement>& statements) {
    std::string text;
    for (std::size_t i = 0; i < statements.size(); ++i) {
      if (learn(statements[i]) && is_said_later(statements, i)) continue;
      if (!text.empty()) text += ' ';
      text += std::visit(*this, statements[i]);
    }
    return text;
  }

  // Conditions.
  std::string operator()(const Condition& condition) { return condition_text(condition); }
  std::string operator()(const InSet& match) {
    const Text key = expression(match.key);
    return fmt::format("{} {}{}", key.words, match.negate ? "!= " : "", set_text(match.set, key, {}));
  }
  std::string operator()(const AnyOf& any) {
    std::vector<std::string> words;
    for (const Condition& condition : any.conditions) words.push_back(condition_text(condition));
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
    return fmt::format("meta {} set {}", name, value(set.value, key != nullptr ? key->type : Type::kUnknown));
  }
  std::string operator()(const SetCt& set) {
    const Key* key = key_numbered(ct_keys(), set.key);
    const std::string name = key != nullptr ? std::string(key->name) : fmt::format("{}", set.key);
    return fmt::format("ct {} set {}", name, value(set.value, key != nullptr ? key->type : Type::kUnknown));
  }
  std::string operator()(const SetPayload& set) {
    // A field of a few bits is written together with what stands around it.
    if (const auto* bits = is<Bits>(set.value)) {
      const auto* around = is<Payload>(bits->of);
      if (around != nullptr && *around == set.where) {
        const Bytes free = inverse(bits->mask);
        for (const Field& field : fields()) {
          const unsigned start = 8U * set.where.offset;
          if (!fits(field, set.where.base) || field.offset < start ||
              field.offset + field.bits > start + 8U * set.where.size ||
              free != field_mask(set.where.size, field.offset - start, field.bits))
            continue;
          return fmt::format("{} {} set {}", info_of(field.header).name, field.name,
                             field_value(bits->flip, field, set.where.offset));
        }
      }
    }
    const Text where = payload(set.where);
    return fmt::format("{} set {}", where.words, value(set.value, where.type));
  }
  std::string operator()(const NoTrack& /*untracked*/) { return "notrack"; }
  std::string operator()(const ToVerdict& verdict) { return verdict_text(verdict); }
  std::string operator()(const VerdictMap& map) {
    const Text key = expression(map.key);
    return fmt::format("{} vmap {}", key.words, set_text(map.map, key, {}));
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
    const Text key = expression(update.key);
    return fmt::format("update @{} {{ {}{}{} }}", update.set, key.words, update.condition.empty() ? "" : " ",
                       update.condition);
  }
  std::string operator()(const OtherTarget& target) { return target.text; }

 private:
  // Which headers are meant.

  /// Remembers what a condition says of the protocol; whether it says nothing else.
  bool learn(const Statement& statement) {
    const auto* condition = std::get_if<Condition>(&statement);
    if (condition == nullptr || condition->negate || condition->ranges.size() != 1) return false;
    const Bytes& is_value = condition->ranges.front().first;
    if (is_value != condition->ranges.front().second || is_value.size == 0) return false;
    if (const auto* meta = is<Meta>(condition->left)) {
      if (meta->key == NFT_META_L4PROTO && is_value.size == 1) {
        protocols_.transport = is_value.data[0];
        return true;
      }
      if (meta->key == NFT_META_NFPROTO && is_value.size == 1)
        return learn_network(is_value.data[0] == 2, is_value.data[0] == 10) && table_.family == TableFamily::kInet;
      if (meta->key == NFT_META_IIFTYPE && is_value.size == 2) return table_.family == TableFamily::kInet;
      if (meta->key == NFT_META_PROTOCOL && is_value.size == 2)
        return learn_network(is_value.as_network() == 0x0800, is_value.as_network() == 0x86dd) &&
               (table_.family == TableFamily::kNetdev || table_.family == TableFamily::kBridge);
    }
    if (const auto* payload = is<Payload>(condition->left)) {
      if (payload->base == Payload::Base::kNetwork && payload->size == 1 &&
          ((payload->offset == 9 && protocols_.network == Header::kIp) ||
           (payload->offset == 6 && protocols_.network == Header::kIp6)))
        protocols_.transport = is_value.data[0];
    }
    return false;
  }
  bool learn_network(bool ip, bool ip6) {
    if (ip) protocols_.network = Header::kIp;
    if (ip6) protocols_.network = Header::kIp6;
    return ip || ip6;
  }

  /// A later part of the rule has the protocol in its name ("tcp dport", "ip saddr"), so nft does not say it twice.
  [[nodiscard]] bool is_said_later(const std::vector<Statement>& statements, std::size_t at) const {
    const auto& condition = std::get<Condition>(statements[at]);
    const auto* meta = is<Meta>(condition.left);
    Payload::Base base = Payload::Base::kNetwork;
    if (meta == nullptr || meta->key == NFT_META_IIFTYPE) base = Payload::Base::kLink;
    if (meta != nullptr && meta->key == NFT_META_L4PROTO) {
      base = Payload::Base::kTransport;
      if (!has_ports_or_fields(condition.ranges.front().first.data[0])) return false;
    }
    for (std::size_t i = at + 1; i < statements.size(); ++i) {
      if (const auto* next = std::get_if<Condition>(&statements[i])) {
        if (same(next->left, condition.left)) return false;
        if (base == Payload::Base::kNetwork && is_of_one_network(*next) && is_said_later(statements, i)) return true;
      }
      if (base == Payload::Base::kNetwork && table_.family == TableFamily::kInet && names_network(statements[i]))
        return true;
      if (std::visit([&](const auto& part) { return uses(part, base); }, statements[i])) return true;
    }
    return false;
  }
  /// ICMP is one of IPv4 or of IPv6.
  static bool is_of_one_network(const Condition& condition) {
    const auto* meta = is<Meta>(condition.left);
    if (meta == nullptr || meta->key != NFT_META_L4PROTO || condition.negate || condition.ranges.size() != 1)
      return false;
    const Bytes& value = condition.ranges.front().first;
    return value == condition.ranges.front().second && value.size == 1 &&
           (value.data[0] == 1 || value.data[0] == 2 || value.data[0] == 58);
  }
  static bool names_network(const Statement& statement) {
    if (const auto* nat = std::get_if<Nat>(&statement)) return nat->address != nullptr;
    if (const auto* tproxy = std::get_if<Tproxy>(&statement)) return tproxy->address != nullptr;
    const auto* refuse = std::get_if<Refuse>(&statement);
    return refuse != nullptr && (refuse->with.starts_with("icmp-") || refuse->with.starts_with("icmp6-"));
  }
  [[nodiscard]] static bool has_ports_or_fields(std::uint8_t protocol) {
    return std::ranges::any_of(
        headers(), [protocol](const HeaderInfo& info) { return info.protocol != 0 && info.protocol == protocol; });
  }

  template <class Part>
  static bool uses(const Part& part, Payload::Base base) {
    int steps = 0;
    const auto in = [&](const ExpressionPtr& expression) { return uses_expression(expression, base, steps); };
    if constexpr (std::is_same_v<Part, SetPayload>) return part.where.base == base;
    if constexpr (std::is_same_v<Part, Nat>) return in(part.address) || in(part.port);
    if constexpr (std::is_same_v<Part, SetMeta> || std::is_same_v<Part, SetCt>) return in(part.value);
    if constexpr (std::is_same_v<Part, InSet> || std::is_same_v<Part, VerdictMap> || std::is_same_v<Part, UpdateSet>)
      return in(part.key);
    if constexpr (std::is_same_v<Part, Condition>) return in(part.left);
    return false;
  }
  static bool uses_expression(const ExpressionPtr& expression, Payload::Base base, int& steps) {
    if (!expression || ++steps > kMaxSteps) return false;
    return std::visit(
        [&]<class What>(const What& what) {
          if constexpr (std::is_same_v<What, Payload>) return what.base == base;
          if constexpr (std::is_same_v<What, ExtensionHeader>)
            return base == Payload::Base::kNetwork &&
                   (what.operation == NFT_EXTHDR_OP_IPV6 || what.operation == NFT_EXTHDR_OP_IPV4);
          if constexpr (std::is_same_v<What, Concat>)
            return std::ranges::any_of(what.parts,
                                       [&](const ExpressionPtr& part) { return uses_expression(part, base, steps); });
          if constexpr (std::is_same_v<What, MapLookup>) return uses_expression(what.key, base, steps);
          if constexpr (std::is_same_v<What, BitsOfTwo>)
            return uses_expression(what.of, base, steps) || uses_expression(what.other, base, steps);
          if constexpr (requires { what.of; }) return uses_expression(what.of, base, steps);
          return false;
        },
        expression->what);
  }

  [[nodiscard]] bool is_default(std::string_view family) const {
    switch (table_.family) {
      case TableFamily::kIp: return family == "icmp";
      case TableFamily::kIp6: return family == "icmpv6";
      default: return family == "icmpx";
    }
  }

  /// Whether a field of this header is meant by bytes of that base.
  [[nodiscard]] bool fits(const Field& field, Payload::Base base) const {
    const HeaderInfo& info = info_of(field.header);
    if (info.base != base) return false;
    switch (base) {
      case Payload::Base::kLink: return true;
      case Payload::Base::kNetwork: return field.header == protocols_.network;
      case Payload::Base::kTransport:
        if (field.header == Header::kTh) return !protocols_.transport || !has_ports_or_fields(*protocols_.transport);
        return protocols_.transport && info.protocol == *protocols_.transport;
      case Payload::Base::kInner: return false;
    }
    return false;
  }

  // Expressions.

  Text payload(const Payload& payload) {
    for (const Field& field : fields())
      if (fits(field, payload.base) && field.offset == 8 * payload.offset && field.bits == 8 * payload.size)
        return {fmt::format("{} {}", info_of(field.header).name, field.name), field.type, {}, false};
    std::string_view base = "ih";
    if (payload.base == Payload::Base::kLink) base = "ll";
    if (payload.base == Payload::Base::kNetwork) base = "nh";
    if (payload.base == Payload::Base::kTransport) base = "th";
    return {fmt::format("@{},{},{}", base, 8 * payload.offset, 8 * payload.size), Type::kUnknown, {}, false};
  }
  /// The first bytes of a field, as nft compares prefixes: the field.
  [[nodiscard]] const Field* beginning_of(const Payload& payload) const {
    for (const Field& field : fields())
      if (fits(field, payload.base) && field.offset == 8 * payload.offset && field.bits > 8 * payload.size &&
          (field.type == Type::kAddress4 || field.type == Type::kAddress6))
        return &field;
    return nullptr;
  }
  /// The field of a few bits that the mask cuts out.
  [[nodiscard]] const Field* cut_out(const Payload& payload, const Bytes& mask) const {
    const unsigned start = 8U * payload.offset;
    for (const Field& field : fields())
      if (fits(field, payload.base) && field.bits % 8 != 0 && field.offset >= start && field.offset < start + 8 &&
          field.offset + field.bits <= start + 8U * payload.size &&
          mask == field_mask(payload.size, field.offset - start, field.bits))
        return &field;
    return nullptr;
  }
  static unsigned below(const Field& field, const Payload& payload) {
    return 8U * (payload.offset + payload.size) - field.offset - field.bits;
  }
  static std::string field_value(const Bytes& bytes, const Field& field, unsigned offset) {
    const unsigned below = 8U * (offset + bytes.size) - field.offset - field.bits;
    const std::uint64_t number = bytes.as_network() >> below & ((std::uint64_t{1} << field.bits) - 1);
    return value_text(Bytes::network(number, (field.bits + 7U) / 8), field.type);
  }

  Text expression(const ExpressionPtr& expression) {
    if (!expression) return {"", Type::kUnknown, {}, false};
    if (depth_ >= kMaxDepth || ++steps_ > kMaxSteps) return {"...", Type::kUnknown, {}, false};
    ++depth_;
    Text text = std::visit([this](const auto& what) { return words(what); }, expression->what);
    --depth_;
    return text;
  }

  Text words(const Payload& what) { return payload(what); }
  Text words(const Meta& what) {
    const Key* key = key_numbered(meta_keys(), what.key);
    if (key == nullptr) return {fmt::format("meta {}", what.key), Type::kUnknown, {}, false};
    switch (what.key) {
      // nft leaves "meta" away for these.
      case NFT_META_IIF:
      case NFT_META_OIF:
      case NFT_META_IIFNAME:
      case NFT_META_OIFNAME:
      case NFT_META_IIFGROUP:
      case NFT_META_OIFGROUP: return {std::string(key->name), key->type, {}, false};
      default: return {fmt::format("meta {}", key->name), key->type, {}, false};
    }
  }
  Text words(const Ct& what) {
    const Key* key = key_numbered(ct_keys(), what.key);
    if (key == nullptr) return {fmt::format("ct {}", what.key), Type::kUnknown, {}, false};
    std::string_view direction;
    if (what.direction == Ct::Direction::kOriginal) direction = "original ";
    if (what.direction == Ct::Direction::kReply) direction = "reply ";
    Type type = key->type;
    if (what.key == NFT_CT_SRC || what.key == NFT_CT_DST) {
      if (protocols_.network == Header::kIp) type = Type::kAddress4;
      if (protocols_.network == Header::kIp6) type = Type::kAddress6;
    }
    return {fmt::format("ct {}{}", direction, key->name), type, {}, false};
  }
  Text words(const Fib& what) {
    std::vector<std::string> key;
    const auto add = [&](std::uint32_t flag, const char* name) {
      if ((what.flags & flag) != 0) key.emplace_back(name);
    };
    add(NFTA_FIB_F_SADDR, "saddr");
    add(NFTA_FIB_F_DADDR, "daddr");
    add(NFTA_FIB_F_MARK, "mark");
    add(NFTA_FIB_F_IIF, "iif");
    add(NFTA_FIB_F_OIF, "oif");
    std::string_view result = "type";
    Type type = Type::kAddressType;
    if (what.result == NFT_FIB_RESULT_OIF) {
      result = "oif";
      type = (what.flags & NFTA_FIB_F_PRESENT) != 0 ? Type::kBoolean : Type::kInterfaceIndex;
    } else if (what.result == NFT_FIB_RESULT_OIFNAME) {
      result = "oifname";
      type = (what.flags & NFTA_FIB_F_PRESENT) != 0 ? Type::kBoolean : Type::kInterface;
    }
    return {fmt::format("fib {} {}", joined(key, " . "), result), type, {}, false};
  }
  Text words(const SocketField& what) {
    const Key* key = key_numbered(socket_keys(), what.key);
    if (key == nullptr) return {fmt::format("socket {}", what.key), Type::kUnknown, {}, false};
    if (what.key == NFT_SOCKET_CGROUPV2)
      return {fmt::format("socket cgroupv2 level {}", what.level), key->type, {}, false};
    return {fmt::format("socket {}", key->name), key->type, {}, false};
  }
  Text words(const RouteField& what) {
    const Key* key = key_numbered(rt_keys(), what.key);
    if (key == nullptr) return {fmt::format("rt {}", what.key), Type::kUnknown, {}, false};
    return {fmt::format("rt {}", key->name), key->type, {}, false};
  }
  static std::string_view option_family(const ExtensionHeader& what) {
    switch (what.operation) {
      case NFT_EXTHDR_OP_TCPOPT: return "tcp option ";
      case NFT_EXTHDR_OP_IPV4: return "ip option ";
      case NFT_EXTHDR_OP_SCTP: return "sctp chunk ";
      default: return what.presence ? "exthdr " : "";
    }
  }
  Text words(const ExtensionHeader& what) {
    const std::string_view family = option_family(what);
    for (const OptionField& option : option_fields()) {
      if (option.operation != what.operation || option.type != what.type) continue;
      if (what.presence) return {fmt::format("{}{}", family, option.option), Type::kBoolean, {}, false};
      if (!option.name.empty() && option.offset == 8 * what.offset && option.bits == 8 * what.size)
        return {fmt::format("{}{} {}", family, option.option, option.name), option.value, {}, false};
    }
    return {fmt::format("{}@{},{},{}", family.empty() ? "exthdr " : family, what.type, 8 * what.offset, 8 * what.size),
            what.presence ? Type::kBoolean : Type::kUnknown,
            {},
            false};
  }
  Text words(const Constant& what) { return {value_text(what.bytes, Type::kUnknown), Type::kUnknown, {}, false}; }
  Text words(const Bits& what) {
    if (const auto* from = is<Payload>(what.of); from != nullptr && all(what.flip, 0))
      if (const Field* field = cut_out(*from, what.mask); field != nullptr)
        return {fmt::format("{} {}", info_of(field->header).name, field->name),
                field->type,
                {},
                false,
                below(*field, *from)};
    if (const auto* from = is<ExtensionHeader>(what.of); from != nullptr && all(what.flip, 0) && !from->presence)
      for (const OptionField& option : option_fields()) {
        const unsigned start = 8U * from->offset;
        if (option.operation != from->operation || option.type != from->type || option.bits % 8 == 0 ||
            option.offset < start || option.offset + option.bits > start + 8U * from->size ||
            what.mask != field_mask(from->size, option.offset - start, option.bits))
          continue;
        return {fmt::format("{}{} {}", option_family(*from), option.option, option.name),
                option.value,
                {},
                false,
                start + 8U * from->size - option.offset - option.bits};
      }
    Text of = expression(what.of);
    const auto operand = [&](const Bytes& bytes) { return bit_value(bytes, of); };
    if (all(what.mask, 0xff)) {
      if (!all(what.flip, 0)) of.words += " ^ " + operand(what.flip);
      return of;
    }
    if (what.flip == inverse(what.mask)) {
      of.words += " | " + operand(what.flip);
      return of;
    }
    of.words += " & " + operand(what.mask);
    if (all(what.flip, 0)) return of;
    bool apart = true;
    for (std::size_t i = 0; i < what.flip.size; ++i) apart = apart && (what.mask.data[i] & what.flip.data[i]) == 0;
    of.words += fmt::format(" {} {}", apart ? '|' : '^', operand(what.flip));
    return of;
  }
  Text words(const BitsOfTwo& what) {
    Text of = expression(what.of);
    char operation = '^';
    if (what.operation == BitsOfTwo::Operation::kAnd) operation = '&';
    if (what.operation == BitsOfTwo::Operation::kOr) operation = '|';
    of.words += fmt::format(" {} {}", operation, value(what.other, of.type));
    return of;
  }
  Text words(const Shift& what) {
    Text of = expression(what.of);
    if (!what.left && of.shift == what.by && of.shift != 0) {
      of.shift = 0;
      return of;
    }
    of.words += fmt::format(" {} {}", what.left ? "<<" : ">>", what.by);
    return of;
  }
  Text words(const Swap& what) {
    Text of = expression(what.of);
    of.turned = !of.turned;
    return of;
  }
  Text words(const Concat& what) {
    Text text;
    for (const ExpressionPtr& part : what.parts) {
      const Text of = expression(part);
      if (!text.words.empty()) text.words += " . ";
      text.words += of.words;
      text.parts.push_back(of.type);
    }
    return text;
  }
  Text words(const Slice& what) {
    Text of = expression(what.of);
    // The beginning of a name: what it is compared with ends with "*".
    if ((of.type == Type::kInterface || of.type == Type::kString) && what.offset == 0) return of;
    return {fmt::format("{}[{}-{}]", of.words, what.offset, what.offset + what.size - 1), Type::kUnknown, {}, false};
  }
  Text words(const MapLookup& what) {
    const Text key = expression(what.key);
    std::vector<Type> types;
    const WalkSet* map = table_.set(what.map);
    if (map != nullptr) types = types_named(map->data_type);
    const Type type = types.size() == 1 ? types.front() : Type::kUnknown;
    return {fmt::format("{} map {}", key.words, set_text(what.map, key, types)), type, types, false};
  }
  Text words(const Draw& what) {
    std::string text;
    switch (what.kind) {
      case Draw::Kind::kRandom: text = "numgen random"; break;
      case Draw::Kind::kRoundRobin: text = "numgen inc"; break;
      case Draw::Kind::kHash: text = what.of ? "jhash " + expression(what.of).words : "symhash"; break;
    }
    text += fmt::format(" mod {}", what.modulus);
    if (what.seed) text += fmt::format(" seed 0x{:x}", *what.seed);
    if (what.offset != 0) text += fmt::format(" offset {}", what.offset);
    return {std::move(text), Type::kHostInteger, {}, false};
  }
  Text words(const Unread& what) { return {what.text, Type::kUnknown, {}, false}; }

  // Values.

  /// The right side of a set: a constant is written as the left side's type wants it.
  std::string value(const ExpressionPtr& of, Type type) {
    if (const auto* constant = is<Constant>(of)) return value_text(constant->bytes, type);
    if (const auto* map = is<MapLookup>(of)) {
      const Text key = expression(map->key);
      return fmt::format("{} map {}", key.words, set_text(map->map, key, {type}));
    }
    return expression(of).words;
  }

  static Bytes as_loaded(const Bytes& bytes, const Text& left) {
    if (left.shift != 0 && bytes.size <= 8) {
      const std::uint64_t number = bytes.as_network() >> left.shift;
      return Bytes::network(number, left.type == Type::kInteger ? bytes.size : info_of(left.type).size);
    }
    return left.turned ? turned(bytes) : bytes;
  }

  static std::string one_value(const Bytes& bytes, const Text& left) {
    if (left.parts.size() > 1) {
      const auto sizes = sizes_of(left.parts, bytes.size);
      return parts_text(bytes, bytes, sizes, left.parts, false);
    }
    return value_text(as_loaded(bytes, left), left.type);
  }
  static std::string range_of(const std::pair<Bytes, Bytes>& range, const Text& left) {
    if (left.parts.size() > 1)
      return parts_text(range.first, range.second, sizes_of(left.parts, range.first.size), left.parts, false);
    return range_text(as_loaded(range.first, left), as_loaded(range.second, left), left.type);
  }
  /// An operand of & and |: names joined by "|", in brackets when there are more.
  static std::string bit_value(const Bytes& bytes, const Text& left) {
    const Bytes loaded = as_loaded(bytes, left);
    if (info_of(left.type).is_bits) {
      if (auto names = bits_text(loaded, left.type, " | "))
        return names->find('|') == std::string::npos ? *std::move(names) : fmt::format("({})", *names);
      if (loaded.size <= 8) return fmt::format("0x{:x}", number_of(loaded, info_of(left.type).host_order));
    }
    return value_text(loaded, left.type);
  }

  std::string condition_text(const Condition& condition) {
    if (condition.ranges.size() == 1 && condition.ranges.front().first == condition.ranges.front().second) {
      if (auto text = short_form(condition, condition.ranges.front().first)) return *std::move(text);
    }
    Text left = expression(condition.left);
    const auto* bits = is<Bits>(condition.left);
    const bool single = condition.ranges.size() == 1;
    if (single) {
      const auto& [first, last] = condition.ranges.front();
      if (first == last) {
        // nft says "==" where an operation, or a type of bits, stands on the left.
        const bool say = bits != nullptr || info_of(left.type).is_bits;
        const std::string right = bits != nullptr ? bit_value(first, left) : one_value(first, left);
        return fmt::format("{} {}{}", left.words, condition.negate ? "!= " : say ? "== " : "", right);
      }
      if (left.parts.size() <= 1 && first.size == last.size) {
        if (all(last, 0xff) && !all(first, 0))
          return fmt::format("{} {} {}", left.words, condition.negate ? "<" : ">=", one_value(first, left));
        if (all(first, 0) && !all(last, 0xff))
          return fmt::format("{} {} {}", left.words, condition.negate ? ">" : "<=", one_value(last, left));
      }
      return fmt::format("{} {}{}", left.words, condition.negate ? "!= " : "",
                         range_of(condition.ranges.front(), left));
    }
    std::vector<std::string> values;
    for (const auto& range : condition.ranges) values.push_back(range_of(range, left));
    return fmt::format("{} {}{{ {} }}", left.words, condition.negate ? "!= " : "", joined(values, ", "));
  }

  /// Forms in which the left side is not written as it is: prefixes, fields of a few bits, tests of bits.
  std::optional<std::string> short_form(const Condition& condition, const Bytes& is_value) {
    const std::string_view negated = condition.negate ? "!= " : "";
    if (const auto* from = is<Payload>(condition.left)) {
      if (!condition.negate)
        if (auto fields_text = several_fields(*from, is_value)) return fields_text;
      const Field* field = beginning_of(*from);
      if (field == nullptr || is_value.size != from->size) return std::nullopt;
      Bytes whole = is_value;
      whole.append(Bytes::filled(field->bits / 8 - is_value.size, 0));
      return fmt::format("{} {} {}{}/{}", info_of(field->header).name, field->name, negated,
                         value_text(whole, field->type), 8 * from->size);
    }
    if (const auto* part = is<Slice>(condition.left); part != nullptr && part->offset == 0) {
      const Text of = expression(part->of);
      if (of.type != Type::kAddress4 && of.type != Type::kAddress6) return std::nullopt;
      Bytes whole = is_value;
      whole.append(Bytes::filled(info_of(of.type).size - std::min<std::size_t>(info_of(of.type).size, whole.size), 0));
      return fmt::format("{} {}{}/{}", of.words, negated, value_text(whole, of.type), 8 * is_value.size);
    }
    const auto* bits = is<Bits>(condition.left);
    if (bits == nullptr || !all(bits->flip, 0) || bits->mask.size != is_value.size) return std::nullopt;
    if (const auto* from = is<Payload>(bits->of))
      if (const Field* field = cut_out(*from, bits->mask); field != nullptr)
        return fmt::format("{} {} {}{}", info_of(field->header).name, field->name, negated,
                           field_value(is_value, *field, from->offset));
    const Text of = expression(bits->of);
    const bool address = of.type == Type::kAddress4 || of.type == Type::kAddress6;
    if (const auto length = prefix_length(bits->mask); address && length)
      return fmt::format("{} {}{}/{}", of.words, negated, value_text(is_value, of.type), *length);
    if (!info_of(of.type).is_bits) return std::nullopt;
    const auto mask = bits_text(bits->mask, of.type, ",");
    if (all(is_value, 0))
      return fmt::format("{} {}{}", of.words, condition.negate ? "" : "! ",
                         mask ? *mask : value_text(bits->mask, of.type));
    const auto value = bits_text(is_value, of.type, ",");
    if (mask && value) return fmt::format("{} {}{} / {}", of.words, negated, *value, *mask);
    return std::nullopt;
  }

  /// nft makes one load of fields that stand one behind the other ("ip saddr A ip daddr B").
  [[nodiscard]] std::optional<std::string> several_fields(const Payload& payload, const Bytes& value) const {
    if (value.size != payload.size) return std::nullopt;
    std::string text;
    unsigned at = 8U * payload.offset;
    const unsigned end = at + 8U * payload.size;
    int count = 0;
    while (at < end) {
      const auto all_fields = fields();
      const auto field = std::ranges::find_if(all_fields, [&](const Field& each) {
        return fits(each, payload.base) && each.offset == at && each.bits % 8 == 0 && at + each.bits <= end;
      });
      if (field == all_fields.end()) return std::nullopt;
      const Bytes part = value.slice((at - 8U * payload.offset) / 8, field->bits / 8U);
      text += fmt::format("{}{} {} {}", text.empty() ? "" : " ", info_of(field->header).name, field->name,
                          value_text(part, field->type));
      at += field->bits;
      ++count;
    }
    if (count < 2) return std::nullopt;
    return text;
  }

  std::string set_text(const std::string& name, const Text& key, const std::vector<Type>& data_types) {
    const WalkSet* set = table_.set(name);
    if (set == nullptr || !set->anonymous || !set->complete) return "@" + name;
    std::vector<Type> types = key.parts;
    if (types.empty()) types.push_back(key.type);
    std::vector<std::string> elements;
    for (const SetElement& element : set->elements) {
      if (elements.size() == kMaxElements) {
        elements.emplace_back("...");
        break;
      }
      if (key.shift != 0 && set->parts.size() == 1) {
        SetElement shown = element;
        shown.first = as_loaded(element.first, key);
        shown.last = as_loaded(element.last, key);
        WalkSet as = *set;
        as.elements.clear();
        as.parts = {shown.first.size};
        elements.push_back(element_text(shown, as, types, data_types, false));
        continue;
      }
      elements.push_back(element_text(element, *set, types, data_types, false));
    }
    if (set->catch_all) elements.push_back(element_text(*set->catch_all, *set, types, data_types, true));
    return fmt::format("{{ {} }}", joined(elements, ", "));
  }

  // Translation.

  [[nodiscard]] bool is_ip6(const ExpressionPtr& address) const {
    if (const auto* constant = is<Constant>(address)) return constant->bytes.size == 16;
    if (const auto* map = is<MapLookup>(address)) return map->size == 16;
    if (const auto* part = is<Slice>(address)) return part->size == 16;
    return protocols_.network == Header::kIp6;
  }

  std::string endpoint(const ExpressionPtr& address, const ExpressionPtr& last_address, const ExpressionPtr& port,
                       const ExpressionPtr& last_port, bool netmap = false) {
    std::string text;
    if (address) {
      const bool six = is_ip6(address);
      const Type type = six ? Type::kAddress6 : Type::kAddress4;
      const bool brackets = six && port && is<Constant>(address) != nullptr;
      const auto one = [&](const ExpressionPtr& which) {
        return brackets ? fmt::format("[{}]", value(which, type)) : value(which, type);
      };
      const auto* first = is<Constant>(address);
      const auto* last = is<Constant>(last_address);
      if (netmap && first != nullptr && last != nullptr) return range_text(first->bytes, last->bytes, type);
      text = one(address);
      if (last_address && !same(last_address, address)) text += "-" + one(last_address);
    }
    if (port) {
      text += ":" + value(port, Type::kPort);
      if (last_port && !same(last_port, port)) text += "-" + value(last_port, Type::kPort);
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
        const Text key = expression(map->key);
        std::vector<Type> types{type};
        if (with_port) types.push_back(Type::kPort);
        return fmt::format(" {}{} to {} map {}", address->size == 16 ? "ip6" : "ip", nat.netmap ? " prefix" : "",
                           key.words, set_text(map->map, key, types));
      }
    }
    std::string family;
    if (to_address && nat.address && table_.family == TableFamily::kInet) family = is_ip6(nat.address) ? " ip6" : " ip";
    if (nat.netmap) family += " prefix";
    return fmt::format("{} to {}", family,
                       endpoint(nat.address, nat.last_address, nat.port, nat.last_port, nat.netmap));
  }

  const WalkTable& table_;
  Protocols protocols_;
  int depth_ = 0;
  int steps_ = 0;
};

}  // namespace

std::string to_text(const std::vector<Statement>& statements, const WalkTable& table) {
  return Printer(table).rule(statements);
}

std::string to_text(const SetElement& element, const WalkSet& set) {
  const bool any = set.catch_all && &element == &*set.catch_all;
  return element_text(element, set, types_named(set.type), types_named(set.data_type), any);
}

std::string key_text(const Bytes& key, const WalkSet& set) {
  return parts_text(key, key, set.parts, types_named(set.type), set.interval);
}

}  // namespace kubenatd::rules::walk::nft
