#include "netlink/trace/trace_rules.h"

#include <linux/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <utility>

#include "netlink/core/attributes.h"

namespace kubenatd::netlink::trace {
namespace {

using rules::Family;

constexpr Limit kReplies{10, 10};

/// Expressions of a rule, in a buffer of its own.
class Expressions {
 public:
  Expressions() : memory_(kExpressionsBound, '\0'), out_(memory_.data()) {}

  [[nodiscard]] std::string take() {
    memory_.resize(static_cast<std::size_t>(out_.at() - memory_.data()));
    return std::move(memory_);
  }

  void payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
    expression("payload", [&] {
      out_.be32(NFTA_PAYLOAD_DREG, NFT_REG32_00 + word_);
      out_.be32(NFTA_PAYLOAD_BASE, base);
      out_.be32(NFTA_PAYLOAD_OFFSET, offset);
      out_.be32(NFTA_PAYLOAD_LEN, size);
    });
    word_ += (size + 3) / 4;
  }
  void meta(std::uint32_t key) {
    expression("meta", [&] {
      out_.be32(NFTA_META_DREG, NFT_REG32_00 + word_);
      out_.be32(NFTA_META_KEY, key);
    });
    ++word_;
  }
  void original(std::uint32_t key, std::uint32_t size) {
    expression("ct", [&] {
      out_.be32(NFTA_CT_DREG, NFT_REG32_00 + word_);
      out_.be32(NFTA_CT_KEY, key);
      constexpr std::uint8_t kOriginal = 0;  // IP_CT_DIR_ORIGINAL
      out_.raw(NFTA_CT_DIRECTION, &kOriginal, sizeof kOriginal);
    });
    word_ += (size + 3) / 4;
  }
  /// The packet goes against the direction of its connection.
  void is_reply() {
    expression("ct", [&] {
      out_.be32(NFTA_CT_DREG, NFT_REG32_00);
      out_.be32(NFTA_CT_KEY, NFT_CT_DIRECTION);
    });
    constexpr std::uint8_t kReply = 1;  // IP_CT_DIR_REPLY
    compare(&kReply, sizeof kReply);
  }
  void is_protocol(std::uint8_t protocol) {
    expression("meta", [&] {
      out_.be32(NFTA_META_DREG, NFT_REG32_00);
      out_.be32(NFTA_META_KEY, NFT_META_L4PROTO);
    });
    compare(&protocol, sizeof protocol);
  }
  /// SYN without ACK, RST and FIN.
  void is_syn() {
    constexpr std::uint32_t kFlagsAt = 13;
    constexpr std::uint8_t kMask = 0x17, kSyn = 0x02, kNothing = 0;
    expression("payload", [&] {
      out_.be32(NFTA_PAYLOAD_DREG, NFT_REG32_00);
      out_.be32(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
      out_.be32(NFTA_PAYLOAD_OFFSET, kFlagsAt);
      out_.be32(NFTA_PAYLOAD_LEN, sizeof kSyn);
    });
    expression("bitwise", [&] {
      out_.be32(NFTA_BITWISE_SREG, NFT_REG32_00);
      out_.be32(NFTA_BITWISE_DREG, NFT_REG32_00);
      out_.be32(NFTA_BITWISE_LEN, sizeof kSyn);
      value(NFTA_BITWISE_MASK, &kMask, sizeof kMask);
      value(NFTA_BITWISE_XOR, &kNothing, sizeof kNothing);
    });
    compare(&kSyn, sizeof kSyn);
  }
  /// The words that were loaded are in the set.
  void in_set() {
    expression("lookup", [&] {
      out_.text(NFTA_LOOKUP_SET, kTracedSet);
      out_.be32(NFTA_LOOKUP_SET_ID, kTracedSetId);
      out_.be32(NFTA_LOOKUP_SREG, NFT_REG32_00);
    });
    word_ = 0;
  }
  void limit(Limit limit) {
    expression("limit", [&] {
      out_.be64(NFTA_LIMIT_RATE, limit.rate);
      out_.be64(NFTA_LIMIT_UNIT, 1);
      out_.be32(NFTA_LIMIT_BURST, limit.burst);
      out_.be32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
      out_.be32(NFTA_LIMIT_FLAGS, 0);
    });
  }
  void trace() {
    constexpr std::uint8_t kOn = 1;
    expression("immediate", [&] {
      out_.be32(NFTA_IMMEDIATE_DREG, NFT_REG32_00);
      value(NFTA_IMMEDIATE_DATA, &kOn, sizeof kOn);
    });
    expression("meta", [&] {
      out_.be32(NFTA_META_KEY, NFT_META_NFTRACE);
      out_.be32(NFTA_META_SREG, NFT_REG32_00);
    });
  }
  /// No other rule of the chain is asked.
  void accept() {
    expression("immediate", [&] {
      out_.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      char* data = out_.open();
      char* verdict = out_.open();
      out_.be32(NFTA_VERDICT_CODE, NF_ACCEPT);
      out_.close(verdict, NFTA_DATA_VERDICT);
      out_.close(data, NFTA_IMMEDIATE_DATA);
    });
  }

 private:
  template <class Write>
  void expression(std::string_view name, Write write) {
    char* element = out_.open();
    out_.text(NFTA_EXPR_NAME, name);
    char* data = out_.open();
    write();
    out_.close(data, NFTA_EXPR_DATA);
    out_.close(element, NFTA_LIST_ELEM);
  }
  void value(std::uint16_t type, const void* bytes, std::uint16_t size) {
    char* nest = out_.open();
    out_.raw(NFTA_DATA_VALUE, bytes, size);
    out_.close(nest, type);
  }
  void compare(const void* bytes, std::uint16_t size) {
    expression("cmp", [&] {
      out_.be32(NFTA_CMP_SREG, NFT_REG32_00);
      out_.be32(NFTA_CMP_OP, NFT_CMP_EQ);
      value(NFTA_CMP_DATA, bytes, size);
    });
  }

  std::string memory_;
  AttributeWriter out_;
  std::uint32_t word_ = 0;  ///< the next free register
};

}  // namespace

std::string start_rule(Family family, bool has_source, bool only_syn, Limit limit) {
  constexpr std::uint32_t kPortAt = 2;
  Expressions rule;
  if (only_syn) {
    rule.is_protocol(IPPROTO_TCP);
    rule.is_syn();
  }
  const bool is_ipv4 = family == Family::kIpv4;
  rule.payload(NFT_PAYLOAD_NETWORK_HEADER, is_ipv4 ? 16 : 24, address_size(family));
  rule.meta(NFT_META_L4PROTO);
  rule.payload(NFT_PAYLOAD_TRANSPORT_HEADER, kPortAt, sizeof(std::uint16_t));
  if (has_source) rule.payload(NFT_PAYLOAD_NETWORK_HEADER, is_ipv4 ? 12 : 8, address_size(family));
  rule.in_set();
  rule.limit(limit);
  rule.trace();
  rule.accept();
  return rule.take();
}

std::string reply_rule(Family family, bool has_source) {
  Expressions rule;
  rule.is_reply();
  // The keys that name their family (Linux 4.16): nft 1.0.6 cannot list a concatenation with the other ones, and
  // aborts.
  const bool is_ipv4 = family == Family::kIpv4;
  rule.original(is_ipv4 ? NFT_CT_DST_IP : NFT_CT_DST_IP6, address_size(family));
  // The protocol of the connection: that of the packet is another one in ICMP errors.
  rule.original(NFT_CT_PROTOCOL, 1);
  rule.original(NFT_CT_PROTO_DST, sizeof(std::uint16_t));
  if (has_source) rule.original(is_ipv4 ? NFT_CT_SRC_IP : NFT_CT_SRC_IP6, address_size(family));
  rule.in_set();
  rule.limit(kReplies);
  rule.trace();
  return rule.take();
}

}  // namespace kubenatd::netlink::trace
