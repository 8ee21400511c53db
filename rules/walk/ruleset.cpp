#include "rules/walk/ruleset.h"

#include <algorithm>
#include <array>
#include <utility>

namespace kubenatd::rules::walk {
namespace {

struct IptablesChain {
  std::string_view table, chain;
  Base base;
};

// NF_IP_PRI_* of linux/netfilter_ipv4.h; ip6tables has the same numbers.
const std::array<IptablesChain, 17>& iptables_chains() {
  using enum Hook;
  using Type = Base::Type;
  static const std::array<IptablesChain, 17> chains{{
      {"raw", "PREROUTING", {kPrerouting, Type::kFilter, -300, false, {}}},
      {"raw", "OUTPUT", {kOutput, Type::kFilter, -300, false, {}}},
      {"mangle", "PREROUTING", {kPrerouting, Type::kFilter, -150, false, {}}},
      {"mangle", "INPUT", {kInput, Type::kFilter, -150, false, {}}},
      {"mangle", "FORWARD", {kForward, Type::kFilter, -150, false, {}}},
      {"mangle", "OUTPUT", {kOutput, Type::kRoute, -150, false, {}}},
      {"mangle", "POSTROUTING", {kPostrouting, Type::kFilter, -150, false, {}}},
      {"nat", "PREROUTING", {kPrerouting, Type::kNat, -100, false, {}}},
      {"nat", "INPUT", {kInput, Type::kNat, 100, false, {}}},
      {"nat", "OUTPUT", {kOutput, Type::kNat, -100, false, {}}},
      {"nat", "POSTROUTING", {kPostrouting, Type::kNat, 100, false, {}}},
      {"filter", "INPUT", {kInput, Type::kFilter, 0, false, {}}},
      {"filter", "FORWARD", {kForward, Type::kFilter, 0, false, {}}},
      {"filter", "OUTPUT", {kOutput, Type::kFilter, 0, false, {}}},
      {"security", "INPUT", {kInput, Type::kFilter, 50, false, {}}},
      {"security", "FORWARD", {kForward, Type::kFilter, 50, false, {}}},
      {"security", "OUTPUT", {kOutput, Type::kFilter, 50, false, {}}},
  }};
  return chains;
}

}  // namespace

std::string_view name_of(TableFamily family) {
  switch (family) {
    case TableFamily::kIp: return "ip";
    case TableFamily::kIp6: return "ip6";
    case TableFamily::kInet: return "inet";
    case TableFamily::kNetdev: return "netdev";
    case TableFamily::kBridge: return "bridge";
    case TableFamily::kArp: return "arp";
  }
  return "";
}

std::string_view name_of(Hook hook) {
  switch (hook) {
    case Hook::kIngress: return "ingress";
    case Hook::kPrerouting: return "prerouting";
    case Hook::kInput: return "input";
    case Hook::kForward: return "forward";
    case Hook::kOutput: return "output";
    case Hook::kPostrouting: return "postrouting";
    case Hook::kEgress: return "egress";
  }
  return "";
}

const WalkChain* ChainsOnDemand::find(const WalkTable& table, std::string_view name) {
  if (const auto found = read_.find(name); found != read_.end()) return &found->second;
  auto chain = read(table, name);
  return chain ? &read_.emplace(name, std::move(*chain)).first->second : nullptr;
}

const WalkChain* WalkTable::chain(std::string_view chain_name) const {
  if (const auto found = chains.find(chain_name); found != chains.end()) return &found->second;
  return on_demand == nullptr ? nullptr : on_demand->find(*this, chain_name);
}

bool WalkTable::has_chain_like(std::string_view start) const {
  const auto found = chains.lower_bound(start);
  if (found != chains.end() && found->first.starts_with(start)) return true;
  return on_demand != nullptr && on_demand->has_like(start);
}

bool WalkTable::has_rules() const {
  return on_demand != nullptr || std::ranges::any_of(chains, [](const auto& one) { return !one.second.rules.empty(); });
}

const WalkSet* WalkTable::set(std::string_view set_name) const {
  const auto found = sets.find(set_name);
  return found == sets.end() ? nullptr : &found->second;
}

const WalkTable* Ruleset::find(TableFamily family, std::string_view name, bool legacy) const {
  const auto found = std::ranges::find_if(tables_, [&](const WalkTable& table) {
    return table.family == family && table.name == name && table.legacy == legacy;
  });
  return found == tables_.end() ? nullptr : &*found;
}

WalkTable& Ruleset::table(TableFamily family, std::string_view name, bool legacy) {
  const auto found = std::ranges::find_if(tables_, [&](const WalkTable& table) {
    return table.family == family && table.name == name && table.legacy == legacy;
  });
  if (found != tables_.end()) return *found;
  WalkTable& made = tables_.emplace_back();
  made.family = family;
  made.name = name;
  made.legacy = legacy;
  return made;
}

bool Ruleset::has(Family family) const {
  const TableFamily own = family == Family::kIpv4 ? TableFamily::kIp : TableFamily::kIp6;
  return std::ranges::any_of(tables_, [&](const WalkTable& table) {
    return table.family == own || table.family == TableFamily::kInet || table.family == TableFamily::kNetdev;
  });
}

std::optional<Base> iptables_base(std::string_view table, std::string_view chain) {
  for (const IptablesChain& known : iptables_chains())
    if (known.table == table && known.chain == chain) return known.base;
  return std::nullopt;
}

bool is_iptables_table(std::string_view name) {
  return std::ranges::any_of(iptables_chains(), [&](const IptablesChain& known) { return known.table == name; });
}

}  // namespace kubenatd::rules::walk
