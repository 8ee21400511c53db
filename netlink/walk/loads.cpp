#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <bit>

#include "netlink/walk/expression_reader.h"
#include "netlink/walk/verdict.h"
#include "rules/walk/key_sizes.h"

/// Expressions that load a register or compute in registers, and those of the same name that set something.
namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

// Newer than the headers of Linux 6.1.
constexpr std::uint32_t kPayloadTunnel = 4;  // NFT_PAYLOAD_TUN_HEADER
constexpr std::uint16_t kBitwiseSecond = 8;  // NFTA_BITWISE_SREG2
constexpr std::uint32_t kBitwiseAnd = 3, kBitwiseOr = 4, kBitwiseXor = 5;
constexpr std::uint16_t kHashSymmetric = 1;  // NFT_HASH_SYM
// As of nft_osf and nft_xfrm.
constexpr std::uint16_t kFingerprintSize = 16;

Bytes resized(const Bytes& bytes, std::size_t size) {
  Bytes result = Bytes::filled(size, 0);
  for (std::size_t i = 0; i < std::min<std::size_t>(bytes.size, result.size); ++i) result.data[i] = bytes.data[i];
  return result;
}

}  // namespace

void ExpressionReader::payload(const Attributes& attributes) {
  Payload what;
  const std::uint32_t base = attributes.be32(NFTA_PAYLOAD_BASE);
  what.offset = static_cast<std::uint16_t>(attributes.be32(NFTA_PAYLOAD_OFFSET));
  what.size = static_cast<std::uint16_t>(std::min<std::uint32_t>(attributes.be32(NFTA_PAYLOAD_LEN), Bytes::kCapacity));
  switch (base) {
    case NFT_PAYLOAD_LL_HEADER: what.base = Payload::Base::kLink; break;
    case NFT_PAYLOAD_NETWORK_HEADER: what.base = Payload::Base::kNetwork; break;
    case NFT_PAYLOAD_TRANSPORT_HEADER: what.base = Payload::Base::kTransport; break;
    case NFT_PAYLOAD_INNER_HEADER: what.base = Payload::Base::kInner; break;
    default: break;
  }
  const bool known = base <= NFT_PAYLOAD_INNER_HEADER;
  const std::string name = base == kPayloadTunnel ? "payload of a tunnel" : "payload of another base";
  if (attributes.has(NFTA_PAYLOAD_SREG)) {
    if (!known) return give_up(name);
    return add(SetPayload{what, registers_.read(attributes.be32(NFTA_PAYLOAD_SREG), what.size)});
  }
  load(attributes.be32(NFTA_PAYLOAD_DREG), known ? make(what) : make(Unread{name, what.size}));
}

void ExpressionReader::meta(const Attributes& attributes) {
  const std::uint32_t key = attributes.be32(NFTA_META_KEY);
  if (attributes.has(NFTA_META_SREG))
    return add(SetMeta{key, registers_.read(attributes.be32(NFTA_META_SREG), size_of_meta(key))});
  load(attributes.be32(NFTA_META_DREG), make(Meta{key}));
}

void ExpressionReader::ct(const Attributes& attributes) {
  Ct what{attributes.be32(NFTA_CT_KEY), Ct::Direction::kNone};
  const std::size_t size = size_of_ct(what.key, table_.family == TableFamily::kIp ? 4 : 16);
  if (attributes.has(NFTA_CT_SREG)) return add(SetCt{what.key, registers_.read(attributes.be32(NFTA_CT_SREG), size)});
  if (attributes.has(NFTA_CT_DIRECTION))
    what.direction = attributes.byte(NFTA_CT_DIRECTION) == 0 ? Ct::Direction::kOriginal : Ct::Direction::kReply;
  // Of an address whose family is the packet's, the kernel gives 16 bytes, but in a table of ip alone.
  if (size == 4 && what.key == NFT_CT_SRC) what.key = NFT_CT_SRC_IP;
  if (size == 4 && what.key == NFT_CT_DST) what.key = NFT_CT_DST_IP;
  load(attributes.be32(NFTA_CT_DREG), make(what));
}

void ExpressionReader::fib(const Attributes& attributes) {
  load(attributes.be32(NFTA_FIB_DREG), make(Fib{attributes.be32(NFTA_FIB_RESULT), attributes.be32(NFTA_FIB_FLAGS)}));
}

void ExpressionReader::socket(const Attributes& attributes) {
  load(attributes.be32(NFTA_SOCKET_DREG),
       make(SocketField{attributes.be32(NFTA_SOCKET_KEY), attributes.be32(NFTA_SOCKET_LEVEL)}));
}

void ExpressionReader::route(const Attributes& attributes) {
  load(attributes.be32(NFTA_RT_DREG), make(RouteField{attributes.be32(NFTA_RT_KEY)}));
}

void ExpressionReader::extension_header(const Attributes& attributes) {
  ExtensionHeader what;
  what.operation = attributes.be32(NFTA_EXTHDR_OP);
  what.type = attributes.byte(NFTA_EXTHDR_TYPE);
  what.offset = static_cast<std::uint16_t>(attributes.be32(NFTA_EXTHDR_OFFSET));
  what.size = static_cast<std::uint16_t>(std::min<std::uint32_t>(attributes.be32(NFTA_EXTHDR_LEN), Bytes::kCapacity));
  what.presence = (attributes.be32(NFTA_EXTHDR_FLAGS) & NFT_EXTHDR_F_PRESENT) != 0;
  // Without a register to load, an option of TCP is written or taken out: no rule looks at it again.
  if (attributes.has(NFTA_EXTHDR_SREG)) return nothing("tcp option set");
  if (!attributes.has(NFTA_EXTHDR_DREG)) return nothing("reset tcp option");
  load(attributes.be32(NFTA_EXTHDR_DREG), make(what));
}

void ExpressionReader::number_generator(const Attributes& attributes) {
  Draw draw;
  draw.kind = attributes.be32(NFTA_NG_TYPE) == NFT_NG_RANDOM ? Draw::Kind::kRandom : Draw::Kind::kRoundRobin;
  draw.modulus = std::max(1U, attributes.be32(NFTA_NG_MODULUS));
  draw.offset = attributes.be32(NFTA_NG_OFFSET);
  load(attributes.be32(NFTA_NG_DREG), make(std::move(draw)));
}

void ExpressionReader::hash(const Attributes& attributes) {
  Draw draw;
  draw.kind = Draw::Kind::kHash;
  draw.modulus = std::max(1U, attributes.be32(NFTA_HASH_MODULUS));
  draw.offset = attributes.be32(NFTA_HASH_OFFSET);
  if (attributes.has(NFTA_HASH_SEED)) draw.seed = attributes.be32(NFTA_HASH_SEED);
  if (attributes.be32(NFTA_HASH_TYPE) != kHashSymmetric)
    draw.of = registers_.read(attributes.be32(NFTA_HASH_SREG), attributes.be32(NFTA_HASH_LEN));
  load(attributes.be32(NFTA_HASH_DREG), make(std::move(draw)));
}

void ExpressionReader::fingerprint(const Attributes& attributes) {
  load(attributes.be32(NFTA_OSF_DREG), make(Unread{"osf", kFingerprintSize}));
}

void ExpressionReader::ipsec(const Attributes& attributes) {
  const std::uint32_t key = attributes.be32(NFTA_XFRM_KEY);
  const bool six = key == NFT_XFRM_KEY_DADDR_IP6 || key == NFT_XFRM_KEY_SADDR_IP6;
  load(attributes.be32(NFTA_XFRM_DREG), make(Unread{"ipsec", static_cast<std::uint16_t>(six ? 16 : 4)}));
}

void ExpressionReader::tunnel(const Attributes& attributes) {
  const bool id = attributes.be32(NFTA_TUNNEL_KEY) == NFT_TUNNEL_ID;
  load(attributes.be32(NFTA_TUNNEL_DREG), make(Unread{"tunnel", static_cast<std::uint16_t>(id ? 4 : 1)}));
}

void ExpressionReader::immediate(const Attributes& attributes) {
  const std::uint32_t to = attributes.be32(NFTA_IMMEDIATE_DREG);
  if (to != NFT_REG_VERDICT) return load(to, make(Constant{attributes.value(NFTA_IMMEDIATE_DATA)}));
  const std::string_view bytes = find_attribute(attributes.payload(NFTA_IMMEDIATE_DATA), NFTA_DATA_VERDICT).payload;
  if (static_cast<std::int32_t>(find_attribute(bytes, NFTA_VERDICT_CODE).be32()) == NFT_BREAK)
    return add(Never{"break", Part::kOther});
  auto verdict = read_verdict(bytes);
  if (!verdict) return give_up("verdict that is not known");
  ended_ = verdict->verdict != Verdict::kContinue;
  add(std::move(*verdict));
}

void ExpressionReader::bitwise(const Attributes& attributes) {
  const std::uint32_t from = attributes.be32(NFTA_BITWISE_SREG);
  const std::uint32_t to = attributes.be32(NFTA_BITWISE_DREG);
  const std::uint32_t operation = attributes.be32(NFTA_BITWISE_OP);
  const std::size_t size = std::min<std::size_t>(attributes.be32(NFTA_BITWISE_LEN), Bytes::kCapacity);
  const auto second = [&] {
    return attributes.has(kBitwiseSecond) ? registers_.read(attributes.be32(kBitwiseSecond), size)
                                          : make(Constant{resized(attributes.value(NFTA_BITWISE_DATA), size)});
  };
  const auto with = [&](BitsOfTwo::Operation what) {
    load(to, make(BitsOfTwo{what, registers_.read(from, size), second()}));
  };
  switch (operation) {
    case NFT_BITWISE_BOOL:
      return load(to, make(Bits{registers_.read(from, size), resized(attributes.value(NFTA_BITWISE_MASK), size),
                                resized(attributes.value(NFTA_BITWISE_XOR), size)}));
    case NFT_BITWISE_LSHIFT:
    case NFT_BITWISE_RSHIFT: {
      // The kernel shifts whole registers; more than one of them carry over.
      if (size > NFT_REG32_SIZE) return load(to, make(Unread{"shift", static_cast<std::uint16_t>(size)}));
      const std::uint32_t by = attributes.value(NFTA_BITWISE_DATA).as_host();
      return load(to, make(Shift{registers_.read(from, NFT_REG32_SIZE), operation == NFT_BITWISE_LSHIFT, by}));
    }
    case kBitwiseAnd: return with(BitsOfTwo::Operation::kAnd);
    case kBitwiseOr: return with(BitsOfTwo::Operation::kOr);
    case kBitwiseXor: return with(BitsOfTwo::Operation::kXor);
    default: return load(to, make(Unread{"bitwise", static_cast<std::uint16_t>(size)}));
  }
}

void ExpressionReader::byte_order(const Attributes& attributes) {
  const std::size_t size = std::min<std::size_t>(attributes.be32(NFTA_BYTEORDER_LEN), Bytes::kCapacity);
  const std::uint32_t unit = attributes.be32(NFTA_BYTEORDER_SIZE);
  const std::uint32_t to = attributes.be32(NFTA_BYTEORDER_DREG);
  const std::uint32_t from = attributes.be32(NFTA_BYTEORDER_SREG);
  // The kernel leaves what is behind the last whole group as it was before. nft 1.0.6 asks for nothing but that: it
  // turns the one byte of a protocol by groups of two.
  if (size != 0 && size < unit && from == to) return;
  ExpressionPtr of = registers_.read(from, size);
  if ((unit != 2 && unit != 4 && unit != 8) || size % unit != 0)
    return load(to, make(Unread{"byteorder", static_cast<std::uint16_t>(size)}));
  if constexpr (std::endian::native == std::endian::big) return load(to, std::move(of));
  load(to, make(Swap{std::move(of), static_cast<std::uint8_t>(unit)}));
}

}  // namespace kubenatd::netlink::walk
