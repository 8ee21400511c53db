#include "netlink/iptables/reader.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <optional>
#include <string>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"
#include "netlink/iptables/rule_decoder.h"

namespace kubenatd::netlink::iptables {
namespace {

using rules::Family;
using rules::Table;

// A dump of a whole table walks over all that it has dumped again for each 32 KiB of answer (__nf_tables_dump_rules),
// 4 s for 140 000 rules; the kernel finds a single chain by hash. Tables up to this size are dumped whole.
constexpr std::size_t kWholeDumpUses = 4000;

/// The part of the generation that every message of a dump carries. When it has a value, answers of another generation
/// count as an interruption.
using Mark = std::optional<std::uint16_t>;

rules::Result<bool> dump_chains_once(NfTables& kernel, Family family, Table table, const ChainVisitor& visit,
                                     Mark& mark, bool loose) {
  const std::string_view table_name = rules::name_of(table);
  const auto read = [&](const Message& message) {
    mark = message.generation_mark();
    LiveChain chain;
    bool is_ours = false;
    AttributeReader reader(message.attributes());
    for (Attribute attribute; reader.next(attribute);) {
      switch (attribute.type) {
        // The kernel dumps the chains of every table of the family (nf_tables_dump_chains, 6.18).
        case NFTA_CHAIN_TABLE: is_ours = attribute.text() == table_name; break;
        case NFTA_CHAIN_NAME: chain.name = attribute.text(); break;
        case NFTA_CHAIN_HOOK: chain.is_base = true; break;
        case NFTA_CHAIN_USE: chain.use = attribute.be32(); break;
        case NFTA_CHAIN_POLICY: chain.policy_drop = attribute.be32() == NF_DROP; break;
        default: break;
      }
    }
    if (is_ours && !chain.name.empty()) visit(chain);
  };
  return kernel.dump_once({family, NFT_MSG_GETCHAIN, table_name, {}}, read, loose);
}

rules::Result<bool> dump_rules_once(NfTables& kernel, Family family, Table table, std::string_view chain, Mark& mark,
                                    LiveRule& rule, const RuleVisitor& visit, bool loose) {
  const std::string_view table_name = rules::name_of(table);
  bool same_generation = true;
  const auto read = [&](const Message& message) {
    if (!mark) mark = message.generation_mark();
    if (mark != message.generation_mark() && !loose) same_generation = false;
    if (!same_generation) return;
    std::string_view in_table, expressions;
    bool has_user_data = false;
    rule.chain = {};
    rule.handle = 0;
    AttributeReader reader(message.attributes());
    for (Attribute attribute; reader.next(attribute);) {
      switch (attribute.type) {
        case NFTA_RULE_TABLE: in_table = attribute.text(); break;
        case NFTA_RULE_CHAIN: rule.chain = attribute.text(); break;
        case NFTA_RULE_HANDLE: rule.handle = attribute.be64(); break;
        case NFTA_RULE_EXPRESSIONS: expressions = attribute.payload; break;
        case NFTA_RULE_USERDATA: has_user_data = true; break;
        default: break;
      }
    }
    if (in_table != table_name || (!chain.empty() && rule.chain != chain)) return;
    RuleCounters counters;
    decode_rule(expressions, family, rule.rule, counters);
    rule.packets = counters.packets;
    rule.bytes = counters.bytes;
    // iptables 1.8.9 writes none; nft keeps its comments there, which iptables prints as another match.
    if (has_user_data && rule.rule.opaque.empty()) {
      rule.rule = rules::Rule{};
      rule.rule.opaque = "has user data of nft";
    }
    visit(rule);
  };
  auto whole = kernel.dump_once({family, NFT_MSG_GETRULE, table_name, chain}, read, loose);
  if (whole && !same_generation) return false;
  return whole;
}

rules::Result<bool> dump_table_once(NfTables& kernel, Family family, Table table, LiveRule& rule,
                                    const RuleVisitor& visit) {
  const auto before = kernel.generation();
  if (!before) return std::unexpected(before.error());
  std::string names;  // each with its NUL: one piece of memory for 50 000 chains
  std::size_t uses = 0;
  Mark mark;
  const auto collect = [&](const LiveChain& chain) {
    uses += chain.use;
    if (chain.use != 0) names.append(chain.name).push_back('\0');
  };
  if (auto whole = dump_chains_once(kernel, family, table, collect, mark, false); !whole || !*whole) return whole;
  if (uses <= kWholeDumpUses) return dump_rules_once(kernel, family, table, {}, mark, rule, visit, false);
  for (std::size_t at = 0; at < names.size();) {
    const std::string_view name = names.data() + at;
    if (auto whole = dump_rules_once(kernel, family, table, name, mark, rule, visit, false); !whole || !*whole)
      return whole;
    at += name.size() + 1;
  }
  const auto after = kernel.generation();
  if (!after) return std::unexpected(after.error());
  return *before == *after;
}

}  // namespace

rules::Status dump_chains(NfTables& kernel, Family family, Table table, const ChainVisitor& visit,
                          const std::function<void()>& restart, Interrupted interrupted) {
  const auto once = [&](bool loose) {
    Mark mark;
    return dump_chains_once(kernel, family, table, visit, mark, loose);
  };
  return kernel.dump(describe_object(family, rules::name_of(table), "chains"), once, restart, interrupted);
}

rules::Status dump_rules(NfTables& kernel, Family family, Table table, std::string_view chain, const RuleVisitor& visit,
                         const std::function<void()>& restart, Interrupted interrupted) {
  LiveRule rule;
  const auto once = [&](bool loose) {
    if (chain.empty()) return dump_table_once(kernel, family, table, rule, visit);
    Mark mark;
    return dump_rules_once(kernel, family, table, chain, mark, rule, visit, loose);
  };
  if (chain.empty()) interrupted = Interrupted::kRepeat;
  return kernel.dump(describe_object(family, rules::name_of(table), chain), once, restart, interrupted);
}

}  // namespace kubenatd::netlink::iptables
