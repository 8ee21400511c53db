#include "agent/trace/rule_names.h"

#include <linux/netfilter.h>

#include <algorithm>
#include <optional>
#include <variant>

namespace kubenatd::agent::trace {
namespace {

using rules::walk::Ruleset;
using rules::walk::TableFamily;
using rules::walk::WalkChain;

std::optional<TableFamily> table_family(std::uint8_t family) {
  switch (family) {
    case NFPROTO_INET: return TableFamily::kInet;
    case NFPROTO_IPV4: return TableFamily::kIp;
    case NFPROTO_IPV6: return TableFamily::kIp6;
    case NFPROTO_ARP: return TableFamily::kArp;
    case NFPROTO_NETDEV: return TableFamily::kNetdev;
    case NFPROTO_BRIDGE: return TableFamily::kBridge;
    default: return std::nullopt;
  }
}

const WalkChain* find_chain(const RuleNames::Rules& rules, std::uint8_t family, std::string_view table,
                            std::string_view chain) {
  const auto known = table_family(family);
  if (!rules || !known) return nullptr;
  const auto found = std::ranges::find_if(rules->tables(), [&](const rules::walk::WalkTable& one) {
    return one.family == *known && !one.legacy && one.name == table;
  });
  return found == rules->tables().end() ? nullptr : found->chain(chain);
}

}  // namespace

const rules::walk::WalkRule* RuleNames::rule(std::uint8_t family, std::string_view table, std::string_view chain,
                                             std::uint64_t handle) const {
  if (handle == 0) return nullptr;
  for (const auto* rules : {&before_, &after_}) {
    const WalkChain* found = find_chain(*rules, family, table, chain);
    if (found == nullptr) continue;
    const auto at = std::ranges::find(found->rules, handle, &rules::walk::WalkRule::handle);
    if (at != found->rules.end()) return &*at;
  }
  return nullptr;
}

const rules::walk::Base* RuleNames::base(std::uint8_t family, std::string_view table, std::string_view chain) const {
  for (const auto* rules : {&before_, &after_}) {
    const WalkChain* found = find_chain(*rules, family, table, chain);
    if (found != nullptr && found->base) return &*found->base;
  }
  return nullptr;
}

std::string family_name(std::uint8_t family) {
  const auto known = table_family(family);
  if (!known) return std::to_string(family);
  switch (*known) {
    case TableFamily::kIp: return "ip";
    case TableFamily::kIp6: return "ip6";
    case TableFamily::kInet: return "inet";
    case TableFamily::kNetdev: return "netdev";
    case TableFamily::kBridge: return "bridge";
    case TableFamily::kArp: return "arp";
  }
  return {};
}

bool refuses(const rules::walk::WalkRule& rule) {
  return std::ranges::any_of(rule.statements, [](const rules::walk::Statement& statement) {
    return std::holds_alternative<rules::walk::Refuse>(statement);
  });
}

bool translates(const Ruleset& rules, rules::Family family) {
  const TableFamily own = family == rules::Family::kIpv4 ? TableFamily::kIp : TableFamily::kIp6;
  return std::ranges::any_of(rules.tables(), [&](const rules::walk::WalkTable& table) {
    if (table.legacy || table.dormant || (table.family != own && table.family != TableFamily::kInet)) return false;
    return std::ranges::any_of(table.chains, [](const auto& entry) {
      return entry.second.base && entry.second.base->type == rules::walk::Base::Type::kNat;
    });
  });
}

}  // namespace kubenatd::agent::trace
