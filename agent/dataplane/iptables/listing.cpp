#include "agent/dataplane/iptables/listing.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "rules/hostport/compiler.h"
#include "rules/iptables/host_port_chains.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using rules::Table;
using rules::TableText;

/// Collects every desired chain with its rules.
class Collector final : public rules::iptables::ChainSink {
 public:
  /// Into tables that have their builtin chains already.
  Collector(const rules::iptables::CompileOptions& options, std::vector<TableText>& tables)
      : options_(options), tables_(tables) {}

  void chain(const rules::ChainRules& chain, const rules::Digest& /*digest*/) override { add(chain.id, chain.rules); }
  void shared(const rules::iptables::SharedChain& chain) override {
    if (chain.only_if_there) return;
    std::vector<rules::Rule> rules;
    rules.reserve(chain.slots.size());
    for (const auto& slot : chain.slots) rules.push_back(rule_of(chain, slot, options_));
    add(chain.id, std::move(rules));
  }
  void gone(const rules::ChainId& /*chain*/) override {}

 private:
  void add(const rules::ChainId& id, std::vector<rules::Rule> rules) {
    const auto table = std::ranges::find(tables_, id.table, &TableText::table);
    if (table == tables_.end()) return;
    table->chains.push_back({.name = std::string(id.name.view()), .is_builtin = false, .rules = std::move(rules)});
  }

  const rules::iptables::CompileOptions& options_;
  std::vector<TableText>& tables_;
};

/// Wanted without rules, too: the kubelet has it.
constexpr rules::ChainId kFirewall{Table::kFilter, rules::ChainName("KUBE-FIREWALL")};

void add_builtin(TableText& table, std::string_view name, bool host_ports) {
  TableText::Chain chain{.name = std::string(name), .is_builtin = true, .rules = {}};
  for (const auto& jump : rules::iptables::builtin_jumps())
    if (jump.table == table.table && jump.chain == name) chain.rules.push_back(jump.rule);
  if (host_ports && table.table == Table::kNat)
    for (const auto& jump : rules::hostport::entry_jumps())
      if (jump.chain == name) chain.rules.insert(jump.first ? chain.rules.begin() : chain.rules.end(), jump.rule);
  table.chains.push_back(std::move(chain));
}

}  // namespace

std::vector<TableText> list_builtin(const rules::hostport::HostPorts& host_ports) {
  TableText filter{.table = Table::kFilter, .chains = {}};
  TableText nat{.table = Table::kNat, .chains = {}};
  // Iptables lists all builtin chains of a table, whether or not the kernel has them.
  for (const std::string_view name : {"INPUT", "FORWARD", "OUTPUT"}) add_builtin(filter, name, false);
  for (const std::string_view name : {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"})
    add_builtin(nat, name, !host_ports.empty());
  std::vector<TableText> tables;
  tables.push_back(std::move(filter));
  tables.push_back(std::move(nat));
  return tables;
}

std::vector<TableText> list_desired(const rules::iptables::DesiredTables& service_ports,
                                    const rules::hostport::HostPorts& host_ports) {
  std::vector<TableText> tables = list_builtin(host_ports);
  Collector collector(service_ports.options(), tables);
  service_ports.replay_all(collector);
  replay_host_ports(host_ports, collector);

  std::vector<TableText::Chain>& filter = tables.front().chains;
  if (std::ranges::find(filter, kFirewall.name.view(), &TableText::Chain::name) == filter.end())
    filter.push_back({.name = std::string(kFirewall.name.view()), .is_builtin = false, .rules = {}});
  return tables;
}

std::optional<TableText::Chain> list_chain(const rules::iptables::DesiredChains& desired, const rules::ChainId& id) {
  std::vector<TableText> tables;
  tables.push_back({.table = id.table, .chains = {}});
  Collector collector(desired.service_ports.options(), tables);
  desired.replay({id}, collector);
  std::vector<TableText::Chain>& found = tables.front().chains;
  if (!found.empty()) return std::move(found.front());
  if (id != kFirewall) return std::nullopt;
  return TableText::Chain{.name = std::string(id.name.view()), .is_builtin = false, .rules = {}};
}

}  // namespace kubenatd::agent::dataplane::iptables
