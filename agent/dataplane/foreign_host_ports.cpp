#include "agent/dataplane/foreign_host_ports.h"

#include <fmt/format.h>

#include <algorithm>

#include "netlink/iptables/plain_dnat.h"
#include "netlink/iptables/reader.h"
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

void ForeignHostPorts::note(std::string_view chain, const rules::Rule& rule) {
  if (hostport::is_container_chain(Table::kNat, chain)) {
    const auto ports = ports_of(rule);
    if (!std::holds_alternative<rules::DnatTarget>(rule.target) || !rule.protocol || ports.empty()) return;
    std::optional<rules::Address> address;
    if (rule.destination && !rule.destination->negate &&
        rule.destination->prefix == rules::Prefix::host(rule.destination->prefix.address))
      address = rule.destination->prefix.address;
    served_[std::string(chain)].push_back({*rule.protocol, ports.front(), address});
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
                      .owner = comment.empty() ? "chain " + target : fmt::format("chain {} ({})", target, comment)});
}

std::set<std::string> ForeignHostPorts::foreign_chains() const {
  std::set<std::string> chains;
  for (const Entry& entry : entries_) chains.insert(entry.chain);
  return chains;
}

std::vector<hostport::Claim> ForeignHostPorts::claims() const {
  std::vector<hostport::Claim> claims;
  for (const Entry& entry : entries_) {
    const auto found = served_.find(entry.chain);
    if (found == served_.end()) continue;
    for (const Served& served : found->second) {
      if (served.protocol != entry.protocol) continue;
      if (!entry.ports.empty() && std::ranges::find(entry.ports, served.port) == entry.ports.end()) continue;
      claims.push_back({served.protocol, served.port, served.address, entry.owner});
    }
  }
  return claims;
}

rules::Result<std::vector<rules::hostport::Claim>> read_foreign_host_ports(netlink::NfTables& kernel,
                                                                           rules::Family family) {
  ForeignHostPorts seen;
  const auto shared = kernel.has_chain(family, rules::Table::kNat, rules::hostport::kDnatChain);
  if (!shared) return std::unexpected(shared.error());
  if (*shared) {
    auto read = netlink::iptables::dump_rules(
        kernel, family, rules::Table::kNat, {},
        [&](netlink::iptables::LiveRule& live) { seen.note(live.chain, live.rule); }, [&] { seen.clear(); });
    if (!read) return std::unexpected(read.error());
  }
  std::vector<rules::hostport::Claim> plain;
  auto read = kernel.dump_foreign_rules(
      family, kPortmapTable,
      [&](std::string_view /*chain*/, std::string_view expressions) {
        if (const auto dnat = netlink::iptables::decode_plain_dnat(expressions, family))
          plain.push_back({dnat->protocol, dnat->port, dnat->address, "table " + std::string(kPortmapTable)});
      },
      [&] { plain.clear(); });
  if (!read) return std::unexpected(read.error());
  std::vector<rules::hostport::Claim> claims = seen.claims();
  claims.insert(claims.end(), plain.begin(), plain.end());
  return claims;
}

}  // namespace kubenatd::agent::dataplane
