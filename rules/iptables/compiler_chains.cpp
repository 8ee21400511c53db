#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "rules/iptables/compiler_plan.h"

namespace kubenatd::rules::iptables {
namespace {

/// What iptables makes of kube-proxy's text for "one of `count`": ten decimals, then units of 2^-31.
std::uint32_t compute_probability(std::size_t count) {
  std::array<char, 32> text;
  const auto end = fmt::format_to_n(text.data(), text.size(), "{:.10f}", 1.0 / static_cast<double>(count)).out;
  double rounded = 0;
  std::from_chars(text.data(), end, rounded);
  return static_cast<std::uint32_t>(std::lround(rounded * static_cast<double>(1U << 31)));
}

std::uint32_t probability_of(std::size_t count) {
  static const auto small = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::size_t i = 1; i < table.size(); ++i) table[i] = compute_probability(i);
    return table;
  }();
  return count < small.size() ? small[count] : compute_probability(count);
}

/// An endpoint with its texts, made once and used by up to five rules.
struct EndpointPart {
  const Endpoint* endpoint;
  ChainName chain;
  std::array<char, kHostPortCapacity> buffer;
  std::uint8_t size;

  [[nodiscard]] std::string_view text() const { return {buffer.data(), size}; }
};

class ChainWriter {
 public:
  ChainWriter(const PortPlan& plan, std::vector<ChainRules>& out) : plan_(plan), view_(plan.view), out_(out) {}

  void write() {
    find_endpoints();
    out_.reserve(parts_.size() + 4);
    for (const EndpointPart& part : parts_) endpoint_chain_of(part);
    if (plan_.cluster_wanted)
      balance(plan_.names.cluster, !view_.internal_policy_local, [](const Endpoint& e) { return e.for_cluster; });
    if (plan_.local_wanted)
      balance(plan_.names.local, view_.internal_policy_local, [](const Endpoint& e) { return e.for_local; });
    if (plan_.external_wanted) external();
    if (plan_.firewall_wanted) firewall();
  }

 private:
  std::vector<Rule>& begin(const ChainName& name, std::size_t rules) {
    out_.push_back({{Table::kNat, name}, {}});
    out_.back().rules.reserve(rules);
    return out_.back().rules;
  }

  void find_endpoints() {
    parts_.reserve(view_.endpoints.size());
    for (const Endpoint& endpoint : view_.endpoints) {
      const bool wanted = endpoint.reachable || (plan_.cluster_wanted && endpoint.for_cluster) ||
                          (plan_.local_wanted && endpoint.for_local);
      if (!wanted) continue;
      EndpointPart& part = parts_.emplace_back();
      part.endpoint = &endpoint;
      part.size = static_cast<std::uint8_t>(join_host_port(endpoint.address, endpoint.port, part.buffer).size());
      part.chain = endpoint_chain(view_.name, view_.protocol, part.text());
    }
  }

  /// KUBE-SEP-: masquerade a pod that reaches itself, remember the client, translate.
  void endpoint_chain_of(const EndpointPart& part) {
    std::vector<Rule>& rules = begin(part.chain, 2);
    const bool comments = plan_.options.endpoint_comments;

    Rule& hairpin = rules.emplace_back();
    hairpin.source = AddressMatch{Prefix::host(part.endpoint->address), false};
    if (comments) hairpin.matches.emplace_back(comment(view_.name));
    hairpin.target = jump_to(kMarkMasq);

    Rule& translate = rules.emplace_back();
    translate.protocol = view_.protocol;
    translate.matches.reserve(1 + (comments ? 1 : 0) + (view_.affinity_seconds ? 1 : 0));
    if (comments) translate.matches.emplace_back(comment(view_.name));
    if (view_.affinity_seconds)
      translate.matches.emplace_back(RecentMatch{std::string(part.chain.view()), RecentMatch::Action::kSet, 0, false});
    translate.matches.emplace_back(PortMatch{view_.protocol, std::nullopt});
    translate.target = DnatTarget{part.endpoint->address, part.endpoint->port};
  }

  /// KUBE-SVC- and KUBE-SVL-: choose one of the endpoints that `chosen` says yes to.
  template <class Chosen>
  void balance(const ChainName& chain, bool is_internal, Chosen chosen) {
    std::size_t left = 0;
    for (const EndpointPart& part : parts_) left += chosen(*part.endpoint) ? 1 : 0;
    std::vector<Rule>& rules = begin(chain, left * (view_.affinity_seconds ? 2 : 1) + 1);
    if (is_internal && plan_.has_internal) masquerade_cluster_ip(rules);
    if (view_.affinity_seconds) {
      for (const EndpointPart& part : parts_) {
        if (!chosen(*part.endpoint)) continue;
        Rule& rule = endpoint_rule(rules, part, 2);
        rule.matches.emplace_back(
            RecentMatch{std::string(part.chain.view()), RecentMatch::Action::kCheck, *view_.affinity_seconds, true});
      }
    }
    for (const EndpointPart& part : parts_) {
      if (!chosen(*part.endpoint)) continue;
      Rule& rule = endpoint_rule(rules, part, left > 1 ? 2 : 1);
      if (left > 1) rule.matches.emplace_back(StatisticMatch{probability_of(left)});
      --left;
    }
  }

  Rule& endpoint_rule(std::vector<Rule>& rules, const EndpointPart& part, std::size_t matches) {
    Rule& rule = rules.emplace_back();
    rule.target = jump_to(part.chain);
    rule.matches.reserve(matches);
    if (plan_.options.endpoint_comments) rule.matches.emplace_back(comment(concat(view_.name, " -> ", part.text())));
    return rule;
  }

  void masquerade_cluster_ip(std::vector<Rule>& rules) {
    const CompileOptions& options = plan_.options;
    if (!options.node.masquerade_all && !options.node.local_detector) return;
    Rule rule = service_rule(concat(view_.name, " cluster IP"), view_.protocol, view_.cluster_ip, view_.port,
                             jump_to(kMarkMasq));
    if (!options.node.masquerade_all && !add_local_condition(rule, *options.node.local_detector, true)) return;
    rules.push_back(std::move(rule));
  }

  Rule commented(std::string text, std::string_view chain) const {
    Rule rule;
    rule.matches.emplace_back(comment(std::move(text)));
    rule.target = jump_to(chain);
    return rule;
  }

  /// "WHAT traffic for S external destinations"
  Rule external_rule(std::string_view what, std::string_view chain) const {
    return commented(concat(what, " traffic for ", view_.name, " external destinations"), chain);
  }

  /// KUBE-EXT-: masquerade what comes from outside, or keep its source under policy Local.
  void external() {
    std::vector<Rule>& rules = begin(plan_.names.external, 4);
    if (!view_.external_policy_local) {
      rules.push_back(external_rule("masquerade", kMarkMasq));
    } else {
      if (plan_.cluster_wanted && plan_.options.node.local_detector) {
        Rule rule = external_rule("pod", plan_.names.cluster);
        if (add_local_condition(rule, *plan_.options.node.local_detector, false)) rules.push_back(std::move(rule));
      }
      const AddrTypeMatch from_node{.source_local = true, .destination_local = false};
      rules.push_back(external_rule("masquerade LOCAL", kMarkMasq));
      rules.back().matches.emplace_back(from_node);
      if (plan_.cluster_wanted) {
        rules.push_back(external_rule("route LOCAL", plan_.names.cluster));
        rules.back().matches.emplace_back(from_node);
      }
    }
    if (!plan_.has_external) return;
    rules.emplace_back().target = jump_to(plan_.external_policy_chain());
  }

  /// KUBE-FW-: only allowed sources go on to KUBE-EXT-; nat cannot drop, so the others are dropped in filter.
  void firewall() {
    std::vector<Rule>& rules =
        begin(plan_.names.firewall, view_.source_ranges.size() + view_.load_balancer_ips.size() + 1);
    const auto allow = [&](const Prefix& source) {
      Rule rule = commented(concat(view_.name, " loadbalancer IP"), plan_.names.external);
      rule.source = match_of(source);
      rules.push_back(std::move(rule));
    };
    bool node_allowed = false;
    for (const Prefix& range : view_.source_ranges) {
      allow(range);
      node_allowed |= plan_.options.node.node_address && range.contains(*plan_.options.node.node_address);
    }
    // A packet from this node to the address may carry that address as its source.
    if (node_allowed)
      for (const Address& address : view_.load_balancer_ips) allow(Prefix::host(address));
    rules.emplace_back().matches.emplace_back(
        comment(concat("other traffic to ", view_.name, " will be dropped by KUBE-PROXY-FIREWALL")));
  }

  const PortPlan& plan_;
  const ServicePortView& view_;
  std::vector<ChainRules>& out_;
  std::vector<EndpointPart> parts_;
};

}  // namespace

void append_chains(const PortPlan& plan, std::vector<ChainRules>& chains) {
  ChainWriter(plan, chains).write();
}

}  // namespace kubenatd::rules::iptables
