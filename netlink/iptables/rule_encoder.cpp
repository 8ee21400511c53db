#include "netlink/iptables/rule_encoder.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "netlink/core/attributes.h"
#include "netlink/iptables/xt_layouts.h"

namespace kubenatd::netlink::iptables {
namespace {

using rules::Family;

// The largest parts, rounded up: -i, -o, -p, -s, -d, the counter, the target, compat and frame; a match is largest as
// sctp's 296 bytes and its attributes.
constexpr std::size_t kFrameBound = 1536;
constexpr std::size_t kMatchBound = 352;

/// Writes the expressions of one rule. Every value travels through register 1, the first 16-byte register.
class ExpressionWriter {
 public:
  ExpressionWriter(char* at, Family family, RuleForm form) : out_(at), family_(family), form_(form) {}

  [[nodiscard]] AttributeWriter& out() { return out_; }

  // --- header matches

  /// `-i NAME`, `-o NAME`: the name with its NUL; `NAME+`: its bytes only.
  void interface_name(std::uint32_t key, const rules::InterfaceMatch& match) {
    meta(key);
    std::array<char, xt::kMaxInterface + 1> name{};
    std::copy_n(match.name.data(), match.name.size(), name.data());
    compare(match.negate, name.data(), static_cast<std::uint16_t>(match.name.size() + (match.prefix ? 0 : 1)));
  }

  /// `-p PROTOCOL`
  void protocol(rules::Protocol protocol) {
    meta(NFT_META_L4PROTO);
    compare(false, &protocol, 1);
  }

  /// `-s PREFIX`, `-d PREFIX`: a length of whole bytes loads only these, any other masks the whole address, 0 is
  /// nothing.
  void address(const rules::AddressMatch& match, bool source) {
    const rules::Prefix& prefix = match.prefix;
    if (prefix.length == 0) return;
    const std::uint32_t offset = family_ == Family::kIpv4 ? (source ? 12 : 16) : (source ? 8 : 24);
    const bool whole_bytes = prefix.length % 8 == 0;
    const auto size = static_cast<std::uint16_t>((whole_bytes ? prefix.length : rules::bits_of(family_)) / 8);
    payload(NFT_PAYLOAD_NETWORK_HEADER, offset, size);
    if (!whole_bytes) {
      std::array<std::uint8_t, 16> mask{};
      std::fill_n(mask.begin(), prefix.length / 8, std::uint8_t{0xff});
      mask[prefix.length / 8] = static_cast<std::uint8_t>(0xff00 >> (prefix.length % 8));
      bitwise_and(mask.data(), size);
    }
    compare(match.negate, prefix.address.bytes.data(), size);
  }

  // --- matches

  /// `-m comment --comment TEXT`, cut at 255 bytes.
  void operator()(const rules::CommentMatch& comment) {
    xt::Comment info;
    std::memcpy(info.text.data(), comment.text.data(), std::min(comment.text.size(), info.text.size() - 1));
    match("comment", 0, info);
  }

  /// `-m tcp|udp|sctp [--dport PORT]`
  void operator()(const rules::PortMatch& port) {
    if (form_ == RuleForm::kNative && port.destination && port.protocol != rules::Protocol::kSctp) {
      payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
      const std::uint16_t value = htobe16(*port.destination);
      return compare(false, &value, sizeof value);
    }
    switch (port.protocol) {
      case rules::Protocol::kTcp: return match("tcp", 0, with_port(xt::Tcp{}, port));
      case rules::Protocol::kUdp: return match("udp", 0, with_port(xt::Udp{}, port));
      case rules::Protocol::kSctp: {
        xt::Sctp info = with_port(xt::Sctp{}, port);
        if (port.destination) info.flags = xt::Sctp::kDestinationPorts;
        return match("sctp", 0, info);
      }
    }
  }

  /// `-m mark [!] --mark VALUE[/MASK]`
  void operator()(const rules::MarkMatch& mark) {
    if (form_ == RuleForm::kNative) {
      meta(NFT_META_MARK);
      if (mark.mask != 0xffffffff) bitwise_and(&mark.mask, sizeof mark.mask);
      return compare(mark.negate, &mark.value, sizeof mark.value);
    }
    xt::Mark info;
    info.value = mark.value;
    info.mask = mark.mask;
    info.invert = mark.negate ? 1 : 0;
    match("mark", 1, info);
  }

  /// `-m conntrack [!] --ctstate STATES`
  void operator()(const rules::ConntrackMatch& conntrack) {
    xt::Conntrack info;
    info.match = xt::Conntrack::kState;
    info.invert = conntrack.negate ? xt::Conntrack::kState : 0;
    info.states = conntrack.states;
    match("conntrack", 3, info);
  }

  /// `-m addrtype --src-type LOCAL`, `--dst-type LOCAL`
  void operator()(const rules::AddrTypeMatch& type) {
    xt::AddrType info;
    if (type.source_local) info.source = xt::AddrType::kLocal;
    if (type.destination_local) info.destination = xt::AddrType::kLocal;
    match("addrtype", 1, info);
  }

  /// `-m statistic --mode random --probability P`
  void operator()(const rules::StatisticMatch& statistic) {
    xt::Statistic info;
    info.probability = info.probability_again = statistic.probability;
    match("statistic", 0, info);
  }

  /// `-m recent --set|--rcheck [--seconds N] [--reap] --name NAME --rsource`
  void operator()(const rules::RecentMatch& recent) {
    xt::Recent info;
    if (recent.action == rules::RecentMatch::Action::kSet) {
      info.check_set = xt::Recent::kSet;
    } else {
      info.check_set = xt::Recent::kCheck | (recent.reap ? xt::Recent::kReap : 0);
      info.seconds = recent.seconds;
    }
    // iptables writes the name over its default one, and its -C compares what stays behind a shorter name.
    constexpr std::string_view kDefault = "DEFAULT";
    std::copy(kDefault.begin(), kDefault.end(), info.name.begin());
    std::copy(recent.name.begin(), recent.name.end(), info.name.begin());
    info.name[recent.name.size()] = '\0';
    // The address's own bytes: so iptables keeps the mask that its listing shows, and its -C compares all 16. What
    // stands behind them is nothing to the kernel.
    std::fill_n(info.mask.begin(), rules::bits_of(family_) / 8, std::uint8_t{0xff});
    match("recent", 1, info);
  }

  /// `-m nfacct --nfacct-name NAME`
  void operator()(const rules::NfacctMatch& nfacct) {
    xt::Nfacct info;
    std::copy(nfacct.name.begin(), nfacct.name.end(), info.name.begin());
    match("nfacct", 1, info);
  }

  /// `-m multiport --dports PORTS`
  void operator()(const rules::MultiportMatch& multiport) {
    xt::Multiport info;
    info.flags = xt::Multiport::kDestination;
    info.count = static_cast<std::uint8_t>(multiport.destinations.size());
    std::copy(multiport.destinations.begin(), multiport.destinations.end(), info.ports.begin());
    match("multiport", 1, info);
  }

  /// The packet and byte counter that every rule of iptables has.
  void counter() {
    char* element = begin("counter");
    out_.be64(NFTA_COUNTER_BYTES, 0);
    out_.be64(NFTA_COUNTER_PACKETS, 0);
    end(element);
  }

  // --- targets

  void operator()(const rules::NoTarget&) {}

  /// `-j ACCEPT|DROP|RETURN`
  void operator()(rules::Verdict verdict) {
    switch (verdict) {
      case rules::Verdict::kAccept: return immediate(NF_ACCEPT, {});
      case rules::Verdict::kDrop: return immediate(NF_DROP, {});
      case rules::Verdict::kReturn: return immediate(NFT_RETURN, {});
    }
  }

  /// `-j CHAIN`, `-g CHAIN`
  void operator()(const rules::Jump& jump) { immediate(jump.is_goto ? NFT_GOTO : NFT_JUMP, jump.chain); }

  /// `-j MARK --set-xmark VALUE/MASK`
  void operator()(const rules::MarkTarget& mark) { target("MARK", 2, xt::MarkTarget{mark.value, mark.mask}); }

  /// `-j MASQUERADE [--random-fully]`
  void operator()(const rules::MasqueradeTarget& masquerade) {
    const std::uint32_t flags = masquerade.random_fully ? xt::kNatRandomFully : 0;
    if (family_ == Family::kIpv4) {
      xt::NatRange4 range;
      range.flags = flags;
      target("MASQUERADE", 0, range);
    } else {
      xt::NatRange range;
      range.flags = flags;
      target("MASQUERADE", 0, range);
    }
  }

  /// `-j DNAT --to-destination ADDRESS:PORT`
  void operator()(const rules::DnatTarget& dnat) {
    xt::NatRange2 range;
    range.flags = xt::kNatAddresses | xt::kNatPorts;
    range.first = range.last = dnat.address.bytes;
    range.first_port =
        range.last_port = {static_cast<std::uint8_t>(dnat.port >> 8), static_cast<std::uint8_t>(dnat.port & 0xff)};
    target("DNAT", 2, range);
  }

  /// `-j REJECT --reject-with icmp-port-unreachable|icmp6-port-unreachable`
  void operator()(const rules::RejectTarget&) {
    xt::Reject info;
    info.with = family_ == Family::kIpv4 ? xt::Reject::kPortUnreachable4 : xt::Reject::kPortUnreachable6;
    target("REJECT", 0, info);
  }

 private:
  template <std::size_t N>
  [[nodiscard]] char* begin(const char (&name)[N]) {
    char* element = out_.open();
    out_.literal(NFTA_EXPR_NAME, name);
    data_ = out_.open();
    return element;
  }
  void end(char* element) {
    out_.close(data_, NFTA_EXPR_DATA);
    out_.close(element, NFTA_LIST_ELEM);
  }
  void value(std::uint16_t type, const void* bytes, std::uint16_t size) {
    char* nest = out_.open();
    out_.raw(NFTA_DATA_VALUE, bytes, size);
    out_.close(nest, type);
  }

  void meta(std::uint32_t key) {
    char* element = begin("meta");
    out_.be32(NFTA_META_KEY, key);
    out_.be32(NFTA_META_DREG, NFT_REG_1);
    end(element);
  }
  void payload(std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
    char* element = begin("payload");
    out_.be32(NFTA_PAYLOAD_DREG, NFT_REG_1);
    out_.be32(NFTA_PAYLOAD_BASE, base);
    out_.be32(NFTA_PAYLOAD_OFFSET, offset);
    out_.be32(NFTA_PAYLOAD_LEN, size);
    end(element);
  }
  void bitwise_and(const void* mask, std::uint16_t size) {
    constexpr std::array<char, 16> kZero{};
    char* element = begin("bitwise");
    out_.be32(NFTA_BITWISE_SREG, NFT_REG_1);
    out_.be32(NFTA_BITWISE_DREG, NFT_REG_1);
    out_.be32(NFTA_BITWISE_LEN, size);
    value(NFTA_BITWISE_MASK, mask, size);
    value(NFTA_BITWISE_XOR, kZero.data(), size);
    end(element);
  }
  void compare(bool negate, const void* bytes, std::uint16_t size) {
    char* element = begin("cmp");
    out_.be32(NFTA_CMP_SREG, NFT_REG_1);
    out_.be32(NFTA_CMP_OP, negate ? NFT_CMP_NEQ : NFT_CMP_EQ);
    value(NFTA_CMP_DATA, bytes, size);
    end(element);
  }
  void immediate(int verdict, std::string_view chain) {
    char* element = begin("immediate");
    out_.be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    char* data = out_.open();
    char* nest = out_.open();
    out_.be32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(verdict));
    if (!chain.empty()) out_.text(NFTA_VERDICT_CHAIN, chain);
    out_.close(nest, NFTA_DATA_VERDICT);
    out_.close(data, NFTA_IMMEDIATE_DATA);
    end(element);
  }
  template <class Info>
  static Info with_port(Info info, const rules::PortMatch& port) {
    if (port.destination) info.destinations = {*port.destination, *port.destination};
    return info;
  }
  template <std::size_t N, class Info>
  void match(const char (&name)[N], std::uint32_t revision, const Info& info) {
    char* element = begin("match");
    out_.literal(NFTA_MATCH_NAME, name);
    out_.be32(NFTA_MATCH_REV, revision);
    out_.structure(NFTA_MATCH_INFO, info);
    end(element);
  }
  template <std::size_t N, class Info>
  void target(const char (&name)[N], std::uint32_t revision, const Info& info) {
    char* element = begin("target");
    out_.literal(NFTA_TARGET_NAME, name);
    out_.be32(NFTA_TARGET_REV, revision);
    out_.structure(NFTA_TARGET_INFO, info);
    end(element);
  }

  AttributeWriter out_;
  Family family_;
  RuleForm form_;
  char* data_ = nullptr;
};

/// NFTA_RULE_COMPAT tells x_tables what -p said: tcp, udp, sctp and multiport matches check it (EINVAL without).
bool needs_compat(const rules::Rule& rule) {
  return rule.protocol && (!rule.matches.empty() || std::holds_alternative<rules::DnatTarget>(rule.target));
}

}  // namespace

std::size_t encoded_bound(const rules::Rule& rule) {
  return kFrameBound + rule.matches.size() * kMatchBound;
}

char* encode_rule(char* at, const rules::Rule& rule, Family family, RuleForm form) {
  ExpressionWriter writer(at, family, form);
  char* list = writer.out().open();
  if (rule.in_interface) writer.interface_name(NFT_META_IIFNAME, *rule.in_interface);
  if (rule.out_interface) writer.interface_name(NFT_META_OIFNAME, *rule.out_interface);
  if (rule.protocol) writer.protocol(*rule.protocol);
  if (rule.source) writer.address(*rule.source, true);
  if (rule.destination) writer.address(*rule.destination, false);
  for (const rules::Match& match : rule.matches) std::visit(writer, match);
  writer.counter();
  std::visit(writer, rule.target);
  writer.out().close(list, NFTA_RULE_EXPRESSIONS);
  if (needs_compat(rule)) {
    char* compat = writer.out().open();
    writer.out().be32(NFTA_RULE_COMPAT_PROTO, static_cast<std::uint32_t>(*rule.protocol));
    writer.out().be32(NFTA_RULE_COMPAT_FLAGS, 0);
    writer.out().close(compat, NFTA_RULE_COMPAT);
  }
  return writer.out().at();
}

}  // namespace kubenatd::netlink::iptables
