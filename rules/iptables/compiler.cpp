#include "rules/iptables/compiler.h"

#include <algorithm>
#include <array>

#include "rules/iptables/compiler_plan.h"

namespace kubenatd::rules::iptables {
namespace {

constexpr std::size_t kMaximalComment = 255;

/// A rule for any address of this node: NodePorts and health check ports.
Rule port_rule(std::string text, Protocol protocol, std::uint16_t port, Target target) {
  Rule rule;
  rule.protocol = protocol;
  rule.matches.reserve(2);
  rule.matches.emplace_back(comment(std::move(text)));
  rule.matches.emplace_back(PortMatch{protocol, port});
  rule.target = std::move(target);
  return rule;
}

/// Writes the rules of one service port into the shared chains, in kube-proxy's order.
class DispatchWriter {
 public:
  DispatchWriter(const PortPlan& plan, std::vector<DispatchRule>& out) : plan_(plan), view_(plan.view), out_(out) {
    // Each address has at most two rules, the NodePort three; cluster IP and health check port one.
    out_.reserve(2 * (view_.external_ips.size() + 2 * view_.load_balancer_ips.size()) + 5);
  }

  void write() {
    if (has_cluster_ip(view_)) cluster_ip();
    external_ips();
    load_balancer_ips();
    if (view_.node_port != 0) node_port();
    if (view_.health_check_node_port != 0)
      put(DispatchChain::kFilterNodePorts, port_rule(concat(view_.name, " health check node port"), Protocol::kTcp,
                                                     view_.health_check_node_port, Verdict::kAccept));
  }

 private:
  void put(DispatchChain chain, Rule&& rule) { out_.push_back({chain, std::move(rule)}); }

  void to_chain(const Address& address, std::string_view kind, const ChainName& chain) {
    put(DispatchChain::kNatServices,
        service_rule(concat(view_.name, kind), view_.protocol, address, view_.port, jump_to(chain)));
  }

  // What happens to traffic that no endpoint may take: refused when there are none at all, dropped when there are some
  // on other nodes (a load balancer then tries another node).
  Target refusal() const {
    if (view_.has_endpoints) return Verdict::kDrop;
    return RejectTarget{};
  }
  std::string refusal_comment() const {
    return concat(view_.name, view_.has_endpoints ? " has no local endpoints" : " has no endpoints");
  }
  void refuse(DispatchChain chain, const Address& address) {
    put(chain, service_rule(refusal_comment(), view_.protocol, address, view_.port, refusal()));
  }

  void cluster_ip() {
    if (plan_.has_internal)
      to_chain(view_.cluster_ip, " cluster IP", plan_.internal_chain());
    else
      refuse(DispatchChain::kFilterServices, view_.cluster_ip);
  }

  void external_ips() {
    for (const Address& address : view_.external_ips) {
      if (plan_.external_wanted) to_chain(address, " external IP", plan_.names.external);
      if (!plan_.has_external) refuse(DispatchChain::kFilterExternalServices, address);
    }
  }

  void load_balancer_ips() {
    for (const Address& address : view_.load_balancer_ips) {
      if (plan_.external_wanted)
        to_chain(address, " loadbalancer IP", plan_.firewall_wanted ? plan_.names.firewall : plan_.names.external);
      if (plan_.firewall_wanted)
        put(DispatchChain::kFilterProxyFirewall,
            service_rule(concat(view_.name, " traffic not accepted by ", plan_.names.firewall), view_.protocol, address,
                         view_.port, Verdict::kDrop));
    }
    if (plan_.has_external) return;
    for (const Address& address : view_.load_balancer_ips) refuse(DispatchChain::kFilterExternalServices, address);
  }

  void node_port() {
    if (plan_.external_wanted) {
      const CompileOptions& options = plan_.options;
      if (options.node.family == Family::kIpv4 && options.node.localhost_node_ports && options.count_localhost) {
        Rule counted = port_rule(view_.name, view_.protocol, view_.node_port, jump_to(plan_.names.external));
        counted.destination = match_of(kLoopbackIpv4);
        counted.matches.emplace_back(NfacctMatch{kNfacctLocalhost});
        put(DispatchChain::kNatNodePorts, std::move(counted));
      }
      put(DispatchChain::kNatNodePorts,
          port_rule(view_.name, view_.protocol, view_.node_port, jump_to(plan_.names.external)));
    }
    if (plan_.has_external) return;
    Rule rule;
    rule.protocol = view_.protocol;
    rule.matches.reserve(3);
    rule.matches.emplace_back(comment(refusal_comment()));
    rule.matches.emplace_back(AddrTypeMatch{.source_local = false, .destination_local = true});
    rule.matches.emplace_back(PortMatch{view_.protocol, view_.node_port});
    rule.target = refusal();
    put(DispatchChain::kFilterExternalServices, std::move(rule));
  }

  const PortPlan& plan_;
  const ServicePortView& view_;
  std::vector<DispatchRule>& out_;
};

bool any(const std::vector<Endpoint>& endpoints, auto chosen) {
  return std::ranges::any_of(endpoints, chosen);
}

}  // namespace

PortPlan::PortPlan(const ServicePortView& port, const CompileOptions& compile_options)
    : view(port), options(compile_options), names(port) {
  const bool accessible = externally_accessible(view);
  const bool any_cluster = any(view.endpoints, [](const Endpoint& endpoint) { return endpoint.for_cluster; });
  const bool any_local = any(view.endpoints, [](const Endpoint& endpoint) { return endpoint.for_local; });
  // External policy Local needs the cluster chain as well: traffic from pods and from the node itself takes it.
  const bool uses_cluster = !view.internal_policy_local || accessible;
  const bool uses_local = view.internal_policy_local || (view.external_policy_local && accessible);

  cluster_wanted = any_cluster && uses_cluster;
  local_wanted = any_local && uses_local;
  external_wanted = view.has_endpoints && accessible;
  firewall_wanted = view.has_endpoints && !view.load_balancer_ips.empty() && !view.source_ranges.empty();
  has_internal =
      view.has_endpoints && has_cluster_ip(view) && (view.internal_policy_local ? local_wanted : cluster_wanted);
  has_external = view.has_endpoints && (view.external_policy_local ? local_wanted : cluster_wanted);
}

CommentMatch comment(std::string text) {
  if (text.size() > kMaximalComment) text.resize(kMaximalComment);
  return CommentMatch{std::move(text)};
}

std::optional<AddressMatch> match_of(const Prefix& prefix) {
  if (prefix.length == 0) return std::nullopt;
  return AddressMatch{prefix, false};
}

Rule service_rule(std::string text, Protocol protocol, const Address& destination, std::uint16_t port, Target target) {
  Rule rule = port_rule(std::move(text), protocol, port, std::move(target));
  rule.destination = match_of(Prefix::host(destination));
  return rule;
}

bool add_local_condition(Rule& rule, const LocalDetector& detector, bool negate) {
  if (const auto* by_prefix = std::get_if<DetectByPrefix>(&detector)) {
    rule.source = match_of(by_prefix->prefix);
    if (rule.source) rule.source->negate = negate;
    return rule.source || !negate;  // nobody is outside a block of all addresses
  }
  const auto& by_interface = std::get<DetectByInterface>(detector);
  rule.in_interface = InterfaceMatch{by_interface.name, by_interface.is_prefix, negate};
  return true;
}

const ChainId& chain_of(DispatchChain chain) {
  static const std::array<ChainId, kDispatchChains> ids{{
      {Table::kNat, ChainName("KUBE-SERVICES")},
      {Table::kNat, ChainName("KUBE-NODEPORTS")},
      {Table::kFilter, ChainName("KUBE-SERVICES")},
      {Table::kFilter, ChainName("KUBE-EXTERNAL-SERVICES")},
      {Table::kFilter, ChainName("KUBE-NODEPORTS")},
      {Table::kFilter, ChainName("KUBE-PROXY-FIREWALL")},
  }};
  return ids[static_cast<std::size_t>(chain)];
}

std::vector<DispatchRule> compile_dispatch(const ServicePortView& view, const CompileOptions& options) {
  const PortPlan plan(view, options);
  std::vector<DispatchRule> dispatch;
  DispatchWriter(plan, dispatch).write();
  return dispatch;
}

CompiledServicePort compile(const ServicePortView& view, const CompileOptions& options) {
  const PortPlan plan(view, options);
  CompiledServicePort compiled;
  DispatchWriter(plan, compiled.dispatch).write();
  append_chains(plan, compiled.chains);
  return compiled;
}

bool is_service_chain(Table table, std::string_view name) {
  if (table != Table::kNat) return false;
  constexpr std::string_view kPrefixes[] = {"KUBE-SVC-", "KUBE-SVL-", "KUBE-SEP-", "KUBE-FW-", "KUBE-EXT-"};
  return std::ranges::any_of(kPrefixes, [name](std::string_view prefix) { return name.starts_with(prefix); });
}

}  // namespace kubenatd::rules::iptables
