#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <cerrno>

#include "test/support/fake/transaction.h"

/// Tables and chains of a transaction (nf_tables_newtable, _deltable, _newchain, _delchain of Linux 6.18).
namespace kubenatd::test::fake {
namespace {

constexpr std::uint32_t kOwner = 0x2, kPersist = 0x4;  // NFT_TABLE_F_*; headers before 6.9 lack the second
constexpr std::int32_t kConntrackPriority = -200;      // NF_IP_PRI_CONNTRACK

bool is_known_family(std::uint8_t family) {
  return family == NFPROTO_INET || family == NFPROTO_IPV4 || family == NFPROTO_ARP || family == NFPROTO_NETDEV ||
         family == NFPROTO_BRIDGE || family == NFPROTO_IPV6;
}

/// What NFTA_CHAIN_HOOK says; an errno when no chain can be hooked so.
std::expected<Hook, int> read_hook(const Request& request, const netlink::Attribute& nest) {
  Hook hook;
  hook.type = request.has(NFTA_CHAIN_TYPE) ? std::string(request.text(NFTA_CHAIN_TYPE)) : "filter";
  const auto number = netlink::find_attribute(nest.payload, NFTA_HOOK_HOOKNUM);
  const auto priority = netlink::find_attribute(nest.payload, NFTA_HOOK_PRIORITY);
  if (number.payload.empty() || priority.payload.empty()) return std::unexpected(ENOENT);
  hook.number = number.be32();
  hook.priority = static_cast<std::int32_t>(priority.be32());
  std::uint32_t hooks = 0;
  if (hook.type == "filter") hooks = 0x1f;
  if (hook.type == "nat") hooks = 0x1f & ~(1U << NF_INET_FORWARD);
  if (hook.type == "route") hooks = 1U << NF_INET_LOCAL_OUT;
  if (hooks == 0) return std::unexpected(ENOENT);
  if (hook.number >= NF_INET_NUMHOOKS || (hooks >> hook.number & 1) == 0) return std::unexpected(EOPNOTSUPP);
  if (hook.type == "nat" && hook.priority <= kConntrackPriority) return std::unexpected(EOPNOTSUPP);
  return hook;
}

}  // namespace

Outcome Transaction::new_table(const Request& request) {
  if (!is_known_family(request.family())) return Request::refuse(EOPNOTSUPP);
  const std::string_view name = request.text(NFTA_TABLE_NAME);
  if (Table* table = ruleset_.find_table(request.family(), name, true)) {
    if (is_owned_by_another(*table)) return Request::refuse(EPERM);
    if ((request.flags & NLM_F_EXCL) != 0) return request.refuse(EEXIST, NFTA_TABLE_NAME);
    if ((request.flags & NLM_F_REPLACE) != 0) return Request::refuse(EOPNOTSUPP);
    return update_table(request, *table);
  }
  const auto flags = request.find(NFTA_TABLE_FLAGS);
  if (flags && (flags->be32() & ~ruleset_.table_flags) != 0) return Request::refuse(EOPNOTSUPP);
  ruleset_.tables.push_back(std::make_unique<Table>());
  Table& table = *ruleset_.tables.back();
  table.place = std::prev(ruleset_.tables.end());
  table.family = request.family();
  table.name = name;
  table.handle = ++ruleset_.last_table_handle;
  if (flags) table.flags = flags->be32();
  if ((table.flags & kOwner) != 0) table.owner = port_id_;
  if (const auto user = request.find(NFTA_TABLE_USERDATA)) table.user_data = user->payload;
  note(request, NFT_MSG_NEWTABLE, table);
  return {};
}

/// nf_tables_updtable
Outcome Transaction::update_table(const Request& request, Table& table) {
  const auto wanted = request.find(NFTA_TABLE_FLAGS);
  if (!wanted || wanted->be32() == table.flags) return {};  // no step of the transaction
  const std::uint32_t flags = wanted->be32();
  if ((flags & ~ruleset_.table_flags) != 0) return Request::refuse(EOPNOTSUPP);
  const bool is_owned = (table.flags & kOwner) != 0;
  const bool is_orphan = (table.flags & (kOwner | kPersist)) == kPersist;
  if ((is_owned && (flags & kOwner) == 0) || ((flags & kOwner) != 0 && !is_orphan)) return Request::refuse(EOPNOTSUPP);
  if (((flags ^ table.flags) & kPersist) != 0) return Request::refuse(EOPNOTSUPP);
  if (table.in_change) return Request::refuse(EINVAL);
  Change& change = note(request, NFT_MSG_NEWTABLE, table);
  change.is_update = true;
  change.old_flags = table.flags;
  change.old_owner = table.owner;
  table.flags = flags;
  table.owner = (flags & kOwner) != 0 ? port_id_ : 0;
  table.in_change = true;
  return {};
}

/// All of the family, or of all, but those of other sockets (nft_flush).
Outcome Transaction::delete_tables(const Request& request) {
  for (const auto& table : ruleset_.tables) {
    if (!table->life.next || is_owned_by_another(*table)) continue;
    if (request.family() == 0 || request.family() == table->family) remove_table(request, *table);
  }
  return {};
}

Outcome Transaction::delete_table(const Request& request) {
  if (request.family() == 0 || !request.has(NFTA_TABLE_NAME)) return delete_tables(request);
  const auto found = table_of(request, NFTA_TABLE_NAME);
  if (!found) return std::unexpected(found.error());
  Table& table = **found;
  const auto is_there = [](const auto& object) { return object->life.next; };
  const bool is_used = std::ranges::any_of(table.chains, is_there) || std::ranges::any_of(table.sets, is_there);
  if ((request.flags & NLM_F_NONREC) != 0 && is_used) return Request::refuse(EBUSY);
  remove_table(request, table);
  return {};
}

void Transaction::remove_table(const Request& request, Table& table) {
  for (const auto& chain : table.chains)
    if (chain->life.next) remove_rules(request, table, *chain);
  for (const auto& set : table.sets)
    if (set->life.next) remove_set(request, table, *set);
  for (const auto& chain : table.chains)
    if (chain->life.next) remove_chain(request, table, *chain);
  table.life.next = false;
  note(request, NFT_MSG_DELTABLE, table);
}

Outcome Transaction::new_chain(const Request& request) {
  const auto found = table_of(request, NFTA_CHAIN_TABLE);
  if (!found) return std::unexpected(found.error());
  Table& table = **found;
  if (!request.has(NFTA_CHAIN_NAME)) return Request::refuse(EINVAL);
  const std::string_view name = request.text(NFTA_CHAIN_NAME);
  if (name.empty() || name.size() >= NFT_CHAIN_MAXNAMELEN) return request.refuse(EINVAL, NFTA_CHAIN_NAME);
  Chain* chain = table.find_chain(name, true);
  const auto hook = request.find(NFTA_CHAIN_HOOK);
  std::uint32_t policy = NF_ACCEPT;
  if (const auto wanted = request.find(NFTA_CHAIN_POLICY)) {
    if (chain != nullptr ? !chain->hook : !hook) return request.refuse(EOPNOTSUPP, *wanted);
    policy = wanted->be32();
    if (policy != NF_ACCEPT && policy != NF_DROP) return Request::refuse(EINVAL);
  }
  if (chain != nullptr) return update_chain(request, table, *chain);
  std::optional<Hook> where;
  if (hook) {
    auto read = read_hook(request, *hook);
    if (!read) {
      if (read.error() == ENOENT && request.has(NFTA_CHAIN_TYPE)) return request.refuse(ENOENT, NFTA_CHAIN_TYPE);
      return Request::refuse(read.error());
    }
    where = std::move(*read);
    if (table.in_change) return Request::refuse(EINVAL);
  }
  table.chains.push_back(std::make_unique<Chain>());
  Chain& made = *table.chains.back();
  made.place = std::prev(table.chains.end());
  made.name = name;
  made.handle = ++table.last_handle;
  made.hook = std::move(where);
  made.policy = policy;
  table.chains_by_name.emplace(made.name, &made);
  note(request, NFT_MSG_NEWCHAIN, table).chain = &made;
  return {};
}

Outcome Transaction::update_chain(const Request& request, Table& table, Chain& chain) {
  if ((request.flags & NLM_F_EXCL) != 0) return request.refuse(EEXIST, NFTA_CHAIN_NAME);
  if ((request.flags & NLM_F_REPLACE) != 0) return Request::refuse(EOPNOTSUPP);
  if (const auto nest = request.find(NFTA_CHAIN_HOOK)) {
    if (!chain.hook) return request.refuse(EEXIST, NFTA_CHAIN_NAME);
    const auto hook = read_hook(request, *nest);
    if (!hook) return Request::refuse(hook.error());
    if (hook->number != chain.hook->number || hook->priority != chain.hook->priority)
      return Request::refuse(EOPNOTSUPP);
    if (hook->type != chain.hook->type) return request.refuse(EEXIST, NFTA_CHAIN_NAME);
  }
  Change& change = note(request, NFT_MSG_NEWCHAIN, table);
  change.chain = &chain;
  change.is_update = true;
  if (const auto policy = request.find(NFTA_CHAIN_POLICY)) change.policy = policy->be32();
  return {};
}

Outcome Transaction::delete_chain(const Request& request) {
  const auto found = table_of(request, NFTA_CHAIN_TABLE);
  if (!found) return std::unexpected(found.error());
  Table& table = **found;
  Chain* chain = table.find_chain(request.text(NFTA_CHAIN_NAME), true);
  if (chain == nullptr) return request.refuse(ENOENT, NFTA_CHAIN_NAME);
  if ((request.flags & NLM_F_NONREC) != 0 && chain->use > 0) return Request::refuse(EBUSY);
  // Jumps of the chain to itself count as uses by others.
  std::uint32_t uses = chain->use;
  for (const auto& rule : chain->rules) uses -= rule->life.next ? 1 : 0;
  remove_rules(request, table, *chain);
  if (uses > 0) return request.refuse(EBUSY, NFTA_CHAIN_NAME);
  remove_chain(request, table, *chain);
  return {};
}

void Transaction::remove_chain(const Request& request, Table& table, Chain& chain) {
  chain.life.next = false;
  note(request, NFT_MSG_DELCHAIN, table).chain = &chain;
}

}  // namespace kubenatd::test::fake
