#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "rules/iptables/address_tree.h"
#include "rules/iptables/desired.h"
#include "test/unit/rules/service_port_builder.h"

/// What the tests of DesiredTables share.
namespace kubenatd::rules::iptables {

using test::endpoint;

/// Chains as somebody has them who does what the sink is told; jumps to chains that are not there are noted.
class Kernel final : public ChainSink {
 public:
  explicit Kernel(const DesiredTables& desired) : desired_(desired) {}

  void chain(const ChainRules& chain, const Digest& digest) override {
    CHECK(digest == digest_of(chain.rules));
    write(chain.id, chain.rules);
  }
  void shared(const SharedChain& chain) override {
    if (chain.only_if_there) return;
    std::vector<Rule> rules;
    for (const Slot& slot : chain.slots) {
      rules.push_back(rule_of(chain, slot, desired_.options()));
      CHECK(digest_of(rules.back()) == slot.digest);
    }
    write(chain.id, rules);
  }
  void gone(const ChainId& chain) override {
    removed.insert(chain);
    chains.erase(chain);
  }

  /// Forgets what happened, not what is there.
  void forget() {
    written.clear();
    removed.clear();
  }
  [[nodiscard]] std::set<std::string> written_names() const {
    std::set<std::string> names;
    for (const ChainId& id : written) names.insert(std::string(name_of(id.table)) + " " + std::string(id.name.view()));
    return names;
  }
  /// Jumps from a chain to one that is not there.
  [[nodiscard]] std::vector<std::string> broken_jumps() const {
    std::vector<std::string> broken;
    for (const auto& [id, rules] : chains)
      for (const Rule& rule : rules)
        if (const auto to = jump_target(rule); !to.empty() && !chains.contains({id.table, ChainName(to)}))
          broken.push_back(std::string(id.name.view()) + " -> " + std::string(to));
    return broken;
  }

  std::map<ChainId, std::vector<Rule>> chains;
  std::set<ChainId> written;
  std::set<ChainId> removed;
  std::vector<std::string> early;  ///< jumps to a chain that had not been handed out yet

 private:
  void write(const ChainId& id, const std::vector<Rule>& rules) {
    CHECK(written.insert(id).second);
    for (const Rule& rule : rules)
      if (const auto to = jump_target(rule); !to.empty() && !chains.contains({id.table, ChainName(to)}))
        early.push_back(std::string(id.name.view()) + " -> " + std::string(to));
    chains[id] = rules;
  }

  const DesiredTables& desired_;
};

inline ServicePortView port(unsigned number, const std::vector<Endpoint>& endpoints = {endpoint("10.244.1.5", 8080)}) {
  ServicePortView view;
  view.name = "demo/s" + std::to_string(number);
  view.cluster_ip = Address{
      Family::kIpv4, {10, 96, static_cast<std::uint8_t>(number % 5 * 50), static_cast<std::uint8_t>(number % 250 + 1)}};
  view.port = 80;
  view.endpoints = endpoints;
  view.has_endpoints = !endpoints.empty();
  return view;
}

inline CompileOptions with_form(DispatchForm form, std::size_t threshold = 10) {
  CompileOptions options = test::options();
  options.form = form;
  options.tree_threshold = threshold;
  return options;
}

const ChainId kNatServices{Table::kNat, ChainName("KUBE-SERVICES")};

inline std::size_t tree_chains(const Kernel& kernel) {
  return static_cast<std::size_t>(
      std::ranges::count_if(kernel.chains, [](const auto& one) { return is_tree_chain(one.first.name); }));
}

inline std::size_t rules_in(const Kernel& kernel, Table table) {
  std::size_t count = 0;
  for (const auto& [id, rules] : kernel.chains) count += id.table == table ? rules.size() : 0;
  return count;
}

/// What a fresh object with these views would want.
inline std::map<ChainId, std::vector<Rule>> fresh_chains(const CompileOptions& options,
                                                         const std::map<std::string, ServicePortView>& views) {
  DesiredTables desired(options);
  for (const auto& [name, view] : views) desired.upsert(view);
  Kernel kernel(desired);
  desired.take_changes(kernel);
  CHECK(kernel.broken_jumps() == std::vector<std::string>{});
  return kernel.chains;
}

}  // namespace kubenatd::rules::iptables
