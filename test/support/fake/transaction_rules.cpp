#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "test/support/fake/transaction.h"

/// Rules of a transaction (nf_tables_newrule, _delrule of Linux 6.18).
namespace kubenatd::test::fake {
namespace {

using netlink::Attribute;
using netlink::AttributeReader;
using netlink::find_attribute;

constexpr std::size_t kMostExpressions = 128;  // NFT_RULE_MAXEXPRS
constexpr std::array<std::string_view, 32> kExpressions{
    "bitwise", "byteorder", "cmp",   "connlimit", "counter",   "ct",      "dup",    "dynset",
    "exthdr",  "fib",       "fwd",   "hash",      "immediate", "last",    "limit",  "log",
    "lookup",  "masq",      "match", "meta",      "nat",       "notrack", "numgen", "objref",
    "payload", "quota",     "range", "redir",     "reject",    "rt",      "socket", "target"};

}  // namespace

std::expected<Chain*, int> Transaction::read_verdict(std::string_view data, const Table& table) const {
  const Attribute verdict = find_attribute(data, NFTA_DATA_VERDICT);
  if (verdict.payload.empty()) return nullptr;
  const auto code = static_cast<std::int32_t>(find_attribute(verdict.payload, NFTA_VERDICT_CODE).be32());
  if (code != NFT_JUMP && code != NFT_GOTO) return nullptr;
  const Attribute name = find_attribute(verdict.payload, NFTA_VERDICT_CHAIN);
  if (name.payload.empty()) return std::unexpected(EINVAL);
  Chain* chain = table.find_chain(name.text(), true);
  if (chain == nullptr) return std::unexpected(ENOENT);
  if (chain->hook) return std::unexpected(EOPNOTSUPP);
  return chain;
}

Outcome Transaction::read_expression(const Request& request, const Attribute& expression, Table& table, Rule& rule) {
  const std::string_view name = find_attribute(expression.payload, NFTA_EXPR_NAME).text();
  const std::string_view data = find_attribute(expression.payload, NFTA_EXPR_DATA).payload;
  if (name == "immediate") {
    const auto chain = read_verdict(find_attribute(data, NFTA_IMMEDIATE_DATA).payload, table);
    if (!chain) return request.refuse(chain.error(), expression);
    if (*chain != nullptr) rule.jumps.push_back(*chain);
  }
  if (name != "lookup" && name != "dynset") return {};
  static_assert(int{NFTA_LOOKUP_SET} == int{NFTA_DYNSET_SET_NAME});
  Set* set = table.find_set(find_attribute(data, NFTA_LOOKUP_SET).text(), true);
  if (set == nullptr) return request.refuse(ENOENT, expression);
  const bool is_map = (set->flags & NFT_SET_MAP) != 0;
  if (name == "lookup") {
    const bool takes_data = !find_attribute(data, NFTA_LOOKUP_DREG).payload.empty();
    if (takes_data && !is_map) return request.refuse(EINVAL, expression);
  } else {
    if ((set->flags & NFT_SET_EVAL) == 0) return request.refuse(EOPNOTSUPP, expression);
    if (find_attribute(data, NFTA_DYNSET_SREG_DATA).payload.empty() == is_map)
      return request.refuse(EINVAL, expression);
  }
  rule.sets.push_back(set);
  return {};
}

Outcome Transaction::read_expressions(const Request& request, Table& table, Rule& rule) {
  const auto list = request.find(NFTA_RULE_EXPRESSIONS);
  if (!list) return {};
  // All names first, then what each expression says.
  AttributeReader names(list->payload);
  std::size_t count = 0;
  for (Attribute expression; names.next(expression);) {
    const std::string_view name = find_attribute(expression.payload, NFTA_EXPR_NAME).text();
    if (++count > kMostExpressions) return Request::refuse(EOVERFLOW);
    if (std::ranges::find(kExpressions, name) == kExpressions.end()) return request.refuse(ENOENT, expression);
  }
  AttributeReader reader(list->payload);
  for (Attribute expression; reader.next(expression);)
    if (auto read = read_expression(request, expression, table, rule); !read) return read;
  rule.expressions = list->payload;
  return {};
}

Outcome Transaction::new_rule(const Request& request) {
  const auto found = table_of(request, NFTA_RULE_TABLE);
  if (!found) return std::unexpected(found.error());
  Table& table = **found;
  Chain* chain = table.find_chain(request.text(NFTA_RULE_CHAIN), true);
  if (chain == nullptr) return request.refuse(ENOENT, NFTA_RULE_CHAIN);
  const auto find_rule = [&](std::uint64_t handle) {
    const auto at = chain->by_handle.find(handle);
    return at == chain->by_handle.end() ? nullptr : at->second;
  };
  Rule* neighbour = nullptr;
  const bool replace = (request.flags & NLM_F_REPLACE) != 0;
  if (const auto handle = request.find(NFTA_RULE_HANDLE)) {
    neighbour = find_rule(handle->be64());
    if (neighbour == nullptr) return request.refuse(ENOENT, *handle);
    if ((request.flags & NLM_F_EXCL) != 0) return request.refuse(EEXIST, *handle);
    if (!replace) return Request::refuse(EOPNOTSUPP);
  }
  std::uint64_t handle = neighbour == nullptr ? 0 : neighbour->handle;
  if (neighbour == nullptr) {
    if ((request.flags & NLM_F_CREATE) == 0 || replace) return Request::refuse(EINVAL);
    handle = ++table.last_handle;
    if (const auto position = request.find(NFTA_RULE_POSITION)) {
      neighbour = find_rule(position->be64());
      if (neighbour == nullptr) return request.refuse(ENOENT, *position);
    }
  }
  auto made = std::make_unique<Rule>();
  made->handle = handle;
  if (auto read = read_expressions(request, table, *made); !read) return read;
  if (const auto user = request.find(NFTA_RULE_USERDATA)) made->user_data = user->payload;

  if (replace) {
    if (!neighbour->life.next) return Request::refuse(ENOENT);
    made->handle = ++table.last_handle;
    remove_rule(request, table, *chain, *neighbour);
  }
  const bool append = (request.flags & NLM_F_APPEND) != 0;
  auto place = append ? chain->rules.end() : chain->rules.begin();
  if (neighbour != nullptr) place = append || replace ? std::next(neighbour->place) : neighbour->place;
  Rule& rule = **chain->rules.insert(place, std::move(made));
  rule.place = std::prev(place);
  chain->by_handle.emplace(rule.handle, &rule);
  ++chain->use;
  use(rule, 1);
  Change& change = note(request, NFT_MSG_NEWRULE, table);
  change.chain = chain;
  change.rule = &rule;
  if (validating_ && !rule.jumps.empty() && !is_valid()) return Request::refuse(EMLINK);
  return {};
}

Outcome Transaction::delete_rules(const Request& request) {
  const auto found = table_of(request, NFTA_RULE_TABLE);
  if (!found) return std::unexpected(found.error());
  Table& table = **found;
  if (!request.has(NFTA_RULE_CHAIN)) {
    for (const auto& chain : table.chains)
      if (chain->life.next) remove_rules(request, table, *chain);
    return {};
  }
  Chain* chain = table.find_chain(request.text(NFTA_RULE_CHAIN), true);
  if (chain == nullptr) return request.refuse(ENOENT, NFTA_RULE_CHAIN);
  const auto handle = request.find(NFTA_RULE_HANDLE);
  if (!handle) {
    remove_rules(request, table, *chain);
    return {};
  }
  const auto at = chain->by_handle.find(handle->be64());
  if (at == chain->by_handle.end()) return request.refuse(ENOENT, *handle);
  // Deleted before in this transaction: it is found, but cannot go again.
  if (!at->second->life.next) return Request::refuse(ENOENT);
  remove_rule(request, table, *chain, *at->second);
  return {};
}

void Transaction::remove_rule(const Request& request, Table& table, Chain& chain, Rule& rule) {
  rule.life.next = false;
  --chain.use;
  use(rule, -1);
  Change& change = note(request, NFT_MSG_DELRULE, table);
  change.chain = &chain;
  change.rule = &rule;
}

void Transaction::remove_rules(const Request& request, Table& table, Chain& chain) {
  for (const auto& rule : chain.rules)
    if (rule->life.next) remove_rule(request, table, chain, *rule);
}

}  // namespace kubenatd::test::fake
