#include "agent/explain/owner.h"

#include <fmt/format.h>

#include <variant>

#include "agent/dataplane/left_behind.h"
#include "rules/walk/nft/rule_print.h"

namespace kubenatd::agent::explain {

using rules::walk::Hop;
using rules::walk::TableFamily;
using rules::walk::ToVerdict;
using rules::walk::Verdict;
using rules::walk::WalkRule;
using rules::walk::WalkTable;

bool is_of_iptables(const WalkTable& table) {
  return (table.family == TableFamily::kIp || table.family == TableFamily::kIp6) &&
         rules::walk::is_iptables_table(table.name);
}

bool is_service_chain(std::string_view chain) {
  return chain.starts_with("KUBE-") || chain.starts_with("CNI-HOSTPORT-") || chain.starts_with("CNI-DN-");
}

bool is_service_table(const WalkTable& table) {
  // The portmap plugin's from release 1.5 of the CNI plugins on, when it is told to use nftables.
  return table.name == "kubenatd" || table.name == "kubenatd-trace" || table.name == dataplane::kKubeProxyTable ||
         table.name == "cni_hostport";
}

std::string_view jump_of(const WalkRule& rule) {
  for (const auto& statement : rule.statements)
    if (const auto* to = std::get_if<ToVerdict>(&statement))
      if (to->verdict == Verdict::kJump || to->verdict == Verdict::kGoto) return to->chain;
  return {};
}

bool is_foreign(const Hop& hop) {
  if (hop.table == nullptr || hop.chain == nullptr) return false;
  if (!is_of_iptables(*hop.table)) return !is_service_table(*hop.table);
  return !is_service_chain(hop.chain->name) && (hop.rule == nullptr || !is_service_chain(jump_of(*hop.rule)));
}

std::string label_of(const WalkTable& table) {
  std::string label = table.name;
  if (table.family != TableFamily::kIp && table.family != TableFamily::kIp6)
    label = std::string(name_of(table.family)) + " " + label;
  return table.legacy ? label + " (legacy)" : label;
}

std::string text_of(const WalkRule& rule, const WalkTable& table) {
  return rule.text.empty() ? rules::walk::nft::to_text(rule.statements, table) : rule.text;
}

std::string describe(const Hop& hop) {
  if (hop.table == nullptr || hop.chain == nullptr) return "the node itself";
  const std::string where = fmt::format("{} {}", label_of(*hop.table), hop.chain->name);
  if (hop.chain->unread) return where + ": its rules were not read";
  if (hop.rule == nullptr && hop.fit == rules::walk::Fit::kUnknown)
    return where + ": whether it sees the packet, its devices decide";
  return hop.rule == nullptr ? where + ": policy DROP" : fmt::format("{}: {}", where, text_of(*hop.rule, *hop.table));
}

}  // namespace kubenatd::agent::explain
