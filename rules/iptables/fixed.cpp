#include <algorithm>

#include "rules/iptables/compiler_plan.h"

namespace kubenatd::rules::iptables {
namespace {

Rule rule_of(std::vector<Match> matches, Target target) {
  Rule rule;
  rule.matches = std::move(matches);
  rule.target = std::move(target);
  return rule;
}

ChainRules mark_masq(const CompileOptions& options) {
  const std::uint32_t mark = options.node.masquerade_mark;
  return {{Table::kNat, ChainName(kMarkMasq)}, {rule_of({}, MarkTarget{mark, mark})}};
}

ChainRules postrouting(const CompileOptions& options) {
  const std::uint32_t mark = options.node.masquerade_mark;
  return {{Table::kNat, ChainName("KUBE-POSTROUTING")},
          {rule_of({MarkMatch{mark, mark, true}}, Verdict::kReturn),
           // Clears the bit, so that a packet that is encapsulated later is not masqueraded a second time.
           rule_of({}, MarkTarget{mark, 0}),
           rule_of({comment("kubernetes service traffic requiring SNAT")}, MasqueradeTarget{true})}};
}

/// route_localnet opens 127.0.0.0/8 to the neighbours (CVE-2020-8558); this closes it again.
ChainRules localnet_guard() {
  Rule rule = rule_of({comment("block incoming localnet connections"),
                       ConntrackMatch{kStateRelated | kStateEstablished | kStateDnat, true}},
                      Verdict::kDrop);
  rule.source = AddressMatch{kLoopbackIpv4, true};
  rule.destination = AddressMatch{kLoopbackIpv4, false};
  return {{Table::kFilter, ChainName(kFirewallChain)}, {std::move(rule)}};
}

ChainRules forward(const CompileOptions& options) {
  const std::uint32_t mark = options.node.masquerade_mark;
  ChainRules chain{{Table::kFilter, ChainName("KUBE-FORWARD")}, {}};
  if (options.drop_invalid) {
    Rule& rule = chain.rules.emplace_back(rule_of({ConntrackMatch{kStateInvalid, false}}, Verdict::kDrop));
    if (options.count_invalid) rule.matches.emplace_back(NfacctMatch{kNfacctInvalid});
  }
  chain.rules.push_back(
      rule_of({comment("kubernetes forwarding rules"), MarkMatch{mark, mark, false}}, Verdict::kAccept));
  chain.rules.push_back(rule_of(
      {comment("kubernetes forwarding conntrack rule"), ConntrackMatch{kStateRelated | kStateEstablished, false}},
      Verdict::kAccept));
  return chain;
}

std::vector<BuiltinJump> make_builtin_jumps() {
  constexpr std::string_view kFirewall = "kubernetes load balancer firewall";
  constexpr std::string_view kExternal = "kubernetes externally-visible service portals";
  constexpr std::string_view kPortals = "kubernetes service portals";
  constexpr std::string_view kHealth = "kubernetes health check service ports";
  constexpr std::string_view kForwarding = "kubernetes forwarding rules";
  constexpr std::string_view kPostrouting = "kubernetes postrouting rules";

  std::vector<BuiltinJump> jumps;
  const auto add = [&](Table table, std::string_view from, std::string_view to, std::string_view text, bool is_new) {
    Rule rule;
    if (is_new) rule.matches.emplace_back(ConntrackMatch{kStateNew, false});
    if (!text.empty()) rule.matches.emplace_back(comment(std::string(text)));
    rule.target = jump_to(to);
    jumps.push_back({table, from, std::move(rule), to != kFirewallChain});
  };
  add(Table::kFilter, "INPUT", kFirewallChain, "", false);
  add(Table::kFilter, "INPUT", "KUBE-PROXY-FIREWALL", kFirewall, true);
  add(Table::kFilter, "INPUT", "KUBE-NODEPORTS", kHealth, false);
  add(Table::kFilter, "INPUT", "KUBE-EXTERNAL-SERVICES", kExternal, true);
  add(Table::kFilter, "FORWARD", "KUBE-PROXY-FIREWALL", kFirewall, true);
  add(Table::kFilter, "FORWARD", "KUBE-FORWARD", kForwarding, false);
  add(Table::kFilter, "FORWARD", "KUBE-SERVICES", kPortals, true);
  add(Table::kFilter, "FORWARD", "KUBE-EXTERNAL-SERVICES", kExternal, true);
  add(Table::kFilter, "OUTPUT", kFirewallChain, "", false);
  add(Table::kFilter, "OUTPUT", "KUBE-PROXY-FIREWALL", kFirewall, true);
  add(Table::kFilter, "OUTPUT", "KUBE-SERVICES", kPortals, true);
  add(Table::kNat, "PREROUTING", "KUBE-SERVICES", kPortals, false);
  add(Table::kNat, "OUTPUT", "KUBE-SERVICES", kPortals, false);
  add(Table::kNat, "POSTROUTING", "KUBE-POSTROUTING", kPostrouting, false);
  return jumps;
}

}  // namespace

std::vector<ChainRules> compile_fixed(const CompileOptions& options) {
  std::vector<ChainRules> chains;
  chains.push_back(mark_masq(options));
  chains.push_back(postrouting(options));
  if (options.node.family == Family::kIpv4 && (options.node.localhost_node_ports || options.guard_localhost))
    chains.push_back(localnet_guard());
  chains.push_back(forward(options));
  return chains;
}

std::vector<Rule> compile_node_port_tail(const CompileOptions& options) {
  const bool ipv4 = options.node.family == Family::kIpv4;
  const bool localhost = ipv4 && options.node.localhost_node_ports;
  const auto tail_rule = [] {
    return rule_of({comment("kubernetes service nodeports; NOTE: this must be the last rule in this chain")},
                   jump_to(chain_of(DispatchChain::kNatNodePorts).name));
  };

  std::vector<Rule> rules;
  if (!options.node.node_port_addresses) {
    Rule& rule = rules.emplace_back(tail_rule());
    rule.matches.emplace_back(AddrTypeMatch{.source_local = false, .destination_local = true});
    if (!localhost) rule.destination = AddressMatch{ipv4 ? kLoopbackIpv4 : kLoopbackIpv6, true};
    return rules;
  }
  for (const Address& address : *options.node.node_port_addresses) {
    if (address.family != options.node.family || (address.is_loopback() && !localhost)) continue;
    rules.emplace_back(tail_rule()).destination = AddressMatch{Prefix::host(address), false};
  }
  return rules;
}

const std::vector<BuiltinJump>& builtin_jumps() {
  static const std::vector<BuiltinJump> jumps = make_builtin_jumps();
  return jumps;
}

const BuiltinJump* find_builtin_jump(Table table, std::string_view chain, const Rule& rule) {
  const auto* target = std::get_if<Jump>(&rule.target);
  if (target == nullptr || target->is_goto || !rule.opaque.empty()) return nullptr;
  if (rule.source || rule.destination || rule.in_interface || rule.out_interface || rule.protocol) return nullptr;
  const auto says_nothing = [](const Match& match) {
    return std::holds_alternative<CommentMatch>(match) || match == Match(ConntrackMatch{kStateNew, false});
  };
  if (!std::ranges::all_of(rule.matches, says_nothing)) return nullptr;
  const auto& all = builtin_jumps();
  const auto found = std::ranges::find_if(all, [&](const BuiltinJump& jump) {
    return jump.table == table && jump.chain == chain && jump_target(jump.rule) == target->chain;
  });
  return found == all.end() ? nullptr : &*found;
}

bool is_own_chain(Table table, std::string_view name) {
  constexpr std::string_view kNat[] = {"KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", kMarkMasq};
  constexpr std::string_view kFilter[] = {"KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS",
                                          "KUBE-PROXY-FIREWALL"};
  switch (table) {
    case Table::kNat: return is_service_chain(table, name) || std::ranges::find(kNat, name) != std::end(kNat);
    case Table::kFilter: return std::ranges::find(kFilter, name) != std::end(kFilter);
    case Table::kMangle: return false;
  }
  return false;
}

}  // namespace kubenatd::rules::iptables
