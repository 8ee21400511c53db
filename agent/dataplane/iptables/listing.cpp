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
  explicit Collector(const rules::iptables::CompileOptions& options) : options_(options) {}

  void chain(const rules::ChainRules& chain, const rules::Digest& /*digest*/) override { add(chain.id, chain.rules); }
  void shared(const rules::iptables::SharedChain& chain) override {
    if (chain.only_if_there) return;
    std::vector<rules::Rule> rules;
    rules.reserve(chain.slots.size());
    for (const auto& slot : chain.slots) rules.push_back(rule_of(chain, slot, options_));
    add(chain.id, std::move(rules));
  }
  void gone(const rules::ChainId& /*chain*/) override {}

  [[nodiscard]] TableText& table(Table table) { return table == Table::kFilter ? filter_ : nat_; }

 private:
  void add(const rules::ChainId& id, std::vector<rules::Rule> rules) {
    table(id.table).chains.push_back(
        {.name = std::string(id.name.view()), .is_builtin = false, .rules = std::move(rules)});
  }

  const rules::iptables::CompileOptions& options_;
  TableText filter_{.table = Table::kFilter, .chains = {}};
  TableText nat_{.table = Table::kNat, .chains = {}};
};

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

std::vector<TableText> list_desired(const rules::iptables::DesiredTables& service_ports,
                                    const rules::hostport::HostPorts& host_ports) {
  Collector collector(service_ports.options());
  // Iptables lists all builtin chains of a table, whether or not the kernel has them.
  for (const std::string_view name : {"INPUT", "FORWARD", "OUTPUT"})
    add_builtin(collector.table(Table::kFilter), name, false);
  for (const std::string_view name : {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"})
    add_builtin(collector.table(Table::kNat), name, !host_ports.empty());
  service_ports.replay_all(collector);
  replay_host_ports(host_ports, collector);

  TableText& filter = collector.table(Table::kFilter);
  const auto is_firewall = [](const TableText::Chain& chain) { return chain.name == "KUBE-FIREWALL"; };
  if (std::ranges::none_of(filter.chains, is_firewall))
    filter.chains.push_back({.name = "KUBE-FIREWALL", .is_builtin = false, .rules = {}});
  std::vector<TableText> tables;
  tables.push_back(std::move(filter));
  tables.push_back(std::move(collector.table(Table::kNat)));
  return tables;
}

}  // namespace kubenatd::agent::dataplane::iptables
