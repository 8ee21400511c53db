#include <optional>
#include <string_view>

#include "netlink/iptables/rule_encoder.h"
#include "netlink/iptables/xt_layouts.h"

namespace kubenatd::netlink::iptables {
namespace {

using rules::Family;

// NFT_RULE_MAXEXPRS is 128 (net/netfilter/nf_tables_api.c); headers, counter and target take at most 15, a match 3.
constexpr std::size_t kMaxMatches = 32;
constexpr std::size_t kMaxChainName = 255;  // NFT_CHAIN_MAXNAMELEN - 1

/// A NUL would end the text early in the kernel, and the rule would come back as another one.
bool is_text(std::string_view text, std::size_t longest) {
  return !text.empty() && text.size() <= longest && text.find('\0') == std::string_view::npos;
}

/// Says why a match or target cannot be written.
struct Refusal {
  const rules::Rule& rule;
  Family family;

  std::string_view operator()(const rules::CommentMatch& comment) const {
    return comment.text.find('\0') == std::string::npos ? "" : "a comment with a zero byte";
  }
  std::string_view operator()(const rules::PortMatch& port) const {
    return rule.protocol == port.protocol ? "" : "a port match needs -p with the same protocol";
  }
  std::string_view operator()(const rules::AddrTypeMatch& type) const {
    return type.source_local || type.destination_local ? "" : "an address type match without a type";
  }
  std::string_view operator()(const rules::RecentMatch& recent) const {
    return is_text(recent.name, 199) ? "" : "the name of a recent list has 1 to 199 bytes";
  }
  std::string_view operator()(const rules::NfacctMatch& nfacct) const {
    return is_text(nfacct.name, 31) ? "" : "the name of a counter has 1 to 31 bytes";
  }
  std::string_view operator()(const rules::MultiportMatch& multiport) const {
    if (!rule.protocol) return "a multiport match needs -p";
    return multiport.destinations.empty() || multiport.destinations.size() > 15 ? "a multiport match has 1 to 15 ports"
                                                                                : "";
  }
  std::string_view operator()(const rules::Jump& jump) const {
    return is_text(jump.chain, kMaxChainName) ? "" : "the name of a chain has 1 to 255 bytes";
  }
  std::string_view operator()(const rules::DnatTarget& dnat) const {
    if (!rule.protocol) return "DNAT to a port needs -p";
    return dnat.address.family == family ? "" : "DNAT to an address of the other family";
  }
  std::string_view operator()(const auto&) const { return ""; }
};

std::string_view refusal_of(const std::optional<rules::AddressMatch>& match, Family family) {
  if (!match) return "";
  if (match->prefix.address.family != family) return "an address of the other family";
  if (match->prefix.length > rules::bits_of(family)) return "an address prefix that is too long";
  return match->negate && match->prefix.length == 0 ? "a negated match of all addresses" : "";
}

std::string_view refusal_of(const std::optional<rules::InterfaceMatch>& match) {
  if (!match) return "";
  return is_text(match->name, xt::kMaxInterface) ? "" : "the name of an interface has 1 to 15 bytes";
}

}  // namespace

std::string_view refusal_of(const rules::Rule& rule, Family family) {
  if (!rule.opaque.empty()) return "a rule that is not of our model";
  if (rule.matches.size() > kMaxMatches) return "more than 32 matches";
  if (const auto why = refusal_of(rule.source, family); !why.empty()) return why;
  if (const auto why = refusal_of(rule.destination, family); !why.empty()) return why;
  if (const auto why = refusal_of(rule.in_interface); !why.empty()) return why;
  if (const auto why = refusal_of(rule.out_interface); !why.empty()) return why;
  const Refusal refusal{rule, family};
  for (const rules::Match& match : rule.matches)
    if (const std::string_view why = std::visit(refusal, match); !why.empty()) return why;
  return std::visit(refusal, rule.target);
}

}  // namespace kubenatd::netlink::iptables
