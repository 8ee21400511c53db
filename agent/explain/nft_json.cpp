#include "agent/explain/nft_json.h"

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "agent/explain/nft_json_members.h"
#include "agent/explain/nft_json_rule.h"
#include "agent/explain/nft_json_term.h"
#include "rules/walk/nft/assemble.h"

namespace kubenatd::agent::explain {
namespace {

using nlohmann::json;
using rules::Status;
using namespace rules::walk;
using rules::walk::nft::ChainSource;
using rules::walk::nft::RuleSource;
using rules::walk::nft::SetDefinition;
using rules::walk::nft::TableSource;

constexpr const char* kObject = "nft ruleset (JSON)";

Status failed(std::string cause) {
  return rules::fail(kObject, "read", std::move(cause));
}

/// Collects the objects of the list: what belongs to a table names it.
class Reader {
 public:
  Status object(const json& entry) {
    if (!entry.is_object() || entry.size() != 1) return failed("an entry is no object of one kind");
    const std::string& kind = entry.begin().key();
    const json& what = entry.begin().value();
    if (kind == "metainfo") return {};
    if (!what.is_object()) return failed(fmt::format("\"{}\" is no object", kind));
    if (kind == "table") return table(what);
    if (kind == "chain") return chain(what);
    if (kind == "rule") return rule(what);
    if (kind == "set" || kind == "map") return set(what, kind == "map");
    for (const char* command : {"add", "delete", "flush", "replace", "insert", "create"})
      if (kind == command) return failed("commands in place of a ruleset");
    // Counters, quotas, flow tables, ...: rules name them, and nothing in them is looked at.
    return {};
  }
  std::vector<TableSource> take() { return std::move(tables_); }

 private:
  using Key = std::pair<TableFamily, std::string>;

  Status table(const json& what) {
    const auto family = rules::walk::nft::family_named(text_at(what, "family"));
    const std::string name = text_at(what, "name");
    if (!family || name.empty()) return failed("a table without family or name");
    if (!by_name_.emplace(Key(*family, name), tables_.size()).second)
      return failed(fmt::format("table {} {} is there twice", text_at(what, "family"), name));
    TableSource& made = tables_.emplace_back();
    made.family = *family;
    made.name = name;
    made.handle = number_at(what, "handle");
    for (const std::string& flag : words_at(what, "flags")) made.dormant = made.dormant || flag == "dormant";
    return {};
  }

  /// `nft -j list chain` does not name the table before.
  TableSource* table_of(const json& what) {
    const auto family = rules::walk::nft::family_named(text_at(what, "family"));
    const std::string name = text_at(what, "table");
    if (!family || name.empty()) return nullptr;
    const auto [found, is_new] = by_name_.emplace(Key(*family, name), tables_.size());
    if (is_new) {
      tables_.emplace_back();
      tables_.back().family = *family;
      tables_.back().name = name;
    }
    return &tables_[found->second];
  }

  Status chain(const json& what) {
    TableSource* table = table_of(what);
    ChainSource made;
    made.name = text_at(what, "name");
    if (table == nullptr || made.name.empty()) return failed("a chain without table or name");
    made.handle = number_at(what, "handle");
    if (what.contains("hook")) {
      const auto priority = what.find("prio");
      const bool known = priority != what.end() && priority->is_number_integer() &&
                         *priority >= std::numeric_limits<std::int32_t>::min() &&
                         *priority <= std::numeric_limits<std::int32_t>::max();
      if (known)
        made.base =
            rules::walk::nft::base_of(text_at(what, "type"), text_at(what, "hook"), priority->get<std::int32_t>());
      if (!made.base) return failed(fmt::format("type, hook or priority of chain {}", made.name));
      made.base->policy_drop = text_at(what, "policy") == "drop";
      made.base->devices = words_at(what, "dev");
    }
    const auto key = std::pair(static_cast<std::size_t>(table - tables_.data()), made.name);
    if (!chains_.emplace(key, table->chains.size()).second)
      return failed(fmt::format("chain {} of table {} is there twice", made.name, table->name));
    table->chains.push_back(std::move(made));
    return {};
  }

  Status rule(const json& what) {
    TableSource* table = table_of(what);
    const std::string name = text_at(what, "chain");
    if (table == nullptr || name.empty()) return failed("a rule without table or chain");
    const auto [found, is_new] =
        chains_.emplace(std::pair(static_cast<std::size_t>(table - tables_.data()), name), table->chains.size());
    if (is_new) {
      table->chains.emplace_back();
      table->chains.back().name = name;
    }
    RuleSource& made = table->chains[found->second].rules.emplace_back();
    made.has_text = false;
    made.handle = number_at(what, "handle");
    made.comment = text_at(what, "comment");
    const auto expressions = what.find("expr");
    if (expressions == what.end() || !expressions->is_array()) {
      rules::walk::nft::Clause clause;
      clause.text = "a rule that nft did not print";
      made.clauses.push_back(std::move(clause));
      return {};
    }
    for (const json& expression : *expressions) {
      made.clauses.push_back(nft_clause(expression));
      const rules::walk::nft::Clause& last = made.clauses.back();
      if (last.kind == rules::walk::nft::Clause::Kind::kCounter && expression.is_object())
        made.counters =
            Counters{number_at(expression.begin().value(), "packets"), number_at(expression.begin().value(), "bytes")};
    }
    return {};
  }

  Status set(const json& what, bool is_map) {
    TableSource* table = table_of(what);
    SetDefinition made;
    made.name = text_at(what, "name");
    if (table == nullptr || made.name.empty()) return failed("a set without table or name");
    made.is_map = is_map;
    made.flags = words_at(what, "flags");
    types(what, "type", made.key_types, made.key_of);
    if (is_map) types(what, "map", made.data_types, made.data_of);
    if (const auto statements = what.find("stmt"); statements != what.end() && statements->is_array())
      for (const json& statement : *statements)
        made.conditional = made.conditional || !nft_condition(statement).empty();
    if (const auto elements = what.find("elem"); elements != what.end())
      made.elements = std::move(nft_elements(*elements, is_map).parts);
    table->sets.push_back(std::move(made));
    return {};
  }

  static void types(const json& what, const char* key, std::vector<std::string>& names,
                    std::optional<rules::walk::nft::Term>& of) {
    // A concatenation is a list of words, or one word with all of them (nft 1.0.6, of data).
    for (std::string_view all_names : words_at(what, key)) {
      for (std::size_t end = all_names.find(" . "); end != std::string_view::npos; end = all_names.find(" . ")) {
        names.emplace_back(all_names.substr(0, end));
        all_names.remove_prefix(end + 3);
      }
      names.emplace_back(all_names);
    }
    const auto found = what.find(key);
    if (found == what.end() || !found->is_object()) return;
    const auto inner = found->find("typeof");
    of = nft_term(inner != found->end() ? *inner : *found);
  }

  std::vector<TableSource> tables_;
  std::map<Key, std::size_t> by_name_;
  std::map<std::pair<std::size_t, std::string>, std::size_t> chains_;
};

}  // namespace

Status read_nft_json(std::string_view text, Ruleset& into) {
  const json document = json::parse(text, nullptr, false);
  if (document.is_discarded()) return failed("not a JSON document");
  const auto list = document.is_object() ? document.find("nftables") : document.end();
  if (list == document.end() || !list->is_array()) return failed("no list \"nftables\" in it");
  Reader reader;
  for (const json& entry : *list)
    if (Status read = reader.object(entry); !read) return read;
  std::vector<TableSource> tables = reader.take();
  if (tables.empty()) return failed("no table in it");
  return rules::walk::nft::add_tables(std::move(tables), into);
}

}  // namespace kubenatd::agent::explain
