#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "agent/base/printable.h"
#include "agent/dataplane/left_behind.h"
#include "agent/explain/diagnose.h"
#include "agent/explain/owner.h"

namespace kubenatd::agent::explain {
namespace {

using rules::walk::Cause;
using rules::walk::End;
using rules::walk::NotLookedAt;
using rules::walk::Ruleset;
using rules::walk::WalkTable;
using Weight = Finding::Weight;

constexpr std::size_t kShown = 200;

struct Words {
  const char* code;
  const char* text;
};

std::optional<Words> words_of(Cause cause, rules::Family family) {
  switch (cause) {
    case Cause::kRules: return std::nullopt;
    case Cause::kForwardingOff:
      return Words{"forwarding-off", family == rules::Family::kIpv4
                                         ? "the node forwards nothing: net.ipv4.ip_forward is 0"
                                         : "the node forwards nothing: net.ipv6.conf.all.forwarding is 0"};
    case Cause::kNoRoute: return Words{"no-route", "the node has no route to the destination"};
    case Cause::kUnreachableRoute: return Words{"no-route", "the route to the destination is of type unreachable"};
    case Cause::kProhibitRoute: return Words{"no-route", "the route to the destination is of type prohibit"};
    case Cause::kBlackholeRoute: return Words{"no-route", "the route to the destination is of type blackhole"};
    case Cause::kReversePath:
      return Words{"reverse-path", "rp_filter drops the packet: the way back to its source is another one"};
    case Cause::kMartian:
      return Words{"martian", "the kernel drops the packet: such an address may not come in by this interface"};
    case Cause::kRouteUnknown: return Words{"route-unknown", "where the packet is routed to could not be found out"};
  }
  return std::nullopt;
}

void add_causes(const Ways& ways, Answer& answer) {
  std::map<std::string, Finding> found;
  const auto tell = [&](const char* code, std::string text, std::string where, bool certain) {
    Finding& finding = found.try_emplace(code, Finding{Weight::kRemark, code, std::move(text), {}}).first->second;
    if (certain) finding.weight = Weight::kProblem;
    if (std::ranges::find(finding.details, where) == finding.details.end()) finding.details.push_back(std::move(where));
  };
  for (const Way& way : ways.ways) {
    const auto& outcome = *way.outcome;
    const auto& packet = outcome.state.packet;
    const auto words = words_of(outcome.cause, packet.destination.family);
    const bool certain = way.is_sure && outcome.cause != Cause::kRouteUnknown;
    if (words)
      tell(words->code, words->text,
           fmt::format("{} to {}", packet.source.to_string(),
                       rules::join_host_port(packet.destination, packet.destination_port)),
           certain);
    if (outcome.end == End::kForwarded && outcome.route.neighbour_failed)
      tell("neighbour-failed", "the next hop was looked for and did not answer",
           fmt::format("{} on {}", outcome.route.gateway.value_or(packet.destination).to_string(),
                       base::one_line(outcome.route.interface, kShown)),
           certain);
  }
  for (auto& [code, finding] : found) answer.findings.push_back(std::move(finding));
}

bool has_chain_like(const Ruleset& rules, std::string_view table, std::string_view start) {
  return std::ranges::any_of(rules.tables(), [&](const WalkTable& one) {
    return is_of_iptables(one) && one.name == table && one.has_chain_like(start);
  });
}

bool has_table(const Ruleset& rules, std::string_view name) {
  return std::ranges::any_of(rules.tables(), [&](const WalkTable& one) {
    return one.name == name && !is_of_iptables(one) && one.has_rules();
  });
}

bool has_ipvs(const Ruleset& rules) {
  return has_chain_like(rules, "filter", "KUBE-IPVS-") || has_chain_like(rules, "nat", "KUBE-LOAD-BALANCER") ||
         has_chain_like(rules, "nat", "KUBE-NODE-PORT");
}

/// Whoever translates for Services: more than one is one too many.
void add_left_behind(const ExplainContext& context, Answer& answer) {
  const Ruleset& rules = context.rules;
  std::vector<std::string> writers;
  if (has_chain_like(rules, "nat", "KUBE-SVC-") || has_chain_like(rules, "nat", "KUBE-SEP-"))
    writers.emplace_back("chains KUBE-SVC-... of iptables: kube-proxy, or kubenatd in iptables mode");
  if (has_table(rules, "kubenatd")) writers.emplace_back("table kubenatd of nft: kubenatd in nftables mode");
  if (has_table(rules, dataplane::kKubeProxyTable))
    writers.emplace_back("table kube-proxy of nft: kube-proxy in nftables mode");
  if (has_ipvs(rules)) writers.emplace_back("chains KUBE-IPVS-..., KUBE-LOAD-BALANCER: kube-proxy in ipvs mode");
  // A table that came to stand alone is left behind, too, when something else is wanted.
  const bool replaced = context.desired && writers.size() == 1 &&
                        !has_table(*context.desired, dataplane::kKubeProxyTable) &&
                        (has_table(rules, dataplane::kKubeProxyTable) || has_ipvs(rules));
  if (writers.size() < 2 && !replaced) return;
  std::string text = replaced ? "rules for Services that kubenatd does not write"
                              : "more than one program has rules for Services here; some may be left behind";
  if (has_table(rules, dataplane::kKubeProxyTable) && (context.desired || writers.size() > 1))
    text +=
        "; `kubenatd run` removes table kube-proxy unless that kube-proxy runs, by hand it is `nft delete table "
        "ip kube-proxy` (and ip6)";
  add_finding(answer, Weight::kRemark, "left-behind", std::move(text), std::move(writers));
}

void add_not_looked_at(const ExplainContext& context, Answer& answer) {
  std::vector<NotLookedAt> all = context.rules.not_looked_at;
  const auto add = [&](const NotLookedAt& one) {
    if (std::ranges::find(all, one) == all.end()) all.push_back(one);
  };
  for (const NotLookedAt& one : context.not_looked_at) add(one);
  const bool told = std::ranges::any_of(all, [](const NotLookedAt& one) { return one.what.starts_with("ipvs"); });
  if (context.source == "saved" && has_ipvs(context.rules) && !told)
    add({.what = "ipvs", .why = "the rules are of a node in ipvs mode, whose virtual servers are in no text of rules"});
  if (answer.rules_changed)
    add({.what = "what others changed", .why = "the rules were changed again and again while they were read"});
  for (const NotLookedAt& one : all) {
    answer.is_incomplete = true;
    add_finding(answer, Weight::kRemark, "not-looked-at",
                fmt::format("{} could decide, but could not be looked at: {}", base::one_line(one.what, kShown),
                            base::one_line(one.why, kShown)));
  }
}

struct HostPort {
  rules::Address address;
  std::uint16_t port = 0;
};

std::optional<HostPort> read_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = rules::Address::parse(host);
  std::uint32_t port = 0;
  constexpr std::uint32_t kHighest = 65535;
  for (const char c : text.substr(colon + 1)) {
    if (c < '0' || c > '9' || port > kHighest) return std::nullopt;
    port = port * 10 + static_cast<std::uint32_t>(c - '0');
  }
  if (!address || port > kHighest) return std::nullopt;
  return HostPort{*address, static_cast<std::uint16_t>(port)};
}

bool leads_to(const PathEnd& end, const HostPort& server) {
  if (end.end != End::kForwarded && end.end != End::kLocal) return false;
  const auto last_address = end.last_destination.value_or(end.destination);
  const auto last_port = end.last_port.value_or(end.port);
  const bool any_local = end.end == End::kLocal && end.destination_changed;  // REDIRECT: one of the node's addresses
  return (any_local || (end.destination <= server.address && server.address <= last_address)) &&
         end.port <= server.port && server.port <= last_port;
}

/// Connections that are known, and went elsewhere than any way that was told.
void check_connections(const ExplainContext& context, const Identity& identity, Answer& answer) {
  std::vector<std::string> elsewhere;
  std::size_t ordinary = 0;
  for (const KnownFlow& flow : answer.flows) {
    const auto server = read_host_port(flow.served_by);
    if (!server || std::ranges::any_of(answer.ends, [&](const PathEnd& end) { return leads_to(end, *server); }))
      continue;
    elsewhere.push_back(fmt::format("{} by {}", flow.original, flow.served_by));
    // An endpoint that gets nothing new keeps what it has, at the target port that it had then.
    const bool was_endpoint =
        identity.view != nullptr && std::ranges::any_of(identity.view->endpoints, [&](const rules::Endpoint& one) {
          return one.address == server->address;
        });
    // So does one that is gone: nobody has its address now.
    const bool is_gone = !context.inventory.empty() && context.inventory.pod_with(server->address) == nullptr &&
                         !context.surroundings.is_local(server->address);
    ordinary += was_endpoint || is_gone ? 1 : 0;
  }
  if (elsewhere.empty()) return;
  const bool none_fits = elsewhere.size() == answer.flows.size();
  answer.is_contradicted = none_fits && ordinary < elsewhere.size();
  add_finding(answer, Weight::kRemark, "connections-differ",
              none_fits
                  ? "the known connections all go elsewhere than a new one would by these rules: they may be older "
                    "than the rules, or something decides that was not seen"
                  : "some known connections go elsewhere than a new one would: they may be older than the rules",
              std::move(elsewhere));
}

}  // namespace

void diagnose_node(const ExplainContext& context, const Identity& identity, const Ways& ways, Answer& answer) {
  add_causes(ways, answer);
  if (context.source != "desired") add_left_behind(context, answer);
  add_not_looked_at(context, answer);
  check_connections(context, identity, answer);
}

}  // namespace kubenatd::agent::explain
