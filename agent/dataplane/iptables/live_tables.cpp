#include "agent/dataplane/iptables/live_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "netlink/iptables/reader.h"
#include "rules/hostport/compiler.h"
#include "rules/hostport/names.h"
#include "rules/iptables/address_tree.h"

namespace kubenatd::agent::dataplane::iptables {
namespace {

using rules::ChainId;
using rules::ChainName;
using rules::LiveRuleRef;
using rules::Table;

constexpr std::array kTables{Table::kFilter, Table::kNat};

const std::vector<LiveRuleRef> kNoRules;

/// A jump of ours in a builtin chain: whatever else stands there is not ours to know.
bool is_own_jump(Table table, std::string_view chain, const rules::Rule& rule) {
  return rules::iptables::find_builtin_jump(table, chain, rule) != nullptr ||
         (table == Table::kNat && rules::hostport::is_entry_jump(chain, rule));
}

bool may_serve(const ChainId& chain) {
  return chain.table == Table::kNat && (chain.name.view() == "KUBE-SERVICES" || chain.name.view() == "KUBE-NODEPORTS" ||
                                        rules::iptables::is_tree_chain(chain.name));
}

/// The kernel's rule is one of ours, as far as the chain is not ours alone.
bool is_own_part(const ChainId& chain, const rules::Rule& rule, const std::vector<LiveRuleRef>& before) {
  if (!rules::hostport::is_shared_chain(chain.table, chain.name)) return true;
  // What two writers have put there twice is one rule of ours.
  const bool once = chain.name.view() != rules::hostport::kDnatChain;
  return (!once || before.empty()) && rules::hostport::is_own_rule(chain.name, rule);
}

void note_host_ports(const ChainId& chain, const rules::Rule& rule, std::vector<UdpFrontend>& frontends) {
  if (chain.table != Table::kNat || chain.name.view() != rules::hostport::kDnatChain) return;
  if (rule.protocol != rules::Protocol::kUdp || !rules::hostport::own_entry(rule)) return;
  for (const rules::Match& match : rule.matches)
    if (const auto* several = std::get_if<rules::MultiportMatch>(&match))
      for (const std::uint16_t port : several->destinations) frontends.push_back({std::nullopt, port, true});
}

void note_frontend(const ChainId& chain, const rules::Rule& rule, std::vector<UdpFrontend>& frontends) {
  note_host_ports(chain, rule, frontends);
  if (!may_serve(chain) || rule.protocol != rules::Protocol::kUdp) return;
  for (const rules::Match& match : rule.matches) {
    const auto* port = std::get_if<rules::PortMatch>(&match);
    if (port == nullptr || !port->destination) continue;
    UdpFrontend frontend{.address = std::nullopt, .port = *port->destination, .is_host_port = false};
    if (rule.destination && chain.name.view() != "KUBE-NODEPORTS") frontend.address = rule.destination->prefix.address;
    frontends.push_back(frontend);
  }
}

}  // namespace

bool is_followed(Table table, std::string_view chain) {
  // A longer name is not one that iptables or we could give.
  if (!ChainName::from(chain)) return false;
  return rules::iptables::is_own_chain(table, chain) || rules::hostport::is_shared_chain(table, chain) ||
         (table == Table::kFilter && chain == "KUBE-FIREWALL");
}

bool is_by_rule(const ChainId& chain) {
  for (std::size_t i = 0; i < rules::iptables::kDispatchChains; ++i)
    if (rules::iptables::chain_of(static_cast<rules::iptables::DispatchChain>(i)) == chain) return true;
  return rules::hostport::is_shared_chain(chain.table, chain.name);
}

rules::Status LiveTables::load(netlink::NfTables& kernel, std::vector<UdpFrontend>* frontends) {
  LiveTables fresh(family_, wanted_);
  const auto follows = [](Table table, std::string_view chain) {
    return is_followed(table, chain) || rules::hostport::is_container_chain(table, chain);
  };
  if (frontends != nullptr) frontends->clear();
  for (const Table table : kTables) {
    const auto forget = [&] {
      fresh.tables_.erase(table);
      std::erase_if(fresh.bases_, [&](const auto& one) { return one.first.first == table; });
      std::erase_if(fresh.digests_, [&](const auto& one) { return one.first.table == table; });
      std::erase_if(fresh.by_rule_, [&](const auto& one) { return one.first.table == table; });
      std::erase_if(fresh.unused_, [&](const ChainId& one) { return one.table == table; });
    };
    auto exists = kernel.has_table(family_, table);
    if (!exists) return std::unexpected(exists.error());
    if (!*exists) continue;
    fresh.tables_.insert(table);
    auto listed = netlink::iptables::dump_chains(
        kernel, family_, table,
        [&](const netlink::iptables::LiveChain& chain) {
          if (chain.is_base) fresh.bases_[{table, std::string(chain.name)}];
          if (!follows(table, chain.name)) return;
          const ChainId id{table, ChainName(chain.name)};
          if (chain.use == 0) fresh.unused_.insert(id);
          if (is_by_rule(id)) {
            fresh.by_rule_[id];
          } else {
            fresh.digests_[id];
          }
        },
        [&] {
          forget();
          fresh.tables_.insert(table);
        });
    if (!listed) return listed;

    // Rules come chain by chain; what belongs to the current chain is looked up once.
    std::string current;
    ChainId id;
    bool followed = false;
    rules::ListDigest digest;
    std::vector<LiveRuleRef>* refs = nullptr;
    std::vector<LiveRuleRef>* base = nullptr;
    std::size_t noted = frontends != nullptr ? frontends->size() : 0;
    const auto close = [&] {
      if (followed && refs == nullptr) fresh.digests_[id] = digest.value();
    };
    const auto read = netlink::iptables::dump_rules(
        kernel, family_, table, {},
        [&](netlink::iptables::LiveRule& live) {
          if (live.chain != current) {
            close();
            current = live.chain;
            followed = follows(table, current);
            id = followed ? ChainId{table, ChainName(current)} : ChainId{};
            digest = {};
            refs = followed && is_by_rule(id) ? &fresh.by_rule_[id] : nullptr;
            const auto found = fresh.bases_.find({table, current});
            base = found != fresh.bases_.end() ? &found->second : nullptr;
          }
          if (!followed && base == nullptr) return;
          if (table == Table::kNat) fresh.host_ports_.nat.note(current, live.rule, live.handle);
          const rules::Digest rule = rules::digest_of(live.rule);
          if (base != nullptr) {
            if (is_own_jump(table, current, live.rule)) base->push_back({live.handle, rule});
          } else if (refs != nullptr) {
            if (is_own_part(id, live.rule, *refs)) refs->push_back({live.handle, rule});
          } else {
            digest.add(rule);
          }
          if (followed && frontends != nullptr) note_frontend(id, live.rule, *frontends);
        },
        [&] {
          current.clear();
          followed = false;
          refs = base = nullptr;
          fresh.host_ports_.nat.clear();
          if (frontends != nullptr) frontends->resize(noted);
          for (auto& [key, rules] : fresh.bases_)
            if (key.first == table) rules.clear();
          for (auto& [key, rules] : fresh.by_rule_)
            if (key.table == table) rules.clear();
          for (auto& [key, value] : fresh.digests_)
            if (key.table == table) value = {};
        });
    if (!read) return read;
    close();
  }
  std::erase_if(fresh.digests_, [&](const auto& one) {
    return rules::hostport::is_container_chain(one.first.table, one.first.name) &&
           !is_ours(fresh.host_ports_.nat, one.first);
  });
  if (auto plain = fresh.reload_plain_host_ports(kernel); !plain) return plain;
  *this = std::move(fresh);
  return {};
}

bool LiveTables::is_ours(const ForeignHostPorts& seen, const ChainId& container) const {
  // What was ours stays so until it is gone, even when somebody took away the rule that leads there.
  return has(container) || seen.own_chains().contains(container.name.view()) || (wanted_ && wanted_(container));
}

rules::Status LiveTables::reload_plain_host_ports(netlink::NfTables& kernel) {
  return host_ports_.plain.read(kernel, family_);
}

rules::Status LiveTables::load_piecewise(netlink::NfTables& kernel, std::vector<UdpFrontend>* frontends) {
  LiveTables fresh(family_, wanted_);
  std::set<ChainId> containers;
  if (frontends != nullptr) frontends->clear();
  for (const Table table : kTables) {
    auto exists = kernel.has_table(family_, table);
    if (!exists) return std::unexpected(exists.error());
    if (!*exists) continue;
    fresh.tables_.insert(table);
    // An interrupted listing may miss a chain at the place where the list changed; what several of them gave together
    // misses none.
    std::set<ChainId> chains;
    auto listed = netlink::iptables::dump_chains(
        kernel, family_, table,
        [&](const netlink::iptables::LiveChain& chain) {
          if (rules::hostport::is_container_chain(table, chain.name)) containers.insert({table, ChainName(chain.name)});
          if (!is_followed(table, chain.name)) return;
          chains.insert({table, ChainName(chain.name)});
          if (chain.use == 0) fresh.unused_.insert({table, ChainName(chain.name)});
        },
        [&] { std::erase_if(fresh.unused_, [&](const ChainId& one) { return one.table == table; }); },
        netlink::Interrupted::kAccept);
    if (!listed) return listed;
    for (const ChainId& chain : chains)
      if (auto read = fresh.reload(kernel, chain, frontends); !read) return read;
  }
  for (const ChainId& chain : containers)
    if (is_ours(fresh.host_ports_.nat, chain))
      if (auto read = fresh.reload(kernel, chain, frontends); !read) return read;
  if (auto plain = fresh.reload_plain_host_ports(kernel); !plain) return plain;
  for (const auto& jump : rules::iptables::builtin_jumps()) {
    if (!fresh.tables_.contains(jump.table) || fresh.has_base(jump.table, jump.chain)) continue;
    if (auto read = fresh.reload_base(kernel, jump.table, jump.chain); !read) return read;
  }
  *this = std::move(fresh);
  return {};
}

rules::Status LiveTables::reload(netlink::NfTables& kernel, const ChainId& chain, std::vector<UdpFrontend>* frontends) {
  auto exists = kernel.has_chain(family_, chain.table, chain.name);
  if (!exists) return std::unexpected(exists.error());
  const bool dnat = chain.table == Table::kNat && chain.name.view() == rules::hostport::kDnatChain;
  if (!*exists) {
    erase(chain);
    if (dnat) host_ports_.nat.clear();
    return {};
  }
  std::vector<LiveRuleRef> refs;
  ForeignHostPorts host_ports;
  const std::size_t noted = frontends != nullptr ? frontends->size() : 0;
  const auto read = netlink::iptables::dump_rules(
      kernel, family_, chain.table, chain.name,
      [&](netlink::iptables::LiveRule& live) {
        if (is_own_part(chain, live.rule, refs)) refs.push_back({live.handle, rules::digest_of(live.rule)});
        if (dnat) host_ports.note(live.chain, live.rule, live.handle);
        if (frontends != nullptr) note_frontend(chain, live.rule, *frontends);
      },
      [&] {
        refs.clear();
        host_ports.clear();
        if (frontends != nullptr) frontends->resize(noted);
      },
      netlink::Interrupted::kAccept);
  if (!read) return read;
  if (dnat) {
    for (const std::string& container : host_ports.foreign_chains()) {
      const auto note = [&](netlink::iptables::LiveRule& live) { host_ports.note(live.chain, live.rule, live.handle); };
      const auto restart = [&] { host_ports.forget(container); };
      const auto inside = netlink::iptables::dump_rules(kernel, family_, chain.table, container, note, restart,
                                                        netlink::Interrupted::kAccept);
      if (!inside) return inside;
    }
    host_ports_.nat = std::move(host_ports);
  }
  if (is_by_rule(chain)) {
    by_rule_[chain] = std::move(refs);
  } else {
    rules::ListDigest digest;
    for (const LiveRuleRef& ref : refs) digest.add(ref.digest);
    digests_[chain] = digest.value();
  }
  return {};
}

rules::Status LiveTables::reload_base(netlink::NfTables& kernel, Table table, std::string_view chain) {
  auto exists = kernel.has_chain(family_, table, chain);
  if (!exists) return std::unexpected(exists.error());
  const BaseKey key{table, std::string(chain)};
  if (!*exists) {
    bases_.erase(key);
    return {};
  }
  std::vector<LiveRuleRef> refs;
  auto read = netlink::iptables::dump_rules(
      kernel, family_, table, chain,
      [&](netlink::iptables::LiveRule& live) {
        if (is_own_jump(table, chain, live.rule)) refs.push_back({live.handle, rules::digest_of(live.rule)});
      },
      [&] { refs.clear(); }, netlink::Interrupted::kAccept);
  if (!read) return read;
  bases_[key] = std::move(refs);
  return {};
}

bool LiveTables::has_base(Table table, std::string_view chain) const {
  return bases_.contains({table, std::string(chain)});
}

const std::vector<LiveRuleRef>& LiveTables::jumps(Table table, std::string_view chain) const {
  const auto found = bases_.find({table, std::string(chain)});
  return found == bases_.end() ? kNoRules : found->second;
}

bool LiveTables::has(const ChainId& chain) const {
  return digests_.contains(chain) || by_rule_.contains(chain);
}

rules::Digest LiveTables::digest(const ChainId& chain) const {
  const auto found = digests_.find(chain);
  return found == digests_.end() ? rules::Digest{} : found->second;
}

const std::vector<LiveRuleRef>& LiveTables::rules_in(const ChainId& chain) const {
  const auto found = by_rule_.find(chain);
  return found == by_rule_.end() ? kNoRules : found->second;
}

void LiveTables::erase(const ChainId& chain) {
  digests_.erase(chain);
  by_rule_.erase(chain);
}

std::vector<ChainId> LiveTables::advance(const rules::iptables::AfterPlan& after,
                                         const std::vector<std::uint64_t>& handles) {
  tables_.insert(after.tables.begin(), after.tables.end());
  std::vector<ChainId> unknown;
  std::size_t next = 0;
  for (const auto& content : after.contents) {
    if (!content.by_rule) {
      digests_[content.id] = content.digest;
      continue;
    }
    std::vector<LiveRuleRef> refs = content.rules;
    bool complete = !content.unknown_handles;
    for (LiveRuleRef& ref : refs) {
      if (ref.handle != 0 || !complete) continue;
      if (next < handles.size()) {
        ref.handle = handles[next++];
      } else {
        complete = false;
      }
    }
    if (complete) {
      by_rule_[content.id] = std::move(refs);
    } else {
      unknown.push_back(content.id);
    }
  }
  for (const ChainId& chain : after.removed) erase(chain);
  return unknown;
}

void LiveTables::for_each(const std::function<void(const ChainId&)>& visit) const {
  for (const auto& [chain, digest] : digests_) visit(chain);
  for (const auto& [chain, rules] : by_rule_) visit(chain);
}

}  // namespace kubenatd::agent::dataplane::iptables
