#include "agent/dataplane/foreign_host_ports.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "netlink/iptables/plain_dnat.h"
#include "netlink/iptables/reader.h"
#include "netlink/iptables/writer.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane {
namespace {

using rules::Table;
namespace hostport = rules::hostport;

std::vector<std::uint16_t> ports_of(const rules::Rule& rule) {
  for (const rules::Match& match : rule.matches) {
    if (const auto* several = std::get_if<rules::MultiportMatch>(&match)) return several->destinations;
    const auto* one = std::get_if<rules::PortMatch>(&match);
    if (one != nullptr && one->destination) return {*one->destination};
  }
  return {};
}

}  // namespace

void ForeignHostPorts::clear() {
  *this = {};
}

void ForeignHostPorts::forget(std::string_view chain) {
  if (const auto found = served_.find(chain); found != served_.end()) served_.erase(found);
}

void ForeignHostPorts::note(std::string_view chain, const rules::Rule& rule, std::uint64_t handle) {
  if (hostport::is_container_chain(Table::kNat, chain)) {
    Served served{.claim = {}, .handle = handle};
    const auto ports = ports_of(rule);
    if (rule.protocol && !ports.empty()) {
      served.has_port = true;
      served.is_understood = ports.size() == 1;
      served.claim.protocol = *rule.protocol;
      served.claim.port = ports.front();
      if (rule.destination && !rule.destination->negate &&
          rule.destination->prefix == rules::Prefix::host(rule.destination->prefix.address))
        served.claim.address = rule.destination->prefix.address;
    }
    if (const auto* dnat = std::get_if<rules::DnatTarget>(&rule.target)) {
      served.translates = true;
      served.claim.target = dnat->address;
      served.claim.target_port = dnat->port;
    }
    served_[std::string(chain)].push_back(std::move(served));
    return;
  }
  if (!hostport::is_shared_chain(Table::kNat, chain)) return;
  if (hostport::is_own_rule(chain, rule)) {
    if (chain == hostport::kDnatChain) own_.emplace(jump_target(rule));
    return;
  }
  foreign_rules_ = true;
  if (chain != hostport::kDnatChain || jump_target(rule).empty()) return;
  const std::string_view comment = comment_of(rule);
  const std::string target(jump_target(rule));
  entries_.push_back({.protocol = rule.protocol.value_or(rules::Protocol::kTcp),
                      .ports = ports_of(rule),
                      .chain = target,
                      .owner = comment.empty() ? "chain " + target : fmt::format("chain {} ({})", target, comment),
                      .handle = handle});
}

std::set<std::string> ForeignHostPorts::foreign_chains() const {
  std::set<std::string> chains;
  for (const Entry& entry : entries_) chains.insert(entry.chain);
  return chains;
}

bool ForeignHostPorts::leads_to(const Entry& entry, const Served& served) {
  return served.has_port && served.translates && served.claim.protocol == entry.protocol &&
         (entry.ports.empty() || std::ranges::find(entry.ports, served.claim.port) != entry.ports.end());
}

hostport::Claim ForeignHostPorts::claim_of(const Entry& entry, const Served& served) const {
  hostport::Claim claim = served.claim;
  claim.owner = entry.owner;
  // What could not be removed must not be taken for dead.
  if (!served.is_understood || own_.contains(entry.chain)) claim.target.reset();
  return claim;
}

std::vector<hostport::Claim> ForeignHostPorts::claims() const {
  std::vector<hostport::Claim> claims;
  for (const Entry& entry : entries_) {
    const auto found = served_.find(entry.chain);
    if (found == served_.end()) continue;
    for (const Served& served : found->second) {
      if (leads_to(entry, served)) claims.push_back(claim_of(entry, served));
    }
  }
  return claims;
}

bool ForeignHostPorts::is_needless(const Served& served, const Rules& chain, const IsDead& is_dead) {
  if (served.translates) return served.is_understood && is_dead(served.claim);
  // What marks packets of a port, for as long as something translates it.
  const auto same_port = [&](const Served& other) {
    return other.translates && other.claim.protocol == served.claim.protocol && other.claim.port == served.claim.port &&
           other.claim.address == served.claim.address;
  };
  return served.is_understood && std::ranges::any_of(chain, same_port) &&
         std::ranges::none_of(chain, [&](const Served& other) { return same_port(other) && !is_dead(other.claim); });
}

void ForeignHostPorts::add_dead(const std::vector<hostport::Claim>& claims, const IsDead& is_dead,
                                DeadEntries& dead) const {
  for (const auto& [chain, rules] : served_) {
    const auto makes_one = [&](const Entry& entry) {
      return entry.chain == chain && std::ranges::any_of(rules, [&](const Served& served) {
               return leads_to(entry, served) && std::ranges::find(claims, claim_of(entry, served)) != claims.end();
             });
    };
    if (std::ranges::none_of(entries_, makes_one)) continue;
    const bool whole = std::ranges::all_of(rules, [&](const Served& served) {
      return !served.translates || (served.is_understood && is_dead(served.claim));
    });
    if (whole) {
      for (const Entry& entry : entries_)
        if (entry.chain == chain) dead.rules.push_back({std::string(hostport::kDnatChain), entry.handle});
      dead.chains.push_back(chain);
    }
    for (const Served& served : rules)
      if (whole || is_needless(served, rules, is_dead)) dead.rules.push_back({chain, served.handle});
  }
}

rules::Status PlainHostPorts::read(netlink::NfTables& kernel, rules::Family family) {
  std::vector<Rule> rules;
  auto read = kernel.dump_foreign_rules(
      family, kPortmapTable,
      [&](const netlink::NfTables::ForeignRule& rule) {
        const auto dnat = netlink::iptables::decode_plain_dnat(rule.expressions, family);
        if (!dnat) return;
        rules.push_back({.claim = {.protocol = dnat->protocol,
                                   .port = dnat->port,
                                   .address = dnat->address,
                                   .owner = fmt::format("table {}", kPortmapTable),
                                   .target = dnat->target,
                                   .target_port = dnat->target_port},
                         .place = {std::string(rule.chain), rule.handle}});
      },
      [&] { rules.clear(); });
  if (!read) return read;
  rules_ = std::move(rules);
  return {};
}

std::vector<hostport::Claim> PlainHostPorts::claims() const {
  std::vector<hostport::Claim> claims;
  for (const Rule& rule : rules_) claims.push_back(rule.claim);
  return claims;
}

void PlainHostPorts::add_dead(const std::vector<hostport::Claim>& claims, DeadEntries& dead) const {
  for (const Rule& rule : rules_)
    if (std::ranges::find(claims, rule.claim) != claims.end()) dead.plain.push_back(rule.place);
}

std::vector<hostport::Claim> AllForeignHostPorts::claims() const {
  std::vector<hostport::Claim> claims = nat.claims();
  std::ranges::move(plain.claims(), std::back_inserter(claims));
  return claims;
}

DeadEntries dead_entries(const AllForeignHostPorts& all, const std::vector<hostport::Claim>& claims,
                         const hostport::KnownPods& pods) {
  DeadEntries dead;
  all.nat.add_dead(
      claims, [&](const hostport::Claim& claim) { return judge(claim, pods) == hostport::Verdict::kDead; }, dead);
  all.plain.add_dead(claims, dead);
  return dead;
}

void remove_entries(netlink::Batch& batch, rules::Family family, const DeadEntries& dead,
                    const std::set<rules::ChainId>& kept) {
  for (const DeadEntries::Place& place : dead.rules)
    netlink::iptables::delete_rule(batch, family, Table::kNat, place.chain, place.handle);
  for (const std::string& chain : dead.chains)
    if (!kept.contains({Table::kNat, rules::ChainName(chain)}))
      netlink::iptables::delete_chain(batch, family, Table::kNat, chain);
  for (const DeadEntries::Place& place : dead.plain)
    netlink::iptables::delete_rule(batch, family, kPortmapTable, place.chain, place.handle);
}

rules::Result<AllForeignHostPorts> read_foreign_host_ports(netlink::NfTables& kernel, rules::Family family) {
  AllForeignHostPorts seen;
  const auto shared = kernel.has_chain(family, Table::kNat, hostport::kDnatChain);
  if (!shared) return std::unexpected(shared.error());
  if (*shared) {
    auto read = netlink::iptables::dump_rules(
        kernel, family, Table::kNat, {},
        [&](netlink::iptables::LiveRule& live) { seen.nat.note(live.chain, live.rule, live.handle); },
        [&] { seen.nat.clear(); });
    if (!read) return std::unexpected(read.error());
  }
  if (auto read = seen.plain.read(kernel, family); !read) return std::unexpected(read.error());
  return seen;
}

}  // namespace kubenatd::agent::dataplane
