#include "rules/walk/nft/expression_print.h"

#include <fmt/format.h>

#include <optional>

#include "rules/walk/nft/element_text.h"
#include "rules/walk/nft/value_text.h"

namespace kubenatd::rules::walk::nft {
namespace {

/// Anonymous sets with more elements than that are cut.
constexpr std::size_t kMaxElements = 64;
/// Of expressions in a rule; more do not come out of a kernel. Trees share their branches, so a small one may be long
/// to walk.
constexpr int kMaxDepth = 32;
constexpr int kMaxSteps = 2000;

unsigned below(const Field& field, const Payload& payload) {
  return 8U * (payload.offset + payload.size) - field.offset - field.bits;
}

std::string_view option_family(const ExtensionHeader& what) {
  switch (what.operation) {
    case NFT_EXTHDR_OP_TCPOPT: return "tcp option ";
    case NFT_EXTHDR_OP_IPV4: return "ip option ";
    case NFT_EXTHDR_OP_SCTP: return "sctp chunk ";
    default: return what.presence ? "exthdr " : "";
  }
}

}  // namespace

Bytes as_loaded(const Bytes& bytes, const Text& left) {
  if (left.shift != 0 && bytes.size <= 8) {
    const std::uint64_t number = bytes.as_network() >> left.shift;
    return Bytes::network(number, left.type == Type::kInteger ? bytes.size : info_of(left.type).size);
  }
  return left.turned ? turned(bytes) : bytes;
}

std::string bit_value(const Bytes& bytes, const Text& left) {
  const Bytes loaded = as_loaded(bytes, left);
  if (info_of(left.type).is_bits) {
    if (auto names = bits_text(loaded, left.type, " | "))
      return names->find('|') == std::string::npos ? *std::move(names) : fmt::format("({})", *names);
    if (loaded.size <= 8) return fmt::format("0x{:x}", number_of(loaded, info_of(left.type).host_order));
  }
  return value_text(loaded, left.type);
}

std::string field_value(const Bytes& bytes, const Field& field, unsigned offset) {
  const unsigned below = 8U * (offset + bytes.size) - field.offset - field.bits;
  const std::uint64_t number = bytes.as_network() >> below & ((std::uint64_t{1} << field.bits) - 1);
  return value_text(Bytes::network(number, (field.bits + 7U) / 8), field.type);
}

Text ExpressionPrinter::expression(const ExpressionPtr& expression) {
  if (!expression) return {"", Type::kUnknown, {}, false};
  if (depth_ >= kMaxDepth || ++steps_ > kMaxSteps) return {"...", Type::kUnknown, {}, false};
  ++depth_;
  Text text = std::visit([this](const auto& what) { return words(what); }, expression->what);
  --depth_;
  return text;
}

Text ExpressionPrinter::payload(const Payload& payload) {
  for (const Field& field : fields())
    if (told_.fits(field, payload.base) && field.offset == 8 * payload.offset && field.bits == 8 * payload.size)
      return {fmt::format("{} {}", info_of(field.header).name, field.name), field.type, {}, false};
  std::string_view base = "ih";
  if (payload.base == Payload::Base::kLink) base = "ll";
  if (payload.base == Payload::Base::kNetwork) base = "nh";
  if (payload.base == Payload::Base::kTransport) base = "th";
  return {fmt::format("@{},{},{}", base, 8 * payload.offset, 8 * payload.size), Type::kUnknown, {}, false};
}

std::string ExpressionPrinter::value(const ExpressionPtr& of, Type type) {
  if (const auto* constant = is<Constant>(of)) return value_text(constant->bytes, type);
  if (const auto* map = is<MapLookup>(of)) {
    const Text key = expression(map->key);
    return fmt::format("{} map {}", key.words, set_text(map->map, key, {type}));
  }
  return expression(of).words;
}

std::string ExpressionPrinter::set_text(const std::string& name, const Text& key, const std::vector<Type>& data_types) {
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

const Field* ExpressionPrinter::beginning_of(const Payload& payload) const {
  for (const Field& field : fields())
    if (told_.fits(field, payload.base) && field.offset == 8 * payload.offset && field.bits > 8 * payload.size &&
        (field.type == Type::kAddress4 || field.type == Type::kAddress6))
      return &field;
  return nullptr;
}

const Field* ExpressionPrinter::cut_out(const Payload& payload, const Bytes& mask) const {
  const unsigned start = 8U * payload.offset;
  for (const Field& field : fields())
    if (told_.fits(field, payload.base) && field.bits % 8 != 0 && field.offset >= start && field.offset < start + 8 &&
        field.offset + field.bits <= start + 8U * payload.size &&
        mask == bit_mask(payload.size, field.offset - start, field.bits))
      return &field;
  return nullptr;
}

Text ExpressionPrinter::words(const Payload& what) {
  return payload(what);
}

Text ExpressionPrinter::words(const Meta& what) {
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

Text ExpressionPrinter::words(const Ct& what) {
  const Key* key = key_numbered(ct_keys(), what.key);
  if (key == nullptr) return {fmt::format("ct {}", what.key), Type::kUnknown, {}, false};
  std::string_view direction;
  if (what.direction == Ct::Direction::kOriginal) direction = "original ";
  if (what.direction == Ct::Direction::kReply) direction = "reply ";
  Type type = key->type;
  if (what.key == NFT_CT_SRC || what.key == NFT_CT_DST) {
    if (told_.network() == Header::kIp) type = Type::kAddress4;
    if (told_.network() == Header::kIp6) type = Type::kAddress6;
  }
  return {fmt::format("ct {}{}", direction, key->name), type, {}, false};
}

Text ExpressionPrinter::words(const Fib& what) {
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

Text ExpressionPrinter::words(const SocketField& what) {
  const Key* key = key_numbered(socket_keys(), what.key);
  if (key == nullptr) return {fmt::format("socket {}", what.key), Type::kUnknown, {}, false};
  if (what.key == NFT_SOCKET_CGROUPV2)
    return {fmt::format("socket cgroupv2 level {}", what.level), key->type, {}, false};
  return {fmt::format("socket {}", key->name), key->type, {}, false};
}

Text ExpressionPrinter::words(const RouteField& what) {
  const Key* key = key_numbered(rt_keys(), what.key);
  if (key == nullptr) return {fmt::format("rt {}", what.key), Type::kUnknown, {}, false};
  return {fmt::format("rt {}", key->name), key->type, {}, false};
}

Text ExpressionPrinter::words(const ExtensionHeader& what) {
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

Text ExpressionPrinter::words(const Constant& what) {
  return {value_text(what.bytes, Type::kUnknown), Type::kUnknown, {}, false};
}

Text ExpressionPrinter::words(const Bits& what) {
  if (const auto* from = is<Payload>(what.of); from != nullptr && all(what.flip, 0))
    if (const Field* field = cut_out(*from, what.mask); field != nullptr)
      return {
          fmt::format("{} {}", info_of(field->header).name, field->name), field->type, {}, false, below(*field, *from)};
  if (const auto* from = is<ExtensionHeader>(what.of); from != nullptr && all(what.flip, 0) && !from->presence)
    for (const OptionField& option : option_fields()) {
      const unsigned start = 8U * from->offset;
      if (option.operation != from->operation || option.type != from->type || option.bits % 8 == 0 ||
          option.offset < start || option.offset + option.bits > start + 8U * from->size ||
          what.mask != bit_mask(from->size, option.offset - start, option.bits))
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

Text ExpressionPrinter::words(const BitsOfTwo& what) {
  Text of = expression(what.of);
  char operation = '^';
  if (what.operation == BitsOfTwo::Operation::kAnd) operation = '&';
  if (what.operation == BitsOfTwo::Operation::kOr) operation = '|';
  of.words += fmt::format(" {} {}", operation, value(what.other, of.type));
  return of;
}

Text ExpressionPrinter::words(const Shift& what) {
  Text of = expression(what.of);
  if (!what.left && of.shift == what.by && of.shift != 0) {
    of.shift = 0;
    return of;
  }
  of.words += fmt::format(" {} {}", what.left ? "<<" : ">>", what.by);
  return of;
}

Text ExpressionPrinter::words(const Swap& what) {
  Text of = expression(what.of);
  of.turned = !of.turned;
  return of;
}

Text ExpressionPrinter::words(const Concat& what) {
  Text text;
  for (const ExpressionPtr& part : what.parts) {
    const Text of = expression(part);
    if (!text.words.empty()) text.words += " . ";
    text.words += of.words;
    text.parts.push_back(of.type);
  }
  return text;
}

Text ExpressionPrinter::words(const Slice& what) {
  Text of = expression(what.of);
  // The beginning of a name: what it is compared with ends with "*".
  if ((of.type == Type::kInterface || of.type == Type::kString) && what.offset == 0) return of;
  return {fmt::format("{}[{}-{}]", of.words, what.offset, what.offset + what.size - 1), Type::kUnknown, {}, false};
}

Text ExpressionPrinter::words(const MapLookup& what) {
  const Text key = expression(what.key);
  std::vector<Type> types;
  const WalkSet* map = table_.set(what.map);
  if (map != nullptr) types = types_named(map->data_type);
  const Type type = types.size() == 1 ? types.front() : Type::kUnknown;
  return {fmt::format("{} map {}", key.words, set_text(what.map, key, types)), type, types, false};
}

Text ExpressionPrinter::words(const Draw& what) {
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

Text ExpressionPrinter::words(const Unread& what) {
  return {what.text, Type::kUnknown, {}, false};
}

}  // namespace kubenatd::rules::walk::nft
