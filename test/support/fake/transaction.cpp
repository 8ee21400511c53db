#include "test/support/fake/transaction.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <set>
#include <unordered_map>

namespace kubenatd::test::fake {
namespace {

constexpr std::size_t kDeepest = 16;  // NFT_JUMP_STACK_SIZE

/// Walks from a base chain along the jumps. A chain is looked at again only when it is reached at a deeper level.
bool is_shallow(const Chain& chain, std::size_t level, std::unordered_map<const Chain*, std::size_t>& seen) {
  if (level == kDeepest) return false;
  const auto [at, is_new] = seen.try_emplace(&chain, level);
  if (!is_new && at->second >= level) return true;
  at->second = level;
  for (const auto& rule : chain.rules) {
    if (!rule->life.next) continue;
    for (const Chain* jump : rule->jumps)
      if (!is_shallow(*jump, level + 1, seen)) return false;
  }
  return true;
}

}  // namespace

Outcome Transaction::apply(const Request& request) {
  switch (request.operation()) {
    case NFT_MSG_NEWTABLE: return new_table(request);
    case NFT_MSG_DELTABLE: return delete_table(request);
    case NFT_MSG_NEWCHAIN: return new_chain(request);
    case NFT_MSG_DELCHAIN: return delete_chain(request);
    case NFT_MSG_NEWRULE: return new_rule(request);
    case NFT_MSG_DELRULE: return delete_rules(request);
    case NFT_MSG_NEWSET: return new_set(request);
    case NFT_MSG_DELSET: return delete_set(request);
    case NFT_MSG_NEWSETELEM: return new_elements(request);
    case NFT_MSG_DELSETELEM: return delete_elements(request);
    default: return Request::refuse(EINVAL);
  }
}

std::expected<Table*, Problem> Transaction::table_of(const Request& request, std::uint16_t attribute) const {
  Table* table = ruleset_.find_table(request.family(), request.text(attribute), true);
  if (table == nullptr) return request.refuse(ENOENT, attribute);
  if (is_owned_by_another(*table)) return request.refuse(EPERM, attribute);
  return table;
}

Change& Transaction::note(const Request& request, std::uint16_t type, Table& table) {
  Change change;
  change.type = type;
  change.flags = request.flags;
  change.sequence = request.sequence;
  change.table = &table;
  return changes_.emplace_back(change);
}

void Transaction::use(Rule& rule, int change) {
  for (Chain* jump : rule.jumps) jump->use += static_cast<std::uint32_t>(change);
  for (Set* set : rule.sets) set->use += static_cast<std::uint32_t>(change);
}

bool Transaction::is_valid() const {
  std::set<const Table*> touched;
  for (const Change& change : changes_)
    if ((change.type == NFT_MSG_NEWRULE && !change.rule->jumps.empty()) || change.type == NFT_MSG_NEWCHAIN)
      if (change.table->life.next) touched.insert(change.table);
  for (const Table* table : touched) {
    std::unordered_map<const Chain*, std::size_t> seen;
    for (const auto& chain : table->chains)
      if (chain->hook && chain->life.next && !is_shallow(*chain, 0, seen)) return false;
  }
  return true;
}

void Transaction::commit(const std::function<void(const Change&)>& tell) {
  while (++ruleset_.generation == 0) {
  }
  for (const Change& change : changes_) {
    const bool is_new = change.type == NFT_MSG_NEWTABLE || change.type == NFT_MSG_NEWCHAIN ||
                        change.type == NFT_MSG_NEWRULE || change.type == NFT_MSG_NEWSET ||
                        change.type == NFT_MSG_NEWSETELEM;
    Life& life = change.element != nullptr ? change.element->life
                 : change.set != nullptr   ? change.set->life
                 : change.rule != nullptr  ? change.rule->life
                 : change.chain != nullptr ? change.chain->life
                                           : change.table->life;
    life.now = is_new;
    change.table->in_change = false;
    if (change.policy) change.chain->policy = *change.policy;
    tell(change);
  }
  // What goes, goes last: a chain may be named by rules that go with it.
  for (const Change& change : changes_) erase(change);
  changes_.clear();
}

void Transaction::abort() {
  for (const Change& change : std::views::reverse(changes_)) undo(change);
  changes_.clear();
}

void Transaction::erase(const Change& change) {
  switch (change.type) {
    case NFT_MSG_DELSETELEM: {
      const auto [first, last] = change.set->elements.equal_range(change.element->key);
      const auto found =
          std::find_if(first, last, [&](const auto& entry) { return entry.second.get() == change.element; });
      if (found != last) change.set->elements.erase(found);
      break;
    }
    case NFT_MSG_DELRULE:
      change.chain->by_handle.erase(change.rule->handle);
      change.chain->rules.erase(change.rule->place);
      break;
    case NFT_MSG_DELSET: change.table->sets.erase(change.set->place); break;
    case NFT_MSG_DELCHAIN: {
      const auto [first, last] = change.table->chains_by_name.equal_range(change.chain->name);
      for (auto at = first; at != last; ++at) {
        if (at->second != change.chain) continue;
        change.table->chains_by_name.erase(at);
        break;
      }
      change.table->chains.erase(change.chain->place);
      break;
    }
    case NFT_MSG_DELTABLE: ruleset_.tables.erase(change.table->place); break;
    default: break;
  }
}

void Transaction::undo(const Change& change) {
  switch (change.type) {
    case NFT_MSG_DELTABLE: change.table->life.next = true; break;
    case NFT_MSG_DELCHAIN: change.chain->life.next = true; break;
    case NFT_MSG_DELSET:
      change.set->life.next = true;
      for (const auto& [key, element] : change.set->elements)
        if (element->life.next && element->jump != nullptr) ++element->jump->use;
      break;
    case NFT_MSG_DELRULE:
      change.rule->life.next = true;
      ++change.chain->use;
      use(*change.rule, 1);
      break;
    case NFT_MSG_DELSETELEM:
      change.element->life.next = true;
      ++change.set->filled;
      if (change.element->jump != nullptr) ++change.element->jump->use;
      break;
    case NFT_MSG_NEWSETELEM: {
      --change.set->filled;
      if (change.element->jump != nullptr) --change.element->jump->use;
      Change gone = change;
      gone.type = NFT_MSG_DELSETELEM;
      erase(gone);
      break;
    }
    case NFT_MSG_NEWRULE: {
      --change.chain->use;
      use(*change.rule, -1);
      Change gone = change;
      gone.type = NFT_MSG_DELRULE;
      erase(gone);
      break;
    }
    default: {
      if (change.is_update && change.type == NFT_MSG_NEWTABLE) {
        change.table->flags = change.old_flags;
        change.table->owner = change.old_owner;
        change.table->in_change = false;
      }
      if (change.is_update) break;
      Change gone = change;
      gone.type = change.type == NFT_MSG_NEWSET     ? NFT_MSG_DELSET
                  : change.type == NFT_MSG_NEWCHAIN ? NFT_MSG_DELCHAIN
                                                    : NFT_MSG_DELTABLE;
      erase(gone);
      break;
    }
  }
}

}  // namespace kubenatd::test::fake
