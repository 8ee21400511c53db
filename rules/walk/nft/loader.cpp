#include "rules/walk/nft/loader.h"

#include <linux/if_arp.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <bit>
#include <string>

#include "rules/walk/nft/compile.h"
#include "rules/walk/nft/value_text.h"
#include "rules/walk/part_of.h"

namespace kubenatd::rules::walk::nft {
namespace {

constexpr int kMaxDepth = 32;
/// Of a field or a key, in bits.
constexpr std::uint64_t kMaxBits = 8 * Bytes::kCapacity;

bool is_symbol(const Term* term, std::string_view text) {
  return term != nullptr && term->kind == Term::Kind::kSymbol && term->text == text;
}

bool is_presence(const Term* term) {
  for (const std::string_view word : {"exists", "missing", "true", "false", "0", "1"})
    if (is_symbol(term, word) && !term->quoted) return true;
  return false;
}

bool is_number(const Term* term) {
  return term != nullptr && term->kind == Term::Kind::kSymbol && !term->quoted && read_number(term->text).has_value();
}

Load of(ExpressionPtr expression, Type type, std::uint16_t size) {
  return {std::move(expression), {type, size, 0}, {}, true};
}

}  // namespace

Load unread(std::string_view text, std::uint16_t size) {
  return {make(Unread{std::string(text), size}), {Type::kUnknown, size, 0}, {}, false};
}

Bytes mask_of(unsigned offset, unsigned bits, std::size_t bytes) {
  Bytes mask = Bytes::filled(bytes, 0);
  for (unsigned bit = offset; bit < offset + bits && bit / 8 < bytes; ++bit)
    mask.data[bit / 8] = static_cast<std::uint8_t>(mask.data[bit / 8] | 0x80U >> bit % 8);
  return mask;
}

Loader::Loader(WalkTable& table, std::vector<Statement>& statements) : table_(table), statements_(statements) {
  if (table.family == TableFamily::kIp) network_ = Header::kIp;
  if (table.family == TableFamily::kIp6) network_ = Header::kIp6;
  if (table.family == TableFamily::kArp) network_ = Header::kArp;
}

void Loader::add(const ExpressionPtr& left, const Bytes& value) {
  Condition condition{left, {{value, value}}, false, part_of(left)};
  learn(condition);
  statements_.emplace_back(std::move(condition));
}

void Loader::need_network(Header header) {
  if (network_) return;
  const HeaderInfo& info = info_of(header);
  if (table_.family == TableFamily::kInet && header != Header::kArp) {
    add(make(Meta{NFT_META_NFPROTO}), Bytes::network(header == Header::kIp ? NFPROTO_IPV4 : NFPROTO_IPV6, 1));
  } else {
    add(make(Meta{NFT_META_PROTOCOL}), Bytes::network(info.ether_type, 2));
  }
  network_ = header;
}

void Loader::need_transport(std::uint8_t protocol) {
  if (transport_) return;
  add(make(Meta{NFT_META_L4PROTO}), Bytes::network(protocol, 1));
}

void Loader::need(Header header) {
  switch (header) {
    case Header::kEther:
      if (ether_ || table_.family == TableFamily::kBridge || table_.family == TableFamily::kArp) return;
      ether_ = true;
      return add(make(Meta{NFT_META_IIFTYPE}), turned(Bytes::network(ARPHRD_ETHER, 2)));
    case Header::kVlan:
      need(Header::kEther);
      return add(make(Payload{Payload::Base::kLink, 12, 2}), Bytes::network(info_of(header).ether_type, 2));
    case Header::kIp:
    case Header::kIp6:
    case Header::kArp: return need_network(header);
    case Header::kTh: return;
    case Header::kIcmp:
    case Header::kIgmp:
      if (!transport_) need_network(Header::kIp);
      return need_transport(info_of(header).protocol);
    case Header::kIcmpv6:
      if (!transport_) need_network(Header::kIp6);
      return need_transport(info_of(header).protocol);
    default: return need_transport(info_of(header).protocol);
  }
}

void Loader::learn(const Condition& condition) {
  if (condition.negate || condition.ranges.size() != 1 ||
      condition.ranges.front().first != condition.ranges.front().second)
    return;
  const Bytes& value = condition.ranges.front().first;
  const auto set_network = [this](bool four, bool six) {
    if (four) network_ = Header::kIp;
    if (six) network_ = Header::kIp6;
  };
  if (const auto* meta = std::get_if<Meta>(&condition.left->what)) {
    if (meta->key == NFT_META_L4PROTO && value.size == 1) transport_ = value.data[0];
    if (meta->key == NFT_META_NFPROTO && value.size == 1)
      set_network(value.data[0] == NFPROTO_IPV4, value.data[0] == NFPROTO_IPV6);
    if (meta->key == NFT_META_PROTOCOL && value.size == 2)
      set_network(value.as_network() == 0x0800, value.as_network() == 0x86dd);
    if (meta->key == NFT_META_IIFTYPE && value == turned(Bytes::network(ARPHRD_ETHER, 2))) ether_ = true;
  } else if (const auto* ct = std::get_if<Ct>(&condition.left->what)) {
    if (ct->key == NFT_CT_PROTOCOL && value.size == 1) transport_ = value.data[0];
    if (ct->key == NFT_CT_L3PROTOCOL && value.size == 1)
      set_network(value.data[0] == NFPROTO_IPV4, value.data[0] == NFPROTO_IPV6);
  } else if (const auto* payload = std::get_if<Payload>(&condition.left->what)) {
    if (payload->base == Payload::Base::kNetwork && payload->size == 1 &&
        ((network_ == Header::kIp && payload->offset == 9) || (network_ == Header::kIp6 && payload->offset == 6)))
      transport_ = value.data[0];
    if (payload->base == Payload::Base::kLink && payload->offset == 12 && value.size == 2)
      set_network(value.as_network() == 0x0800, value.as_network() == 0x86dd);
  }
}

Load Loader::load(const Term& term, const Term* beside) {
  if (depth_ >= kMaxDepth) return unread("too deep");
  ++depth_;
  Load result = [&]() -> Load {
    switch (term.kind) {
      case Term::Kind::kPayload: return payload(term);
      case Term::Kind::kRawPayload: return raw_payload(term);
      case Term::Kind::kMeta: return meta(term, beside);
      case Term::Kind::kCt: return connection(term);
      case Term::Kind::kFib: return fib(term, beside);
      case Term::Kind::kSocket: return socket(term);
      case Term::Kind::kRoute: return route(term);
      case Term::Kind::kOption:
      case Term::Kind::kRawOption: return option(term);
      case Term::Kind::kDraw: return draw(term);
      case Term::Kind::kBinary: return binary(term);
      case Term::Kind::kConcat: return concat(term);
      case Term::Kind::kMap: {
        ExpressionPtr looked_up = look_up(term, {});
        const auto* map = std::get_if<MapLookup>(&looked_up->what);
        if (map == nullptr) return unread("map");
        const WalkSet* set = table_.set(map->map);
        const std::vector<Type> types = set == nullptr ? std::vector<Type>() : types_named(set->data_type);
        return of(looked_up, types.size() == 1 ? types.front() : Type::kUnknown, map->size);
      }
      default: return unread(term.text);
    }
  }();
  --depth_;
  return result;
}

Load Loader::payload(const Term& term) {
  const HeaderInfo* header = header_named(term.text);
  const Field* field = header == nullptr ? nullptr : field_named(header->header, term.name);
  if (field == nullptr) return unread(term.text + " " + term.name);
  need(header->header);
  const unsigned first = field->offset / 8U;
  const unsigned size = (field->offset + field->bits + 7U) / 8U - first;
  ExpressionPtr bytes =
      make(Payload{header->base, static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(size)});
  if (field->bits % 8 == 0) return of(std::move(bytes), field->type, static_cast<std::uint16_t>(size));
  const Bytes mask = mask_of(field->offset - 8 * first, field->bits, size);
  Load load =
      of(make(Bits{std::move(bytes), mask, Bytes::filled(size, 0)}), field->type, static_cast<std::uint16_t>(size));
  load.place.shift = static_cast<std::uint8_t>(8 * (first + size) - field->offset - field->bits);
  return load;
}

Load Loader::raw_payload(const Term& term) {
  Payload what;
  if (term.text == "ll") {
    what.base = Payload::Base::kLink;
  } else if (term.text == "nh") {
    what.base = Payload::Base::kNetwork;
  } else if (term.text == "th") {
    what.base = Payload::Base::kTransport;
  } else if (term.text == "ih") {
    what.base = Payload::Base::kInner;
  } else {
    return unread("@" + term.text);
  }
  if (term.second == 0 || term.second > kMaxBits || term.number > 0xffff) return unread("@" + term.text);
  const auto first = static_cast<unsigned>(term.number / 8);
  const auto size = static_cast<unsigned>((term.number + term.second + 7) / 8 - first);
  what.offset = static_cast<std::uint16_t>(first);
  what.size = static_cast<std::uint16_t>(size);
  if (size > Bytes::kCapacity) return unread("@" + term.text);
  if (term.number % 8 == 0 && term.second % 8 == 0) return of(make(what), Type::kInteger, what.size);
  const auto start = static_cast<unsigned>(term.number % 8);
  Load load =
      of(make(Bits{make(what), mask_of(start, static_cast<unsigned>(term.second), size), Bytes::filled(size, 0)}),
         Type::kInteger, what.size);
  load.place.shift = static_cast<std::uint8_t>(8 * size - start - term.second);
  return load;
}

Load Loader::meta(const Term& term, const Term* beside) {
  const Key* key = key_named(meta_keys(), term.name);
  if (key == nullptr) return unread("meta " + term.name);
  // The text has an interface's name, not the number that the kernel compares; a number stands there when no interface
  // has it any more.
  if (key->type == Type::kInterfaceIndex && !is_number(beside)) {
    std::uint32_t by_name = NFT_META_IIFNAME;
    if (key->number == NFT_META_OIF) by_name = NFT_META_OIFNAME;
    if (key->number == NFT_META_SDIF) by_name = NFT_META_SDIFNAME;
    return of(make(Meta{by_name}), Type::kInterface, 16);
  }
  return of(make(Meta{key->number}), key->type, key->size);
}

Load Loader::connection(const Term& term) {
  const Key* key = key_named(ct_keys(), term.name);
  if (key == nullptr) return unread("ct " + term.name);
  Ct what{key->number, Ct::Direction::kNone};
  if (term.text == "original") what.direction = Ct::Direction::kOriginal;
  if (term.text == "reply") what.direction = Ct::Direction::kReply;
  if (what.key == NFT_CT_SRC || what.key == NFT_CT_DST) {
    const bool source = what.key == NFT_CT_SRC;
    if (network_ == Header::kIp) {
      what.key = source ? NFT_CT_SRC_IP : NFT_CT_DST_IP;
      return of(make(what), Type::kAddress4, 4);
    }
    if (network_ == Header::kIp6) return of(make(what), Type::kAddress6, 16);
    return unread("ct " + term.name, 16);
  }
  return of(make(what), key->type, key->size);
}

Load Loader::fib(const Term& term, const Term* beside) {
  Fib what{NFT_FIB_RESULT_ADDRTYPE, 0};
  for (const std::string& word : term.words) {
    if (word == "saddr") {
      what.flags |= NFTA_FIB_F_SADDR;
    } else if (word == "daddr") {
      what.flags |= NFTA_FIB_F_DADDR;
    } else if (word == "mark") {
      what.flags |= NFTA_FIB_F_MARK;
    } else if (word == "iif") {
      what.flags |= NFTA_FIB_F_IIF;
    } else if (word == "oif") {
      what.flags |= NFTA_FIB_F_OIF;
    } else {
      return unread("fib " + word);
    }
  }
  if (term.name == "type") return of(make(what), Type::kAddressType, 4);
  const bool by_name = term.name == "oifname";
  if (!by_name && term.name != "oif" && term.name != "check") return unread("fib " + term.name);
  what.result = by_name ? NFT_FIB_RESULT_OIFNAME : NFT_FIB_RESULT_OIF;
  if (is_presence(beside) || term.name == "check") {
    what.flags |= NFTA_FIB_F_PRESENT;
    return of(make(what), Type::kBoolean, 1);
  }
  what.result = NFT_FIB_RESULT_OIFNAME;
  return of(make(what), Type::kInterface, 16);
}

Load Loader::socket(const Term& term) {
  const Key* key = key_named(socket_keys(), term.name);
  // The path of a cgroup is a number on the node itself.
  if (key == nullptr || key->number == NFT_SOCKET_CGROUPV2) return unread("socket " + term.name, 8);
  return of(make(SocketField{key->number, static_cast<std::uint32_t>(term.number)}), key->type, key->size);
}

Load Loader::route(const Term& term) {
  std::string name = term.name;
  if (name == "nexthop" && network_) name = *network_ == Header::kIp6 ? "ip6 nexthop" : "ip nexthop";
  const Key* key = key_named(rt_keys(), name);
  if (key == nullptr) return unread("rt " + name);
  return of(make(RouteField{key->number}), key->type, key->size);
}

Load Loader::option(const Term& term) {
  ExtensionHeader what;
  if (term.text == "tcp option") {
    what.operation = NFT_EXTHDR_OP_TCPOPT;
  } else if (term.text == "ip option") {
    what.operation = NFT_EXTHDR_OP_IPV4;
    need_network(Header::kIp);
  } else if (term.text == "sctp chunk") {
    what.operation = NFT_EXTHDR_OP_SCTP;
  } else if (term.text == "exthdr") {
    what.operation = NFT_EXTHDR_OP_IPV6;
    need_network(Header::kIp6);
  } else {
    return unread(term.text);
  }
  if (term.kind == Term::Kind::kRawOption) {
    if (term.number > 255) return unread(term.text);
    what.type = static_cast<std::uint8_t>(term.number);
    if (term.third == 0) {
      what.size = 1;
      what.presence = true;
      return of(make(what), Type::kBoolean, 1);
    }
    if (term.second % 8 != 0 || term.third % 8 != 0 || term.third > kMaxBits || term.second > 0xffff)
      return unread(term.text);
    what.offset = static_cast<std::uint16_t>(term.second / 8);
    what.size = static_cast<std::uint16_t>(term.third / 8);
    return of(make(what), Type::kInteger, what.size);
  }
  for (const OptionField& option : option_fields()) {
    if (option.operation != what.operation || option.option != term.name) continue;
    what.type = option.type;
    if (term.words.empty()) {
      what.size = 1;
      what.presence = true;
      return of(make(what), Type::kBoolean, 1);
    }
    if (option.name != term.words.front()) continue;
    const unsigned first = option.offset / 8U;
    const unsigned size = (option.offset + option.bits + 7U) / 8U - first;
    what.offset = static_cast<std::uint16_t>(first);
    what.size = static_cast<std::uint16_t>(size);
    if (option.bits % 8 == 0) return of(make(what), option.value, what.size);
    Load load =
        of(make(Bits{make(what), mask_of(option.offset - 8 * first, option.bits, size), Bytes::filled(size, 0)}),
           option.value, what.size);
    load.place.shift = static_cast<std::uint8_t>(8 * (first + size) - option.offset - option.bits);
    return load;
  }
  return unread(term.text + " " + term.name);
}

Load Loader::draw(const Term& term) {
  Draw what;
  what.kind = Draw::Kind::kHash;
  if (term.text == "random") what.kind = Draw::Kind::kRandom;
  if (term.text == "inc") what.kind = Draw::Kind::kRoundRobin;
  what.modulus = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(term.number, 1, 0xffffffff));
  what.offset = static_cast<std::uint32_t>(term.second);
  if (const auto seed = read_number(term.name)) what.seed = static_cast<std::uint32_t>(*seed);
  if (!term.parts.empty()) {
    const Load of_what = load(term.parts.front());
    what.of = key(of_what, false);
  }
  return of(make(std::move(what)), Type::kHostInteger, 4);
}

Load Loader::binary(const Term& term) {
  if (term.parts.size() != 2) return unread(term.text);
  Load left = load(term.parts[0]);
  if (!left.known || left.place.size == 0) return left;
  const std::size_t size = left.place.size;
  if (term.text == "<<" || term.text == ">>") {
    const auto by = read_number(term.parts[1].text);
    // The shift of a field's bits to where they are read as a number is nft's own; before 1.0 it had no name for them.
    if (term.text == ">>" && by && *by < 8 && (left.place.shift == *by || left.place.shift == 0) && size == 1) {
      left.expression = make(Shift{left.expression, false, static_cast<std::uint32_t>(*by)});
      left.place.shift = 0;
      return left;
    }
    if (!by || *by > 31 || size != 4 || left.place.shift != 0) return unread(term.text, left.place.size);
    left.expression = make(Shift{left.expression, term.text == "<<", static_cast<std::uint32_t>(*by)});
    return left;
  }
  const auto constant = read_value(term.parts[1], left.place);
  if (!constant) {
    const Load right = load(term.parts[1]);
    if (!right.known || right.place.size != size) return unread(term.text, left.place.size);
    BitsOfTwo::Operation operation = BitsOfTwo::Operation::kXor;
    if (term.text == "&") operation = BitsOfTwo::Operation::kAnd;
    if (term.text == "|") operation = BitsOfTwo::Operation::kOr;
    left.expression = make(BitsOfTwo{operation, left.expression, right.expression});
    return left;
  }
  // Operations with constants one after the other are one.
  Bits bits{left.expression, Bytes::filled(size, 0xff), Bytes::filled(size, 0)};
  if (const auto* inner = std::get_if<Bits>(&left.expression->what); inner != nullptr && inner->mask.size == size)
    bits = *inner;
  for (std::size_t i = 0; i < size; ++i) {
    const unsigned byte = constant->data[i];
    unsigned mask = bits.mask.data[i];
    unsigned flip = bits.flip.data[i];
    if (term.text == "&") {
      mask &= byte;
      flip &= byte;
    } else if (term.text == "|") {
      mask &= ~byte;
      flip |= byte;
    } else if (term.text == "^") {
      flip ^= byte;
    } else {
      return unread(term.text, left.place.size);
    }
    bits.mask.data[i] = static_cast<std::uint8_t>(mask);
    bits.flip.data[i] = static_cast<std::uint8_t>(flip);
  }
  left.expression = make(std::move(bits));
  return left;
}

Load Loader::concat(const Term& term) {
  Load all;
  std::vector<ExpressionPtr> parts;
  std::size_t size = 0;
  for (const Term& part : term.parts) {
    Load one = load(part);
    if (one.place.shift != 0) {
      // Inside a key a field is a number, not bits at their place.
      if (one.place.size != 1) one = unread(part.text + " " + part.name, one.place.size);
      if (one.known) one.expression = make(Shift{one.expression, false, one.place.shift});
      one.place.shift = 0;
    }
    all.known = all.known && one.known;
    size += filled_up(one.place.size);
    parts.push_back(one.expression);
    all.parts.push_back(std::move(one));
  }
  if (size > Bytes::kCapacity) return unread("a key that is too long", Bytes::kCapacity);
  all.place.size = static_cast<std::uint16_t>(size);
  all.expression = make(Concat{std::move(parts)});
  return all;
}

ExpressionPtr Loader::key(const Load& load, bool interval) {
  const auto one = [interval](const Load& part) {
    const std::uint16_t size = part.place.size;
    if (!interval || !info_of(part.place.type).host_order || std::endian::native == std::endian::big ||
        (size != 2 && size != 4 && size != 8))
      return part.expression;
    return make(Swap{part.expression, static_cast<std::uint8_t>(size)});
  };
  if (load.parts.empty()) return one(load);
  Concat all;
  for (const Load& part : load.parts) all.parts.push_back(one(part));
  return make(std::move(all));
}

ExpressionPtr Loader::value(const Term& term, const Place& place) {
  if (term.kind == Term::Kind::kSymbol || term.kind == Term::Kind::kList) {
    const auto constant = read_value(term, place);
    return constant ? make(Constant{*constant}) : make(Unread{term.text, place.size});
  }
  if (const auto constant = read_value(term, place)) return make(Constant{*constant});
  if (term.kind == Term::Kind::kMap) return look_up(term, {place});
  const Load loaded = load(term);
  const bool fits = loaded.known && loaded.place.size == place.size && loaded.place.shift == 0 &&
                    info_of(loaded.place.type).host_order == info_of(place.type).host_order;
  return fits ? loaded.expression : make(Unread{term.text, place.size});
}

std::optional<Loader::Reference> Loader::set(const Term& term, const Load& key, bool is_map,
                                             const std::vector<Place>& data) {
  if (term.kind == Term::Kind::kSetName) {
    const WalkSet* set = table_.set(term.text);
    if (set == nullptr) return std::nullopt;
    return Reference{set->name, set->interval, set->data_size};
  }
  if (term.kind != Term::Kind::kSet) return std::nullopt;
  std::vector<Place> places;
  for (const Load& part : key.parts) places.push_back(part.place);
  if (places.empty()) places.push_back(key.place);
  const WalkSet& made = add_anonymous_set(table_, term, places, is_map, data);
  return Reference{made.name, made.interval, made.data_size};
}

ExpressionPtr Loader::look_up(const Term& map, const std::vector<Place>& data) {
  std::uint16_t size = 0;
  for (const Place& place : data)
    size = static_cast<std::uint16_t>(size + (data.size() == 1 ? place.size : filled_up(place.size)));
  if (map.parts.size() != 2) return make(Unread{"map", size});
  const Load from = load(map.parts[0]);
  const auto reference = set(map.parts[1], from, true, data);
  if (!reference) return make(Unread{"map", size});
  return make(MapLookup{key(from, reference->interval), reference->name,
                        reference->data_size != 0 ? reference->data_size : size});
}

Part Loader::part_of(const ExpressionPtr& expression) const {
  std::optional<Family> family;
  if (network_ == Header::kIp) family = Family::kIpv4;
  if (network_ == Header::kIp6) family = Family::kIpv6;
  return walk::part_of(expression, family);
}

}  // namespace kubenatd::rules::walk::nft
