#include "agent/dataplane/iptables/options.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using config::Config;
using rules::iptables::DispatchForm;

/// kube-proxy leaves comments out past so many endpoints (largeClusterEndpointsThreshold, v1.36).
constexpr std::size_t kLargeCluster = 1000;

DispatchForm form_of(Config::Dispatch dispatch) {
  switch (dispatch) {
    case Config::Dispatch::kLinear: return DispatchForm::kLinear;
    case Config::Dispatch::kTree: return DispatchForm::kTree;
    case Config::Dispatch::kAuto: break;
  }
  return DispatchForm::kAuto;
}

}  // namespace

rules::iptables::CompileOptions compile_options(const NodeFacts& facts, rules::Family family) {
  rules::iptables::CompileOptions options;
  options.node = config::node_options(facts.config, facts.environment, facts.node, family);
  options.drop_invalid = !facts.environment.conntrack_be_liberal;
  options.count_invalid = facts.environment.has_nfacct;
  options.count_localhost = facts.environment.has_nfacct;
  options.endpoint_comments = facts.known_endpoints <= kLargeCluster;
  options.form = form_of(facts.config.dispatch);
  options.tree_threshold = facts.config.tree_threshold;
  return options;
}

netlink::iptables::RuleForm rule_form(const NodeFacts& facts) {
  using netlink::iptables::RuleForm;
  return facts.config.rule_form == Config::RuleForm::kNative ? RuleForm::kNative : RuleForm::kPortable;
}

}  // namespace kubenatd::agent::dataplane::iptables
