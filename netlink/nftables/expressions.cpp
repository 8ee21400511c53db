#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"
#include "netlink/nftables/codec.h"

/// Rules of nftables mode as expressions of the kernel.
namespace kubenatd::netlink::nftables {
namespace {

using namespace rules::nftables;
using rules::Family;

constexpr std::uint32_t kStateNew = 8;          // NF_CT_STATE_BIT(IP_CT_NEW)
constexpr std::uint32_t kStateEstablished = 2;  // NF_CT_STATE_BIT(IP_CT_ESTABLISHED)
constexpr std::uint32_t kStateStray = 0x41;     // NF_CT_STATE_INVALID_BIT | NF_CT_STATE_UNTRACKED_BIT
constexpr std::uint32_t kStatusDnat = 0x20;     // IPS_DST_NAT
constexpr std::uint32_t kFullyRandom = 0x10;    // NF_NAT_RANGE_PROTO_RANDOM_FULLY
constexpr std::uint32_t kAddressAndPort = 3;    // NF_NAT_RANGE_MAP_IPS | NF_NAT_RANGE_PROTO_SPECIFIED
constexpr std::size_t kInterfaceSize = 16;      // IFNAMSIZ
constexpr std::uint32_t kNoBits = 0;            // no bit is flipped
constexpr std::uint32_t kHashed = 8;            // the word from which on an endpoint is hashed
// The longest rule: some fifteen expressions with two names of sets.
constexpr std::size_t kExpressionsBound = 4096;

/// The register that starts at the n-th 32-bit word, as the kernel reports it: every fourth one is a large register.
constexpr std::uint32_t register_at(std::uint32_t word) {
  return word % 4 == 0 ? NFT_REG_1 + word / 4 : NFT_REG32_00 + word;
}

class Expressions {
 public:
  explicit Expressions(Family family) : family_(family), memory_(kExpressionsBound, '\0'), out_(memory_.data()) {}

  [[nodiscard]] std::string take() {
    memory_.resize(static_cast<std::size_t>(out_.at() - memory_.data()));
    return std::move(memory_);
  }

  void operator()(const InSet& match) {
    load(match.key);
    const std::string set = name_of(match.set);
    expression("lookup", [&] {
      out_.text(NFTA_LOOKUP_SET, set);
      out_.be32(NFTA_LOOKUP_SREG, NFT_REG_1);
      out_.be32(NFTA_LOOKUP_FLAGS, match.negate ? NFT_LOOKUP_F_INV : 0);
    });
  }
  void operator()(const IsNew& match) { connection(NFT_CT_STATE, match.strays ? kStateNew | kStateStray : kStateNew); }
  void operator()(const IsEstablished& /*match*/) { connection(NFT_CT_STATE, kStateEstablished); }
  void operator()(const HasMorePackets& match) {
    load_of_connection(NFT_CT_PKTS);
    constexpr std::uint32_t kSize = sizeof match.count;
    expression("byteorder", [&] {
      out_.be32(NFTA_BYTEORDER_SREG, NFT_REG_1);
      out_.be32(NFTA_BYTEORDER_DREG, NFT_REG_1);
      out_.be32(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
      out_.be32(NFTA_BYTEORDER_LEN, kSize);
      out_.be32(NFTA_BYTEORDER_SIZE, kSize);
    });
    expression("cmp", [&] {
      out_.be32(NFTA_CMP_SREG, NFT_REG_1);
      out_.be32(NFTA_CMP_OP, NFT_CMP_GT);
      const std::uint64_t count = htobe64(match.count);
      value(NFTA_CMP_DATA, &count, kSize);
    });
  }
  void operator()(const IsTranslated& /*match*/) { connection(NFT_CT_STATUS, kStatusDnat); }
  void operator()(const InPrefix& match) {
    const std::uint8_t length = match.prefix.length;
    if (length == 0) return;
    const bool whole_bytes = length % 8 == 0;
    const std::uint32_t size = whole_bytes ? length / 8U : address_size();
    payload(NFT_PAYLOAD_NETWORK_HEADER, match.source ? source_offset() : destination_offset(), size, NFT_REG_1);
    if (!whole_bytes) {
      std::array<std::uint8_t, 16> mask{};
      std::fill_n(mask.begin(), length / 8, std::uint8_t{0xff});
      mask[length / 8] = static_cast<std::uint8_t>(0xff00 >> (length % 8));
      constexpr std::array<std::uint8_t, 16> kUnflipped{};
      bitwise(mask.data(), kUnflipped.data(), size);
    }
    compare(match.negate, match.prefix.address.bytes.data(), size);
  }
  void operator()(const FromInterface& match) {
    meta(NFT_META_IIFNAME, NFT_REG_1);
    std::array<char, kInterfaceSize> name{};
    const std::size_t length = std::min(match.name.size(), kInterfaceSize - 1);
    std::copy_n(match.name.data(), length, name.data());
    compare(match.negate, name.data(), match.is_prefix ? static_cast<std::uint32_t>(length) : kInterfaceSize);
  }
  void operator()(const IsLocal& match) {
    expression("fib", [&] {
      out_.be32(NFTA_FIB_DREG, NFT_REG_1);
      out_.be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
      out_.be32(NFTA_FIB_FLAGS, match.source ? NFTA_FIB_F_SADDR : NFTA_FIB_F_DADDR);
    });
    constexpr std::uint32_t kLocal = RTN_LOCAL;
    compare(false, &kLocal, sizeof kLocal);
  }
  void operator()(const HasMark& match) {
    meta(NFT_META_MARK, NFT_REG_1);
    test_bits(match.bits);
  }
  void operator()(const ChangeMark& change) {
    meta(NFT_META_MARK, NFT_REG_1);
    const std::uint32_t mask = change.flip ? 0xffffffffU : ~change.bits;
    bitwise(&mask, &change.bits, sizeof mask);
    set_meta(NFT_META_MARK);
  }
  void operator()(const RecallClient& /*recall*/) {
    load_client();
    if (family_ == Family::kIpv6) {
      set_meta(NFT_META_PRIORITY);
      load({{Operand::Kind::kPriority}});
    }
    find(name_of({SetId::kAffinity, 0}));
    set_meta(NFT_META_PRIORITY);
  }
  void operator()(const rules::nftables::SetPriority& change) {
    look_up(change.key, change.map);
    set_meta(NFT_META_PRIORITY);
  }
  void operator()(const FixPriority& change) {
    expression("immediate", [&] {
      out_.be32(NFTA_IMMEDIATE_DREG, NFT_REG_1);
      value(NFTA_IMMEDIATE_DATA, &change.value, sizeof change.value);
    });
    set_meta(NFT_META_PRIORITY);
  }
  void operator()(const DrawNumber& draw) {
    if (draw.seed) {
      hash(draw);
    } else {
      random(draw.numbers, draw.first);
    }
    set_meta(NFT_META_PRIORITY);
  }
  void operator()(const HasPriority& match) {
    meta(NFT_META_PRIORITY, NFT_REG_1);
    bitwise(&match.mask, &kNoBits, sizeof match.mask);
    compare(false, &match.value, sizeof match.value);
  }
  void operator()(const HasProtocol& match) {
    meta(NFT_META_L4PROTO, NFT_REG_1);
    const auto number = static_cast<std::uint8_t>(match.protocol);
    compare(false, &number, sizeof number);
  }
  void operator()(const Translate& translate) {
    look_up(translate.key, translate.map);
    expression("nat", [&] {
      out_.be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
      out_.be32(NFTA_NAT_FAMILY, number_of(family_));
      const std::uint32_t port = register_at(address_size() / 4);
      out_.be32(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
      out_.be32(NFTA_NAT_REG_ADDR_MAX, NFT_REG_1);
      out_.be32(NFTA_NAT_REG_PROTO_MIN, port);
      out_.be32(NFTA_NAT_REG_PROTO_MAX, port);
      out_.be32(NFTA_NAT_FLAGS, kAddressAndPort);
    });
  }
  void operator()(const Remember& remember) {
    using enum Remember::What;
    load_client();
    constexpr std::uint32_t kData = 4;  // the register behind that of the key
    if (remember.what == kEndpoint) {
      const std::uint32_t end = load({{Operand::Kind::kDestination}, {Operand::Kind::kPort}}, kHashed);
      hash({.from = kHashed, .words = end - kHashed, .to = kData}, kEndpointIds, kHashSeed, kOwn);
    } else {
      load({{Operand::Kind::kPriority}}, kData);
    }
    const std::string set = name_of({SetId::kAffinity, 0});
    expression("dynset", [&] {
      out_.text(NFTA_DYNSET_SET_NAME, set);
      out_.be32(NFTA_DYNSET_OP, remember.what == kNothing ? NFT_DYNSET_OP_DELETE : NFT_DYNSET_OP_UPDATE);
      out_.be32(NFTA_DYNSET_SREG_KEY, NFT_REG_1);
      out_.be32(NFTA_DYNSET_SREG_DATA, register_at(kData));
      if (remember.timeout != 0) out_.be64(NFTA_DYNSET_TIMEOUT, std::uint64_t{remember.timeout} * 1000);
    });
  }
  void operator()(const Masquerade& /*masquerade*/) {
    expression("masq", [&] { out_.be32(NFTA_MASQ_FLAGS, kFullyRandom); });
  }
  void operator()(const Reject& /*reject*/) {
    expression("reject", [&] {
      out_.be32(NFTA_REJECT_TYPE, NFT_REJECT_ICMP_UNREACH);
      // ICMP_PORT_UNREACH, ICMPV6_PORT_UNREACH
      const std::uint8_t code = family_ == Family::kIpv4 ? 3 : 4;
      out_.raw(NFTA_REJECT_ICMP_CODE, &code, sizeof code);
    });
  }
  void operator()(const Drop& /*drop*/) { verdict(NF_DROP, {}); }
  void operator()(const AddToFlowtable& /*add*/) {
    expression("flow_offload", [&] { out_.text(NFTA_FLOW_TABLE_NAME, kFlowtable); });
  }
  void operator()(const GoTo& go) { verdict(static_cast<std::uint32_t>(go.jump ? NFT_JUMP : NFT_GOTO), go.chain); }

 private:
  [[nodiscard]] std::uint32_t address_size() const { return family_ == Family::kIpv4 ? 4 : 16; }
  [[nodiscard]] std::uint32_t source_offset() const { return family_ == Family::kIpv4 ? 12 : 8; }
  [[nodiscard]] std::uint32_t destination_offset() const { return family_ == Family::kIpv4 ? 16 : 24; }

  /// Nests without NLA_F_NESTED: the kernel reads them either way and reports them so (6.18).
  void close(char* nest, std::uint16_t type) {
    const nlattr attribute{static_cast<std::uint16_t>(out_.at() - nest), type};
    std::memcpy(nest, &attribute, sizeof attribute);
  }
  template <std::size_t N>
  void expression(const char (&name)[N], auto&& write) {
    char* element = out_.open();
    out_.literal(NFTA_EXPR_NAME, name);
    char* data = out_.open();
    write();
    close(data, NFTA_EXPR_DATA);
    close(element, NFTA_LIST_ELEM);
  }
  void value(std::uint16_t type, const void* data, std::uint32_t size) {
    char* nest = out_.open();
    out_.raw(NFTA_DATA_VALUE, data, static_cast<std::uint16_t>(size));
    close(nest, type);
  }
  void payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size, std::uint32_t to) {
    expression("payload", [&] {
      out_.be32(NFTA_PAYLOAD_DREG, to);
      out_.be32(NFTA_PAYLOAD_BASE, base);
      out_.be32(NFTA_PAYLOAD_OFFSET, offset);
      out_.be32(NFTA_PAYLOAD_LEN, size);
    });
  }
  void meta(std::uint32_t key, std::uint32_t to) {
    expression("meta", [&] {
      out_.be32(NFTA_META_KEY, key);
      out_.be32(NFTA_META_DREG, to);
    });
  }
  void set_meta(std::uint32_t key) {
    expression("meta", [&] {
      out_.be32(NFTA_META_KEY, key);
      out_.be32(NFTA_META_SREG, NFT_REG_1);
    });
  }
  void bitwise(const void* mask, const void* flip, std::uint32_t size) {
    expression("bitwise", [&] {
      out_.be32(NFTA_BITWISE_SREG, NFT_REG_1);
      out_.be32(NFTA_BITWISE_DREG, NFT_REG_1);
      out_.be32(NFTA_BITWISE_LEN, size);
      value(NFTA_BITWISE_MASK, mask, size);
      value(NFTA_BITWISE_XOR, flip, size);
    });
  }
  void compare(bool negate, const void* data, std::uint32_t size) {
    expression("cmp", [&] {
      out_.be32(NFTA_CMP_SREG, NFT_REG_1);
      out_.be32(NFTA_CMP_OP, negate ? NFT_CMP_NEQ : NFT_CMP_EQ);
      value(NFTA_CMP_DATA, data, size);
    });
  }
  /// What is in the register has one of the bits.
  void test_bits(std::uint32_t bits) {
    bitwise(&bits, &kNoBits, sizeof bits);
    compare(true, &kNoBits, sizeof kNoBits);
  }
  void first_of(std::uint32_t key, std::uint32_t to) {
    expression("ct", [&] {
      out_.be32(NFTA_CT_KEY, key);
      out_.be32(NFTA_CT_DREG, to);
      constexpr std::uint8_t kOriginal = 0;  // IP_CT_DIR_ORIGINAL
      out_.raw(NFTA_CT_DIRECTION, &kOriginal, sizeof kOriginal);
    });
  }
  /// Both directions have one protocol, and the kernel keeps none with it (nft_ct_get_dump, 6.18).
  void first_protocol(std::uint32_t to) {
    expression("ct", [&] {
      out_.be32(NFTA_CT_KEY, NFT_CT_PROTOCOL);
      out_.be32(NFTA_CT_DREG, to);
    });
  }
  void load_of_connection(std::uint32_t key) {
    expression("ct", [&] {
      out_.be32(NFTA_CT_KEY, key);
      out_.be32(NFTA_CT_DREG, NFT_REG_1);
    });
  }
  void connection(std::uint32_t key, std::uint32_t bits) {
    load_of_connection(key);
    test_bits(bits);
  }
  void verdict(std::uint32_t code, std::string_view chain) {
    expression("immediate", [&] {
      out_.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      char* data = out_.open();
      char* nest = out_.open();
      out_.be32(NFTA_VERDICT_CODE, code);
      if (!chain.empty()) out_.text(NFTA_VERDICT_CHAIN, chain);
      close(nest, NFTA_DATA_VERDICT);
      close(data, NFTA_IMMEDIATE_DATA);
    });
  }
  void random(std::uint32_t numbers, std::uint32_t first) {
    expression("numgen", [&] {
      out_.be32(NFTA_NG_DREG, NFT_REG_1);
      out_.be32(NFTA_NG_MODULUS, numbers);
      out_.be32(NFTA_NG_TYPE, NFT_NG_RANDOM);
      out_.be32(NFTA_NG_OFFSET, first);
    });
  }
  /// nft (1.0.6) has what is hashed behind the register of the hash, each part in words of its own.
  void hash(const DrawNumber& draw) {
    constexpr std::uint32_t kWord = 4;
    const std::uint32_t address = address_size() / 4;
    payload(NFT_PAYLOAD_NETWORK_HEADER, source_offset(), address_size(), register_at(kWord));
    payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2, register_at(kWord + address));
    payload(NFT_PAYLOAD_NETWORK_HEADER, destination_offset(), address_size(), register_at(kWord + address + 1));
    payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, register_at(kWord + 2 * address + 1));
    hash({.from = kWord, .words = 2 * address + 2, .to = 0}, draw.numbers, *draw.seed, draw.first);
  }
  struct HashedWords {
    std::uint32_t from, words, to;
  };
  void hash(const HashedWords& what, std::uint32_t modulus, std::uint32_t seed, std::uint32_t offset) {
    expression("hash", [&] {
      out_.be32(NFTA_HASH_SREG, register_at(what.from));
      out_.be32(NFTA_HASH_DREG, register_at(what.to));
      out_.be32(NFTA_HASH_LEN, what.words * 4);
      out_.be32(NFTA_HASH_MODULUS, modulus);
      out_.be32(NFTA_HASH_SEED, seed);
      out_.be32(NFTA_HASH_OFFSET, offset);
      out_.be32(NFTA_HASH_TYPE, NFT_HASH_JENKINS);
    });
  }
  /// The client as the key of affinity.
  void load_client() {
    using enum Operand::Kind;
    const Key client{{kSource}, {kProtocol}, {kPriority}};
    if (family_ == Family::kIpv4) {
      load(client);
      return;
    }
    constexpr std::uint32_t kWord = 4;
    const std::uint32_t end = load(client, kWord);
    hash({.from = kWord, .words = end - kWord, .to = 0}, kClientHashes, kHashSeed, 0);
  }
  /// Loads the parts of a key one behind the other; gives the word behind the last.
  std::uint32_t load(const Key& key, std::uint32_t word = 0) {
    for (const Operand& operand : key) {
      const std::uint32_t to = register_at(word);
      using enum Operand::Kind;
      switch (operand.kind) {
        case kSource: payload(NFT_PAYLOAD_NETWORK_HEADER, source_offset(), address_size(), to); break;
        case kDestination: payload(NFT_PAYLOAD_NETWORK_HEADER, destination_offset(), address_size(), to); break;
        case kProtocol: meta(NFT_META_L4PROTO, to); break;
        case kPort: payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, to); break;
        case kPriority: meta(NFT_META_PRIORITY, to); break;
        case kFirstDestination: first_of(family_ == Family::kIpv4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6, to); break;
        case kFirstProtocol: first_protocol(to); break;
        case kFirstPort: first_of(NFT_CT_PROTO_DST, to); break;
      }
      const bool is_address =
          operand.kind == kSource || operand.kind == kDestination || operand.kind == kFirstDestination;
      word += is_address ? address_size() / 4 : 1;
    }
    return word;
  }
  void look_up(const Key& key, const SetRef& map) {
    load(key);
    find(name_of(map));
  }
  void find(const std::string& set) {
    expression("lookup", [&] {
      out_.text(NFTA_LOOKUP_SET, set);
      out_.be32(NFTA_LOOKUP_SREG, NFT_REG_1);
      out_.be32(NFTA_LOOKUP_DREG, NFT_REG_1);
    });
  }

  Family family_;
  std::string memory_;
  AttributeWriter out_;
};

}  // namespace

std::string encode_nft_expressions(const NftRule& rule, Family family) {
  Expressions expressions(family);
  for (const Statement& statement : rule.statements) std::visit(expressions, statement);
  return expressions.take();
}

}  // namespace kubenatd::netlink::nftables
