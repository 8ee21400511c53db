#include "netlink/iptables/rule_decoder.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "netlink/core/attributes.h"
#include "netlink/iptables/xt_decoder.h"
#include "netlink/iptables/xt_layouts.h"

namespace kubenatd::netlink::iptables {
namespace {

using rules::Family;

constexpr std::size_t kMaxDescription = 160;  // of an opaque rule; a hostile one may have 128 expressions
constexpr std::size_t kUsualMatches = 4;

/// The first 16-byte register and the first 4-byte register are the same memory; the kernel dumps it as NFT_REG_1
/// (nft_dump_register), and iptables uses no other.
bool is_register_1(std::uint32_t number) {
  return number == NFT_REG_1 || number == NFT_REG32_00;
}

std::string_view value_of(const Attribute& data) {
  return find_attribute(data.payload, NFTA_DATA_VALUE).payload;
}

/// Length of a mask of leading ones; nothing for any other mask.
std::optional<std::uint8_t> prefix_length(std::string_view mask) {
  std::size_t length = 0;
  bool ended = false;
  for (const char c : mask) {
    const auto byte = static_cast<std::uint8_t>(c);
    const int ones = std::countl_one(byte);
    if (ended ? byte != 0 : static_cast<std::uint8_t>(byte << ones) != 0) return std::nullopt;
    length += static_cast<std::size_t>(ones);
    ended = ended || ones < 8;
  }
  return static_cast<std::uint8_t>(length);
}

/// Reads one rule. Every function gives false when the expression is beyond the model.
class Decoder {
 public:
  Decoder(Family family, rules::Rule& rule, RuleCounters& counters)
      : family_(family), rule_(rule), counters_(counters) {}

  [[nodiscard]] bool expression(std::string_view element) {
    Attribute name, data, attribute;
    for (AttributeReader reader(element); reader.next(attribute);) {
      if (attribute.type == NFTA_EXPR_NAME) name = attribute;
      if (attribute.type == NFTA_EXPR_DATA) data = attribute;
    }
    const std::string_view kind = name.text();
    if (kind == "counter") return counter(data.payload);
    if (ended_) return false;
    // A loaded value is used at once: masked or compared.
    if (kind == "cmp") return compare(data.payload);
    if (kind == "bitwise") return bitwise(data.payload);
    if (loaded_ != Loaded::kNothing) return false;
    if (kind == "match") return match(data.payload);
    if (kind == "meta") return meta(data.payload);
    if (kind == "payload") return payload(data.payload);
    if (kind == "immediate") return immediate(data.payload);
    if (kind == "target") return target(data.payload);
    return false;
  }

  [[nodiscard]] bool finished() const { return loaded_ == Loaded::kNothing; }

 private:
  enum class Loaded : std::uint8_t {
    kNothing,
    kInterface,
    kOutInterface,
    kProtocol,
    kMark,
    kSource,
    kDestination,
    kPort
  };

  bool counter(std::string_view data) {
    Attribute attribute;
    for (AttributeReader reader(data); reader.next(attribute);) {
      if (attribute.type == NFTA_COUNTER_BYTES) counters_.bytes = attribute.be64();
      if (attribute.type == NFTA_COUNTER_PACKETS) counters_.packets = attribute.be64();
    }
    return true;
  }

  bool meta(std::string_view data) {
    std::uint32_t key = 0, destination = 0;
    Attribute attribute;
    for (AttributeReader reader(data); reader.next(attribute);) {
      if (attribute.type == NFTA_META_KEY) key = attribute.be32();
      if (attribute.type == NFTA_META_DREG) destination = attribute.be32();
      if (attribute.type == NFTA_META_SREG) return false;
    }
    if (!is_register_1(destination)) return false;
    switch (key) {
      case NFT_META_IIFNAME: return load(Loaded::kInterface, 0);
      case NFT_META_OIFNAME: return load(Loaded::kOutInterface, 0);
      case NFT_META_L4PROTO: return load(Loaded::kProtocol, 1);
      case NFT_META_MARK: return load(Loaded::kMark, 4);
      default: return false;
    }
  }

  bool payload(std::string_view data) {
    std::uint32_t destination = 0, base = 0, offset = 0, size = 0;
    Attribute attribute;
    for (AttributeReader reader(data); reader.next(attribute);) {
      switch (attribute.type) {
        case NFTA_PAYLOAD_DREG: destination = attribute.be32(); break;
        case NFTA_PAYLOAD_BASE: base = attribute.be32(); break;
        case NFTA_PAYLOAD_OFFSET: offset = attribute.be32(); break;
        case NFTA_PAYLOAD_LEN: size = attribute.be32(); break;
        default: return false;
      }
    }
    if (!is_register_1(destination)) return false;
    if (base == NFT_PAYLOAD_TRANSPORT_HEADER) return offset == 2 && size == 2 && load(Loaded::kPort, 2);
    if (base != NFT_PAYLOAD_NETWORK_HEADER || size == 0) return false;
    const bool four = family_ == Family::kIpv4;
    // Earlier versions of iptables-nft read the protocol field of the IPv4 header for `-p`.
    if (four && offset == 9 && size == 1) return load(Loaded::kProtocol, 1);
    if (size > rules::bits_of(family_) / 8U) return false;
    if (offset == (four ? 12U : 8U)) return load(Loaded::kSource, size);
    if (offset == (four ? 16U : 24U)) return load(Loaded::kDestination, size);
    return false;
  }

  bool load(Loaded what, std::uint32_t size) {
    loaded_ = what;
    size_ = size;
    masked_ = false;
    return true;
  }

  bool bitwise(std::string_view data) {
    std::uint32_t source = 0, destination = 0, operation = 0;
    std::string_view mask, flip;
    Attribute attribute;
    for (AttributeReader reader(data); reader.next(attribute);) {
      switch (attribute.type) {
        case NFTA_BITWISE_SREG: source = attribute.be32(); break;
        case NFTA_BITWISE_DREG: destination = attribute.be32(); break;
        case NFTA_BITWISE_OP: operation = attribute.be32(); break;
        case NFTA_BITWISE_MASK: mask = value_of(attribute); break;
        case NFTA_BITWISE_XOR: flip = value_of(attribute); break;
        case NFTA_BITWISE_LEN: break;  // the mask is of that size
        default: return false;
      }
    }
    if (loaded_ != Loaded::kMark && loaded_ != Loaded::kSource && loaded_ != Loaded::kDestination) return false;
    if (masked_ || !is_register_1(source) || !is_register_1(destination) || operation != NFT_BITWISE_BOOL) return false;
    if (mask.size() != size_ || mask.size() > mask_.size() || flip.size() != size_) return false;
    if (std::ranges::any_of(flip, [](char c) { return c != 0; })) return false;
    std::ranges::copy(mask, mask_.begin());
    masked_ = true;
    return true;
  }

  bool compare(std::string_view data) {
    std::uint32_t source = 0, operation = NFT_CMP_LT;
    std::string_view value;
    Attribute attribute;
    for (AttributeReader reader(data); reader.next(attribute);) {
      if (attribute.type == NFTA_CMP_SREG) source = attribute.be32();
      if (attribute.type == NFTA_CMP_OP) operation = attribute.be32();
      if (attribute.type == NFTA_CMP_DATA) value = value_of(attribute);
    }
    if (!is_register_1(source) || (operation != NFT_CMP_EQ && operation != NFT_CMP_NEQ)) return false;
    const bool negate = operation == NFT_CMP_NEQ;
    const Loaded what = loaded_;
    loaded_ = Loaded::kNothing;
    if (value.empty() || (size_ != 0 && value.size() != size_)) return false;
    // iptables writes header matches before all others; elsewhere they might be after a match that changes something.
    if (what != Loaded::kMark && what != Loaded::kPort && !rule_.matches.empty()) return false;
    switch (what) {
      case Loaded::kNothing: return false;
      case Loaded::kInterface: return interface_name(rule_.in_interface, value, negate);
      case Loaded::kOutInterface: return interface_name(rule_.out_interface, value, negate);
      case Loaded::kProtocol: return !negate && protocol(static_cast<std::uint8_t>(value[0]));
      case Loaded::kSource: return address(rule_.source, value, negate);
      case Loaded::kDestination: return address(rule_.destination, value, negate);
      case Loaded::kMark: return mark(value, negate);
      case Loaded::kPort: return !negate && port(value);
    }
    return false;
  }

  static bool interface_name(std::optional<rules::InterfaceMatch>& match, std::string_view value, bool negate) {
    if (match) return false;
    const std::size_t end = value.find('\0');
    const std::string_view name = value.substr(0, end);
    if (name.empty() || name.size() > xt::kMaxInterface) return false;
    // nft pads the name to 16 bytes, iptables ends it with one NUL; bytes behind it would never be equal.
    if (end != std::string_view::npos && value.find_first_not_of('\0', end) != std::string_view::npos) return false;
    match.emplace(rules::InterfaceMatch{std::string(name), end == std::string_view::npos, negate});
    return true;
  }

  bool protocol(std::uint8_t number) {
    if (rule_.protocol) return false;
    switch (static_cast<rules::Protocol>(number)) {
      case rules::Protocol::kTcp:
      case rules::Protocol::kUdp:
      case rules::Protocol::kSctp: rule_.protocol = static_cast<rules::Protocol>(number); return true;
    }
    return false;
  }

  bool address(std::optional<rules::AddressMatch>& match, std::string_view value, bool negate) {
    if (match) return false;
    auto length = static_cast<std::uint8_t>(value.size() * 8);
    if (masked_) {
      const auto masked = prefix_length({mask_.data(), size_});
      if (!masked || *masked == 0) return false;
      length = *masked;
    }
    rules::Address address;
    address.family = family_;
    std::ranges::copy(value, address.bytes.begin());
    const rules::Prefix prefix = rules::Prefix::of(address, length);
    if (prefix.address != address) return false;  // bits beyond the mask: it never matches
    match.emplace(rules::AddressMatch{prefix, negate});
    return true;
  }

  bool mark(std::string_view value, bool negate) {
    rules::MarkMatch match;
    std::memcpy(&match.value, value.data(), sizeof match.value);
    if (masked_) std::memcpy(&match.mask, mask_.data(), sizeof match.mask);
    match.negate = negate;
    rule_.matches.emplace_back(match);
    return true;
  }

  bool port(std::string_view value) {
    if (rule_.protocol != rules::Protocol::kTcp && rule_.protocol != rules::Protocol::kUdp) return false;
    std::uint16_t port = 0;
    std::memcpy(&port, value.data(), sizeof port);
    rule_.matches.emplace_back(rules::PortMatch{*rule_.protocol, be16toh(port)});
    return true;
  }

  bool match(std::string_view data) {
    const XtExtension extension = read(data, NFTA_MATCH_NAME, NFTA_MATCH_REV, NFTA_MATCH_INFO);
    return decode_xt_match(extension, family_, rule_);
  }

  bool target(std::string_view data) {
    ended_ = true;
    const XtExtension extension = read(data, NFTA_TARGET_NAME, NFTA_TARGET_REV, NFTA_TARGET_INFO);
    return decode_xt_target(extension, family_, rule_);
  }

  static XtExtension read(std::string_view data, std::uint16_t name, std::uint16_t revision, std::uint16_t info) {
    XtExtension extension;
    Attribute attribute;
    for (AttributeReader reader(data); reader.next(attribute);) {
      if (attribute.type == name) extension.name = attribute.text();
      if (attribute.type == revision) extension.revision = attribute.be32();
      if (attribute.type == info) extension.info = attribute.payload;
    }
    return extension;
  }

  bool immediate(std::string_view data) {
    ended_ = true;
    std::uint32_t destination = NFT_REG_1;
    Attribute attribute, verdict;
    for (AttributeReader reader(data); reader.next(attribute);) {
      if (attribute.type == NFTA_IMMEDIATE_DREG) destination = attribute.be32();
      if (attribute.type == NFTA_IMMEDIATE_DATA) verdict = find_attribute(attribute.payload, NFTA_DATA_VERDICT);
    }
    if (destination != NFT_REG_VERDICT) return false;
    std::string_view chain;
    std::optional<std::int32_t> code;
    for (AttributeReader reader(verdict.payload); reader.next(attribute);) {
      if (attribute.type == NFTA_VERDICT_CODE) code = static_cast<std::int32_t>(attribute.be32());
      if (attribute.type == NFTA_VERDICT_CHAIN) chain = attribute.text();
    }
    if (!code) return false;
    switch (*code) {
      case NF_ACCEPT: rule_.target = rules::Verdict::kAccept; return true;
      case NF_DROP: rule_.target = rules::Verdict::kDrop; return true;
      case NFT_RETURN: rule_.target = rules::Verdict::kReturn; return true;
      case NFT_JUMP:
      case NFT_GOTO: rule_.target = rules::Jump{std::string(chain), *code == NFT_GOTO}; return !chain.empty();
      default: return false;
    }
  }

  Family family_;
  rules::Rule& rule_;
  RuleCounters& counters_;
  Loaded loaded_ = Loaded::kNothing;
  bool masked_ = false;
  bool ended_ = false;
  std::uint32_t size_ = 0;  ///< of the loaded value; 0: any
  std::array<char, 16> mask_{};
};

void reset(rules::Rule& rule) {
  rule.source.reset();
  rule.destination.reset();
  rule.in_interface.reset();
  rule.out_interface.reset();
  rule.protocol.reset();
  rule.matches.clear();
  rule.target = rules::NoTarget{};
  rule.opaque.clear();
}

/// "meta cmp lookup": what people need to find the rule in a listing of nft.
std::string describe(std::string_view expressions) {
  std::string text = "not of iptables' form:";
  Attribute element;
  AttributeReader reader(expressions);
  while (reader.next(element)) {
    const std::string_view name = find_attribute(element.payload, NFTA_EXPR_NAME).text();
    const bool extension = name == "match" || name == "target";
    text += ' ';
    const std::string_view shown =
        extension ? find_attribute(find_attribute(element.payload, NFTA_EXPR_DATA).payload, NFTA_MATCH_NAME).text()
                  : name;
    for (const char c : shown.substr(0, 32)) text += c > ' ' && c < 0x7f ? c : '?';
    if (text.size() > kMaxDescription) return text + " ...";
  }
  if (!reader.complete()) text += " (cut)";
  return text;
}

}  // namespace

void decode_rule(std::string_view expressions, Family family, rules::Rule& rule, RuleCounters& counters) {
  reset(rule);
  rule.matches.reserve(kUsualMatches);
  counters = {};
  Decoder decoder(family, rule, counters);
  AttributeReader reader(expressions);
  Attribute element;
  bool understood = true;
  while (understood && reader.next(element)) understood = decoder.expression(element.payload);
  if (understood && reader.complete() && decoder.finished()) return;
  reset(rule);
  rule.opaque = describe(expressions);
}

}  // namespace kubenatd::netlink::iptables
