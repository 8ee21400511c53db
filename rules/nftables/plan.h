#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/nftables/desired.h"

namespace kubenatd::rules::nftables {

/// Names in the table.
struct Names {
  std::set<std::string, std::less<>> sets;
  std::set<std::string, std::less<>> chains;
  std::set<std::string, std::less<>> flowtables{};
  [[nodiscard]] bool empty() const { return sets.empty() && chains.empty() && flowtables.empty(); }
  bool operator==(const Names&) const = default;
};

/// What is to be written to the table, as a value.
struct Plan {
  bool delete_table = false;  ///< what is there cannot be changed into what is wanted
  bool everything = false;    ///< the table is new: all elements are added, and none of them is in `added`
  std::vector<SetSpec> new_sets;
  std::vector<FlowtableSpec> new_flowtables;  ///< without devices
  std::vector<Chain> new_chains;
  std::vector<Chain> rewritten;  ///< among them the new ones
  std::set<std::string> old_chains;
  std::set<std::string> old_sets;
  std::set<std::string> old_flowtables;
  std::vector<ElementKey> removed;  ///< also those that are added with another value
  std::vector<std::pair<ElementKey, ElementValue>> added;

  /// Of all this, what others changed; the rest follows from what is wanted now.
  bool table_drifted = false;
  Names drifted;

  [[nodiscard]] bool empty() const {
    return !delete_table && !everything && new_sets.empty() && new_chains.empty() && old_sets.empty() &&
           new_flowtables.empty() && old_flowtables.empty() && rewritten.empty() && old_chains.empty() &&
           removed.empty() && added.empty();
  }
};

/// Takes the steps of a plan, one by one.
class PlanWriter {
 public:
  virtual ~PlanWriter() = default;
  virtual void delete_table() = 0;
  /// Nothing when it is there.
  virtual void create_table() = 0;
  virtual void create_set(const SetSpec& set) = 0;
  virtual void create_flowtable(const FlowtableSpec& flowtable) = 0;
  virtual void create_chain(const Chain& chain) = 0;
  virtual void flush_chain(std::string_view chain) = 0;
  virtual void add_rule(std::string_view chain, const NftRule& rule) = 0;
  virtual void delete_chain(std::string_view chain) = 0;
  virtual void delete_set(std::string_view set) = 0;
  virtual void delete_flowtable(std::string_view flowtable) = 0;
  virtual void remove_element(const ElementKey& key) = 0;
  virtual void add_element(const ElementKey& key, const ElementValue& value) = 0;
  /// What removes elements comes before this, what adds them after it.
  virtual void all_removed() = 0;
};

/// Writes a plan in an order in which nothing is used before it is there, or deleted while it is used. `desired` gives
/// the elements when the plan is about everything. Pure.
void write(const Plan& plan, const DesiredElements& desired, PlanWriter& writer);

/// Takes out of the plan what others changed in sets and chains for which the answer is yes; what is wanted of them
/// since the last commit stays. Not taken out is what a chain that stays in the plan needs. Returns what was taken out.
/// Pure.
struct Held {
  std::function<bool(std::string_view)> set;
  std::function<bool(std::string_view)> chain;
  std::function<bool(std::string_view)> flowtable;
};
Names hold_back(Plan& plan, const DesiredElements& desired, const Held& held);

}  // namespace kubenatd::rules::nftables
