#include <linux/if_arp.h>
#include <linux/netfilter.h>

#include <algorithm>
#include <string>

#include "rules/walk/nft/loader.h"
#include "rules/walk/nft/value_text.h"

/// Fields and keys that terms name.
namespace kubenatd::rules::walk::nft {
namespace {

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

}  // namespace

Load Loader::payload(const Term& term) {
  const HeaderInfo* header = header_named(term.text);
  const Field* field = header == nullptr ? nullptr : field_named(header->header, term.name);
  if (field == nullptr) return unread(term.text + " " + term.name);
  need(header->header);
  const unsigned first = field->offset / 8U;
  const unsigned size = (field->offset + field->bits + 7U) / 8U - first;
  ExpressionPtr bytes =
      make(Payload{header->base, static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(size)});
  if (field->bits % 8 == 0) return Load::of(std::move(bytes), field->type, static_cast<std::uint16_t>(size));
  const Bytes mask = bit_mask(size, field->offset - 8 * first, field->bits);
  Load load = Load::of(make(Bits{std::move(bytes), mask, Bytes::filled(size, 0)}), field->type,
                       static_cast<std::uint16_t>(size));
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
  if (term.number % 8 == 0 && term.second % 8 == 0) return Load::of(make(what), Type::kInteger, what.size);
  const auto start = static_cast<unsigned>(term.number % 8);
  Load load = Load::of(
      make(Bits{make(what), bit_mask(size, start, static_cast<unsigned>(term.second)), Bytes::filled(size, 0)}),
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
    return Load::of(make(Meta{by_name}), Type::kInterface, 16);
  }
  return Load::of(make(Meta{key->number}), key->type, key->size);
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
      return Load::of(make(what), Type::kAddress4, 4);
    }
    if (network_ == Header::kIp6) return Load::of(make(what), Type::kAddress6, 16);
    return unread("ct " + term.name, 16);
  }
  return Load::of(make(what), key->type, key->size);
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
  if (term.name == "type") return Load::of(make(what), Type::kAddressType, 4);
  const bool by_name = term.name == "oifname";
  if (!by_name && term.name != "oif" && term.name != "check") return unread("fib " + term.name);
  what.result = by_name ? NFT_FIB_RESULT_OIFNAME : NFT_FIB_RESULT_OIF;
  if (is_presence(beside) || term.name == "check") {
    what.flags |= NFTA_FIB_F_PRESENT;
    return Load::of(make(what), Type::kBoolean, 1);
  }
  what.result = NFT_FIB_RESULT_OIFNAME;
  return Load::of(make(what), Type::kInterface, 16);
}

Load Loader::socket(const Term& term) {
  const Key* key = key_named(socket_keys(), term.name);
  // The path of a cgroup is a number on the node itself.
  if (key == nullptr || key->number == NFT_SOCKET_CGROUPV2) return unread("socket " + term.name, 8);
  return Load::of(make(SocketField{key->number, static_cast<std::uint32_t>(term.number)}), key->type, key->size);
}

Load Loader::route(const Term& term) {
  std::string name = term.name;
  if (name == "nexthop" && network_) name = *network_ == Header::kIp6 ? "ip6 nexthop" : "ip nexthop";
  const Key* key = key_named(rt_keys(), name);
  if (key == nullptr) return unread("rt " + name);
  return Load::of(make(RouteField{key->number}), key->type, key->size);
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
      return Load::of(make(what), Type::kBoolean, 1);
    }
    if (term.second % 8 != 0 || term.third % 8 != 0 || term.third > kMaxBits || term.second > 0xffff)
      return unread(term.text);
    what.offset = static_cast<std::uint16_t>(term.second / 8);
    what.size = static_cast<std::uint16_t>(term.third / 8);
    return Load::of(make(what), Type::kInteger, what.size);
  }
  for (const OptionField& option : option_fields()) {
    if (option.operation != what.operation || option.option != term.name) continue;
    what.type = option.type;
    if (term.words.empty()) {
      what.size = 1;
      what.presence = true;
      return Load::of(make(what), Type::kBoolean, 1);
    }
    if (option.name != term.words.front()) continue;
    const unsigned first = option.offset / 8U;
    const unsigned size = (option.offset + option.bits + 7U) / 8U - first;
    what.offset = static_cast<std::uint16_t>(first);
    what.size = static_cast<std::uint16_t>(size);
    if (option.bits % 8 == 0) return Load::of(make(what), option.value, what.size);
    Load load =
        Load::of(make(Bits{make(what), bit_mask(size, option.offset - 8 * first, option.bits), Bytes::filled(size, 0)}),
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
  return Load::of(make(std::move(what)), Type::kHostInteger, 4);
}

}  // namespace kubenatd::rules::walk::nft
