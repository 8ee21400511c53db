#include "rules/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

namespace kubenatd::rules {
namespace {

/// Appends the words of one rule, each preceded by a blank.
class RuleWriter {
 public:
  RuleWriter(std::string& out, Family family) : out_(out), family_(family) {}

  void write(const Rule& rule) {
    address(rule.source, "-s");
    address(rule.destination, "-d");
    interface(rule.in_interface, "-i");
    interface(rule.out_interface, "-o");
    if (rule.protocol) words(" -p ", name_of(*rule.protocol));
    for (const Match& match : rule.matches) std::visit(*this, match);
    std::visit(*this, rule.target);
  }

  void operator()(const CommentMatch& match) {
    words(" -m comment --comment");
    quoted(match.text);
  }
  void operator()(const PortMatch& match) {
    words(" -m ", name_of(match.protocol));
    if (match.destination) print(" --dport {}", *match.destination);
  }
  void operator()(const MarkMatch& match) {
    print(" -m mark {}--mark {:#x}", match.negate ? "! " : "", match.value);
    if (match.mask != 0xffffffff) print("/{:#x}", match.mask);
  }
  void operator()(const ConntrackMatch& match) {
    words(" -m conntrack ", match.negate ? "! " : "", "--ctstate");
    // In the order of print_state() of iptables' libxt_conntrack.c.
    constexpr std::pair<std::uint16_t, std::string_view> kNames[] = {{kStateInvalid, "INVALID"},
                                                                     {kStateNew, "NEW"},
                                                                     {kStateRelated, "RELATED"},
                                                                     {kStateEstablished, "ESTABLISHED"},
                                                                     {kStateUntracked, "UNTRACKED"},
                                                                     {kStateSnat, "SNAT"},
                                                                     {kStateDnat, "DNAT"}};
    std::string_view separator = " ";
    for (const auto& [bit, name] : kNames) {
      if ((match.states & bit) == 0) continue;
      words(separator, name);
      separator = ",";
    }
  }
  void operator()(const AddrTypeMatch& match) {
    words(" -m addrtype", match.source_local ? " --src-type LOCAL" : "",
          match.destination_local ? " --dst-type LOCAL" : "");
  }
  void operator()(const StatisticMatch& match) {
    print(" -m statistic --mode random --probability {:.11f}", match.probability / static_cast<double>(1U << 31));
  }
  void operator()(const RecentMatch& match) {
    words(" -m recent", match.action == RecentMatch::Action::kSet ? " --set" : " --rcheck");
    if (match.seconds != 0) print(" --seconds {}", match.seconds);
    if (match.reap) words(" --reap");
    words(" --name ", match.name, " --mask ",
          family_ == Family::kIpv4 ? "255.255.255.255" : "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", " --rsource");
  }
  void operator()(const NfacctMatch& match) {
    words(" -m nfacct --nfacct-name ");  // two blanks in all, as iptables 1.8.9 prints it
    quoted(match.name);
  }
  void operator()(const MultiportMatch& match) {
    words(" -m multiport --dports ");
    print("{}", fmt::join(match.destinations, ","));
  }

  void operator()(const NoTarget&) {}
  void operator()(const Verdict& verdict) {
    switch (verdict) {
      case Verdict::kAccept: return words(" -j ACCEPT");
      case Verdict::kDrop: return words(" -j DROP");
      case Verdict::kReturn: return words(" -j RETURN");
    }
  }
  void operator()(const Jump& jump) { words(jump.is_goto ? " -g " : " -j ", jump.chain); }
  void operator()(const MarkTarget& target) { print(" -j MARK --set-xmark {:#x}/{:#x}", target.value, target.mask); }
  void operator()(const MasqueradeTarget& target) {
    words(" -j MASQUERADE", target.random_fully ? " --random-fully" : "");
  }
  void operator()(const DnatTarget& target) {
    const bool ipv6 = target.address.family == Family::kIpv6;
    words(" -j DNAT --to-destination ", ipv6 ? "[" : "", target.address.to_string(), ipv6 ? "]" : "");
    if (target.port != 0) print(":{}", target.port);
  }
  void operator()(const RejectTarget&) {
    words(" -j REJECT --reject-with ", family_ == Family::kIpv4 ? "icmp-port-unreachable" : "icmp6-port-unreachable");
  }

 private:
  template <class... Texts>
  void words(const Texts&... texts) {
    (out_.append(std::string_view(texts)), ...);
  }

  template <class... Values>
  void print(fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Values>(values)...);
  }

  void address(const std::optional<AddressMatch>& match, std::string_view option) {
    if (!match || (match->prefix.length == 0 && !match->negate)) return;
    words(match->negate ? " ! " : " ", option, " ", match->prefix.to_string());
  }

  void interface(const std::optional<InterfaceMatch>& match, std::string_view option) {
    if (!match) return;
    words(match->negate ? " ! " : " ", option, " ", match->name, match->prefix ? "+" : "");
  }

  /// As xtables_save_string() of iptables 1.8.9: bare when only letters, digits, "_" and "-", else in double quotes.
  void quoted(std::string_view text) {
    const auto harmless = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    };
    if (!text.empty() && std::ranges::all_of(text, harmless)) return words(" ", text);
    words(" \"");
    for (const char c : text) {
      if (c == '"' || c == '\'' || c == '\\') out_.push_back('\\');
      out_.push_back(c);
    }
    out_.push_back('"');
  }

  std::string& out_;
  Family family_;
};

void append_rule(std::string& out, const Rule& rule, Family family) {
  if (!rule.opaque.empty()) {
    out.append(" ").append(rule.opaque);
    return;
  }
  RuleWriter(out, family).write(rule);
}

/// Builtin chains in the order given, then the others by name.
std::vector<const TableText::Chain*> in_print_order(const TableText& table) {
  std::vector<const TableText::Chain*> chains;
  chains.reserve(table.chains.size());
  for (const TableText::Chain& chain : table.chains) chains.push_back(&chain);
  const auto own = std::stable_partition(chains.begin(), chains.end(),
                                         [](const TableText::Chain* chain) { return chain->is_builtin; });
  std::ranges::stable_sort(own, chains.end(), {},
                           [](const TableText::Chain* chain) -> const std::string& { return chain->name; });
  return chains;
}

}  // namespace

std::string to_text(const Rule& rule, Family family) {
  std::string text;
  append_rule(text, rule, family);
  if (!text.empty()) text.erase(0, 1);
  return text;
}

std::string to_save_text(const std::vector<TableText>& tables, Family family) {
  std::string out;
  for (const TableText& table : tables) {
    out.append("*").append(name_of(table.table)).append("\n");
    const auto chains = in_print_order(table);
    for (const TableText::Chain* chain : chains)
      out.append(":").append(chain->name).append(chain->is_builtin ? " ACCEPT [0:0]\n" : " - [0:0]\n");
    for (const TableText::Chain* chain : chains) {
      for (const Rule& rule : chain->rules) {
        out.append("-A ").append(chain->name);
        append_rule(out, rule, family);
        out.append("\n");
      }
    }
    out.append("COMMIT\n");
  }
  return out;
}

}  // namespace kubenatd::rules
