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
}  // namespace

Load unread(std::string_view text, std::uint16_t size) {
  return {make(Unread{std::string(text), size}), {Type::kUnknown, size, 0}, {}, false};
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
        return Load::of(looked_up, types.size() == 1 ? types.front() : Type::kUnknown, map->size);
      }
      default: return unread(term.text);
    }
  }();
  --depth_;
  return result;
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
