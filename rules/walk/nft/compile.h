#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rules/walk/nft/language.h"
#include "rules/walk/nft/value_read.h"
#include "rules/walk/ruleset.h"

/// From nft's language to statements: what nft would make the kernel do.
namespace kubenatd::rules::walk::nft {

/// A set or map as its definition says it.
struct SetDefinition {
  std::string name;
  bool is_map = false;
  std::vector<std::string> key_types, data_types;  ///< names of types, "verdict"; or, with typeof:
  std::optional<Term> key_of, data_of;
  std::vector<std::string> flags;
  bool conditional = false;  ///< each element of it holds a limit or the like
  std::vector<Term> elements;
  bool complete = true;
};

/// Adds a set to the table. Elements that cannot be read leave the set incomplete.
void add_set(WalkTable& table, const SetDefinition& definition);

/// Adds the set that stands in a rule ("{ 80, 443 }"), named as the kernel does. `data`: places of a map's data; none:
/// verdicts, or whatever the elements have.
const WalkSet& add_anonymous_set(WalkTable& table, const Term& set, const std::vector<Place>& key, bool is_map,
                                 const std::vector<Place>& data);

/// Statements of one rule. Its anonymous sets are added to the table, whose named sets must be there already.
/// Widths and byte orders are those of the kernel; what a protocol's name implies ("tcp dport": meta l4proto tcp) is
/// said. A clause that is not understood is a statement that cannot be judged.
///
/// Failure: none. Cost: linear.
[[nodiscard]] std::vector<Statement> compile_rule(WalkTable& table, const std::vector<Clause>& clauses);

}  // namespace kubenatd::rules::walk::nft
