#include "agent/dataplane/iptables/wanted_chains.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/dataplane/iptables/listing.h"
#include "rules/iptables/desired_chains.h"
#include "rules/walk/xt/matches.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using rules::Table;
using rules::iptables::DesiredChains;
using rules::walk::Ruleset;
using rules::walk::WalkChain;
using rules::walk::WalkTable;

/// Compiles, and keeps no rule.
class NoSink final : public rules::iptables::ChainSink {
 public:
  void chain(const rules::ChainRules& /*chain*/, const rules::Digest& /*digest*/) override {}
  void shared(const rules::iptables::SharedChain& /*chain*/) override {}
  void gone(const rules::ChainId& /*chain*/) override {}
};

/// Chains of one table, compiled one by one.
class WantedChains final : public rules::walk::ChainsOnDemand {
 public:
  WantedChains(std::shared_ptr<const DesiredChains> desired, rules::Family family, Table table)
      : desired_(std::move(desired)), family_(family), table_(table) {}

  [[nodiscard]] bool has_like(std::string_view start) const override {
    bool found = false;
    desired_->for_each_wanted([&](const rules::iptables::WantedChain& chain) {
      found = found || (chain.id.table == table_ && chain.id.name.view().starts_with(start));
    });
    return found;
  }

 private:
  [[nodiscard]] std::optional<WalkChain> read(const WalkTable& /*table*/, std::string_view name) override {
    const auto own_name = rules::ChainName::from(name);
    if (!own_name) return std::nullopt;
    const auto listed = list_chain(*desired_, {table_, *own_name});
    if (!listed) return std::nullopt;
    return rules::walk::xt::walk_chain(*listed, table_, family_);
  }

  std::shared_ptr<const DesiredChains> desired_;
  rules::Family family_;
  Table table_;
};

void add_tables(Ruleset& ruleset, rules::Family family, const std::vector<rules::TableText>& tables) {
  for (const rules::TableText& table : tables) rules::walk::xt::add_table(ruleset, family, table);
}

}  // namespace

Ruleset wanted_ruleset(rules::Family family, const rules::iptables::DesiredTables& service_ports,
                       rules::hostport::HostPorts host_ports) {
  Ruleset ruleset;
  // What is pending is not compiled yet, and a look must not do that there.
  const auto desired =
      std::make_shared<DesiredChains>(rules::iptables::DesiredTables(service_ports.options()), std::move(host_ports));
  service_ports.for_each_view([&](const rules::ServicePortView& view) { desired->service_ports.upsert(view); });
  NoSink nothing;
  desired->take_changes(nothing);
  const std::size_t rules = desired->service_ports.rules(Table::kFilter) + desired->service_ports.rules(Table::kNat);
  if (rules <= rules::walk::kManyRules) {
    add_tables(ruleset, family, list_desired(desired->service_ports, desired->host_ports));
    return ruleset;
  }
  add_tables(ruleset, family, list_builtin(desired->host_ports));
  for (WalkTable& table : ruleset.tables())
    table.on_demand = std::make_shared<WantedChains>(desired, family,
                                                     table.name == name_of(Table::kNat) ? Table::kNat : Table::kFilter);
  return ruleset;
}

}  // namespace kubenatd::agent::dataplane::iptables
