#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/error.h"
#include "rules/walk/nft/compile.h"
#include "rules/walk/ruleset.h"

/// Tables as nft's text or JSON has them, on their way into a Ruleset.
namespace kubenatd::rules::walk::nft {

struct RuleSource {
  std::vector<Clause> clauses;
  std::string comment;
  std::uint64_t handle = 0;
  std::optional<Counters> counters;
  bool has_text = true;  ///< its clauses have nft's own words
};

struct ChainSource {
  std::string name;
  std::optional<Base> base;
  std::vector<RuleSource> rules;
  std::uint64_t handle = 0;
};

struct TableSource {
  TableFamily family = TableFamily::kIp;
  std::string name;
  bool dormant = false;
  std::uint64_t handle = 0;
  std::vector<SetDefinition> sets;
  std::vector<ChainSource> chains;
};

[[nodiscard]] std::optional<TableFamily> family_named(std::string_view name);
/// What begins a chain; none: the words are not known.
[[nodiscard]] std::optional<Base> base_of(std::string_view type, std::string_view hook, std::int32_t priority);

/// Adds the tables. Sets of a text without any element may have some that nft was told to leave away (-t): they are not
/// complete.
///
/// Failure: a table, chain or set is there twice; `into` may then have a part of them. Cost: linear.
[[nodiscard]] Status add_tables(std::vector<TableSource> tables, Ruleset& into);

}  // namespace kubenatd::rules::walk::nft
