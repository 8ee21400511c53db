#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/foreign_host_ports.h"
#include "netlink/core/nf_tables.h"
#include "rules/digest.h"
#include "rules/iptables/compiler.h"
#include "rules/iptables/live.h"
#include "rules/sequence_diff.h"

namespace kubenatd::agent::dataplane::iptables {

/// What the kernel holds of our chains in one family, as digests.
///
/// Purpose: the live side of the comparison. Filled from dumps, advanced by our own commits.
/// Threading: one thread. Failure: a failed load leaves the former content.
/// Cost: load() reads both tables; reload() one chain. A digest a chain; for the chains that are changed rule by rule,
/// a handle and a digest a rule.
class LiveTables final : public rules::iptables::LiveChains {
 public:
  /// Tells whether a container chain is wanted; those that are not, and that no rule of ours leads to, are others'.
  using Wanted = std::function<bool(const rules::ChainId&)>;

  explicit LiveTables(rules::Family family, Wanted wanted = {}) : family_(family), wanted_(std::move(wanted)) {}

  /// Reads everything. With `frontends`, notes the UDP destinations that are served now.
  [[nodiscard]] rules::Status load(netlink::NfTables& kernel, std::vector<UdpFrontend>* frontends = nullptr);
  /// The same when somebody writes all the time and no dump of a whole table comes through: chain by chain, each for
  /// itself. What changes meanwhile, events tell.
  [[nodiscard]] rules::Status load_piecewise(netlink::NfTables& kernel, std::vector<UdpFrontend>* frontends = nullptr);
  /// Reads one chain of ours. A change in the meantime is told by an event, too.
  [[nodiscard]] rules::Status reload(netlink::NfTables& kernel, const rules::ChainId& chain,
                                     std::vector<UdpFrontend>* frontends = nullptr);
  /// Reads the host ports in the portmap plugin's own table of nft.
  [[nodiscard]] rules::Status reload_plain_host_ports(netlink::NfTables& kernel);
  /// Reads our jumps in one builtin chain.
  [[nodiscard]] rules::Status reload_base(netlink::NfTables& kernel, rules::Table table, std::string_view chain);

  [[nodiscard]] bool has_table(rules::Table table) const override { return tables_.contains(table); }
  [[nodiscard]] bool has_base(rules::Table table, std::string_view chain) const override;
  [[nodiscard]] const std::vector<rules::LiveRuleRef>& jumps(rules::Table table, std::string_view chain) const override;
  [[nodiscard]] bool has(const rules::ChainId& chain) const override;
  [[nodiscard]] rules::Digest digest(const rules::ChainId& chain) const override;
  [[nodiscard]] const std::vector<rules::LiveRuleRef>& rules_in(const rules::ChainId& chain) const override;

  /// The host ports that others serve.
  [[nodiscard]] const AllForeignHostPorts& foreign_host_ports() const { return host_ports_; }

  /// True for a chain that was empty, with no rule of anybody jumping to it, when everything was read last.
  [[nodiscard]] bool was_unused(const rules::ChainId& chain) const { return unused_.contains(chain); }

  /// Takes in what a committed plan has made of the tables. `handles` are the kernel's answers to the rules added with
  /// echo. Returns chains for which that is not enough: they have to be read again.
  [[nodiscard]] std::vector<rules::ChainId> advance(const rules::iptables::AfterPlan& after,
                                                    const std::vector<std::uint64_t>& handles);

  /// Every chain of ours that is there.
  void for_each(const std::function<void(const rules::ChainId&)>& visit) const;
  [[nodiscard]] std::size_t chains() const { return digests_.size() + by_rule_.size(); }

 private:
  void erase(const rules::ChainId& chain);

  using BaseKey = std::pair<rules::Table, std::string>;

  [[nodiscard]] bool is_ours(const ForeignHostPorts& seen, const rules::ChainId& container) const;

  rules::Family family_;
  Wanted wanted_;
  std::set<rules::Table> tables_;
  std::map<BaseKey, std::vector<rules::LiveRuleRef>> bases_;
  std::unordered_map<rules::ChainId, rules::Digest> digests_;
  std::map<rules::ChainId, std::vector<rules::LiveRuleRef>> by_rule_;
  std::set<rules::ChainId> unused_;
  AllForeignHostPorts host_ports_;
};

/// True for chains whose live content is followed: our own ones, KUBE-FIREWALL, and our rules in the chains that all
/// writers of host ports share. Container chains are not among them: their names do not tell whose they are.
[[nodiscard]] bool is_followed(rules::Table table, std::string_view chain);

/// True for the shared chains that are changed rule by rule.
[[nodiscard]] bool is_by_rule(const rules::ChainId& chain);

}  // namespace kubenatd::agent::dataplane::iptables
