#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "netlink/walk/expression_reader.h"
#include "netlink/walk/xt_reader.h"

/// Expressions that do something with the packet.
namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

constexpr std::size_t kPortSize = 2;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint32_t kNatNetmap = 1U << 6U;      // NF_NAT_RANGE_NETMAP
constexpr std::uint32_t kDynsetInverted = 1U << 0;  // NFT_DYNSET_F_INV

void add_flags(Nat& nat, std::uint32_t flags) {
  nat.random = (flags & NF_NAT_RANGE_PROTO_RANDOM_ALL) != 0;
  nat.persistent = (flags & NF_NAT_RANGE_PERSISTENT) != 0;
  nat.netmap = (flags & kNatNetmap) != 0;
}

template <std::size_t N>
std::string name_at(const std::array<std::string_view, N>& names, std::uint8_t code, std::string_view kind) {
  if (code < N && !names[code].empty()) return std::string(names[code]);
  return fmt::format("{} code {}", kind, code);
}

/// As iptables and ip6tables name what they send.
std::string icmp_name(std::uint8_t code) {
  static constexpr std::array<std::string_view, 14> kNames{"icmp-net-unreachable",
                                                           "icmp-host-unreachable",
                                                           "icmp-proto-unreachable",
                                                           "icmp-port-unreachable",
                                                           {},
                                                           {},
                                                           {},
                                                           {},
                                                           {},
                                                           "icmp-net-prohibited",
                                                           "icmp-host-prohibited",
                                                           {},
                                                           {},
                                                           "icmp-admin-prohibited"};
  return name_at(kNames, code, "icmp");
}

std::string icmp6_name(std::uint8_t code) {
  static constexpr std::array<std::string_view, 7> kNames{
      "icmp6-no-route",    "icmp6-adm-prohibited", {}, "icmp6-addr-unreachable", "icmp6-port-unreachable",
      "icmp6-policy-fail", "icmp6-reject-route"};
  return name_at(kNames, code, "icmp6");
}

/// Of either family, as nft names it.
std::string icmpx_name(std::uint8_t code) {
  static constexpr std::array<std::string_view, 4> kNames{"icmpx-no-route", "icmpx-port-unreachable",
                                                          "icmpx-host-unreachable", "icmpx-admin-prohibited"};
  return name_at(kNames, code, "icmpx");
}

/// As iptables-save prints a text (xtables_save_string): in quotes where it has to be.
std::string quoted(std::string_view text) {
  const bool plain =
      std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
  if (plain) return std::string(text);
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

}  // namespace

void ExpressionReader::counter(const Attributes& attributes) {
  rule_.counters = Counters{attributes.be64(NFTA_COUNTER_PACKETS), attributes.be64(NFTA_COUNTER_BYTES)};
}

void ExpressionReader::log(const Attributes& attributes) {
  std::string text;
  const std::string_view prefix = attributes.text(NFTA_LOG_PREFIX);
  if (of_iptables_ && attributes.has(NFTA_LOG_GROUP)) {
    text = "-j NFLOG";
    if (!prefix.empty()) text += " --nflog-prefix " + quoted(prefix);
    if (const std::uint16_t group = attributes.be16(NFTA_LOG_GROUP); group != 0)
      text += fmt::format(" --nflog-group {}", group);
  } else if (of_iptables_) {
    text = "-j LOG";
    if (!prefix.empty()) text += fmt::format(" --log-prefix \"{}\"", prefix);
  } else {
    text = "log";
    if (!prefix.empty()) text += fmt::format(" prefix \"{}\"", prefix);
    if (attributes.has(NFTA_LOG_GROUP)) text += fmt::format(" group {}", attributes.be16(NFTA_LOG_GROUP));
  }
  nothing(std::move(text));
}

void ExpressionReader::last(const Attributes& /*attributes*/) {
  nothing("last");
}

void ExpressionReader::nat(const Attributes& attributes) {
  const std::uint32_t family = attributes.be32(NFTA_NAT_FAMILY);
  const std::size_t size = family == NFPROTO_IPV4 ? 4 : 16;
  only_family(family);
  Nat nat;
  nat.kind = attributes.be32(NFTA_NAT_TYPE) == NFT_NAT_SNAT ? Nat::Kind::kSource : Nat::Kind::kDestination;
  if (attributes.has(NFTA_NAT_REG_ADDR_MIN)) {
    const std::uint32_t first = attributes.be32(NFTA_NAT_REG_ADDR_MIN);
    nat.address = registers_.read(first, size);
    const std::uint32_t last = attributes.has(NFTA_NAT_REG_ADDR_MAX) ? attributes.be32(NFTA_NAT_REG_ADDR_MAX) : first;
    if (last != first) nat.last_address = registers_.read(last, size);
  }
  add_ports(nat, attributes, NFTA_NAT_REG_PROTO_MIN, NFTA_NAT_REG_PROTO_MAX);
  add_flags(nat, attributes.be32(NFTA_NAT_FLAGS));
  ended_ = true;
  add(std::move(nat));
}

void ExpressionReader::add_ports(Nat& nat, const Attributes& attributes, std::uint16_t first, std::uint16_t last) {
  if (!attributes.has(first)) return;
  const std::uint32_t number = attributes.be32(first);
  nat.port = registers_.read(number, kPortSize);
  if (attributes.has(last) && attributes.be32(last) != number)
    nat.last_port = registers_.read(attributes.be32(last), kPortSize);
}

void ExpressionReader::masquerade(const Attributes& attributes) {
  Nat nat;
  nat.kind = Nat::Kind::kMasquerade;
  add_ports(nat, attributes, NFTA_MASQ_REG_PROTO_MIN, NFTA_MASQ_REG_PROTO_MAX);
  add_flags(nat, attributes.be32(NFTA_MASQ_FLAGS));
  ended_ = true;
  add(std::move(nat));
}

void ExpressionReader::redirect(const Attributes& attributes) {
  Nat nat;
  nat.kind = Nat::Kind::kRedirect;
  add_ports(nat, attributes, NFTA_REDIR_REG_PROTO_MIN, NFTA_REDIR_REG_PROTO_MAX);
  add_flags(nat, attributes.be32(NFTA_REDIR_FLAGS));
  ended_ = true;
  add(std::move(nat));
}

void ExpressionReader::reject(const Attributes& attributes) {
  const std::uint8_t code = attributes.byte(NFTA_REJECT_ICMP_CODE);
  ended_ = true;
  switch (attributes.be32(NFTA_REJECT_TYPE)) {
    case NFT_REJECT_TCP_RST: return add(Refuse{"tcp-reset"});
    case NFT_REJECT_ICMPX_UNREACH: return add(Refuse{icmpx_name(code)});
    case NFT_REJECT_ICMP_UNREACH: return add(Refuse{family_ == NFPROTO_IPV6 ? icmp6_name(code) : icmp_name(code)});
    default: return add(Refuse{"unknown"});
  }
}

void ExpressionReader::queue(const Attributes& attributes) {
  const bool bypass = (attributes.be16(NFTA_QUEUE_FLAGS) & NFT_QUEUE_FLAG_BYPASS) != 0;
  ended_ = true;
  add(ToVerdict{bypass ? Verdict::kQueueBypass : Verdict::kQueue, {}});
}

void ExpressionReader::transparent_proxy(const Attributes& attributes) {
  const std::uint32_t family = attributes.be32(NFTA_TPROXY_FAMILY);
  only_family(family);
  Tproxy proxy;
  if (attributes.has(NFTA_TPROXY_REG_ADDR))
    proxy.address = registers_.read(attributes.be32(NFTA_TPROXY_REG_ADDR), family == NFPROTO_IPV4 ? 4 : 16);
  if (attributes.has(NFTA_TPROXY_REG_PORT))
    proxy.port = registers_.read(attributes.be32(NFTA_TPROXY_REG_PORT), kPortSize);
  add(std::move(proxy));
}

void ExpressionReader::no_track(const Attributes& /*attributes*/) {
  add(NoTrack{});
}

void ExpressionReader::duplicate(const Attributes& /*attributes*/) {
  nothing("dup");
}

void ExpressionReader::forward(const Attributes& /*attributes*/) {
  ended_ = true;
  add(ToVerdict{Verdict::kStolen, {}});
}

void ExpressionReader::syn_proxy(const Attributes& /*attributes*/) {
  add_synproxy();
}

void ExpressionReader::add_synproxy() {
  // It answers the SYN itself; other protocols leave the rule (nft_synproxy_do_eval).
  const Bytes tcp = Bytes::network(kTcp, 1);
  condition({make(Meta{NFT_META_L4PROTO}), {{tcp, tcp}}, false, Part::kProtocol});
  ended_ = true;
  add(ToVerdict{Verdict::kStolen, {}});
}

void ExpressionReader::dynamic_set(const Attributes& attributes) {
  std::string set(attributes.text(NFTA_DYNSET_SET_NAME));
  const std::uint32_t operation = attributes.be32(NFTA_DYNSET_OP);
  std::string conditions;
  const auto add_condition = [&](std::string_view element) {
    const std::string_view kind = find_attribute(element, NFTA_EXPR_NAME).text();
    const std::string text =
        condition_text(kind, Attributes(find_attribute(element, NFTA_EXPR_DATA).payload), of_iptables_);
    if (!text.empty()) conditions.append(conditions.empty() ? "" : " ").append(text);
  };
  if (attributes.has(NFTA_DYNSET_EXPRESSIONS)) {
    AttributeReader reader(attributes.payload(NFTA_DYNSET_EXPRESSIONS));
    for (Attribute element; reader.next(element);) add_condition(element.payload);
  } else if (attributes.has(NFTA_DYNSET_EXPR)) {
    add_condition(attributes.payload(NFTA_DYNSET_EXPR));
  }
  // Inverted, it goes on only when the set is full.
  if ((attributes.be32(NFTA_DYNSET_FLAGS) & kDynsetInverted) != 0)
    return add(Unjudged{fmt::format("set @{} is full", set), Part::kSet});
  if (operation == NFT_DYNSET_OP_DELETE) return nothing(fmt::format("delete @{}", set));
  const ExpressionPtr key = key_for(set, attributes.be32(NFTA_DYNSET_SREG_KEY));
  add(UpdateSet{std::move(set), key, std::move(conditions)});
}

void ExpressionReader::xt_target(const Attributes& attributes) {
  XtPart part = read_xt_target(attributes.text(NFTA_TARGET_NAME), attributes.be32(NFTA_TARGET_REV),
                               attributes.payload(NFTA_TARGET_INFO), xt_family());
  add_xt(std::move(part.statements), std::move(part.text));
}

rules::Family ExpressionReader::xt_family() const {
  return family_ == NFPROTO_IPV6 ? rules::Family::kIpv6 : rules::Family::kIpv4;
}

void ExpressionReader::add_xt(std::vector<Statement> statements, std::string text) {
  const std::size_t first = rule_.statements.size();
  for (Statement& statement : statements) rule_.statements.push_back(std::move(statement));
  xt_texts_.push_back({first, rule_.statements.size(), std::move(text)});
}

}  // namespace kubenatd::netlink::walk
