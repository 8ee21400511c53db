#include "agent/dataplane/nftables/diff.h"

#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "agent/dataplane/nftables/live.h"
#include "netlink/core/attributes.h"
#include "rules/nftables/text.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;
using Presence = iptables::ChainDiff::Presence;
using Line = iptables::ChainDiff::Line;

std::string describe(const NftablesStructure::Rule& rule) {
  std::string text = "(expressions";
  netlink::AttributeReader reader(rule.expressions);
  for (netlink::Attribute element; reader.next(element);)
    text.append(" ").append(netlink::find_attribute(element.payload, NFTA_EXPR_NAME).text());
  text += ')';
  if (!rule.comment.empty()) text += fmt::format(" comment \"{}\"", rule.comment);
  return text;
}

std::string set_word(const SetSpec& set) {
  return (set.data.empty() ? "set " : "map ") + set.name;
}

/// Rules at the same place, one by one: a chain is written as a whole.
std::vector<Line> diff_rules(const std::vector<NftablesStructure::Rule>& live, const std::vector<NftRule>& wanted,
                             rules::Family family) {
  std::vector<Line> lines;
  for (std::size_t i = 0; i < std::max(live.size(), wanted.size()); ++i) {
    const bool equal = i < live.size() && i < wanted.size() && equal_rules({live[i]}, {wanted[i]}, family);
    if (equal) continue;
    if (i < live.size()) lines.push_back({'-', describe(live[i])});
    if (i < wanted.size()) lines.push_back({'+', to_text(wanted[i], family)});
  }
  return lines;
}

class Comparison {
 public:
  Comparison(netlink::NfTables& kernel, rules::Family family, DesiredElements& desired)
      : kernel_(kernel), family_(family), desired_(desired), wanted_(desired.ruleset()) {}

  rules::Result<std::vector<NftablesDiff>> run() {
    auto read = read_nftables_structure(kernel_, family_);
    if (!read) return std::unexpected(read.error());
    live_ = std::move(*read);
    if (live_.sets.empty() && live_.chains.empty()) {
      diffs_.push_back({fmt::format("table {}", kTable), Presence::kMissing, {}});
      return std::move(diffs_);
    }
    if (auto elements = compare_elements(); !elements) return std::unexpected(elements.error());
    compare_sets();
    compare_chains();
    return std::move(diffs_);
  }

 private:
  rules::Status compare_elements() {
    LiveElements live;
    for (const SetSpec& set : wanted_.sets) {
      specs_.emplace(set.ref, &set);
      if (set.dynamic) continue;
      if (auto read = read_nftables_elements(kernel_, family_, set.ref, live); !read) return read;
    }
    desired_.adopt_order([&](const ElementKey& key) -> std::optional<Bytes<kDataCapacity>> {
      const auto found = live.find(key);
      return found == live.end() ? std::nullopt : std::optional(found->second.data);
    });
    desired_.for_each_element([](const SetRef& /*set*/) { return true; },
                              [&](const ElementKey& key, const ElementValue& value) {
                                const auto found = live.find(key);
                                const bool missing = found == live.end();
                                if (!missing && equal(found->second, value)) {
                                  live.erase(found);
                                } else {
                                  add('+', key, value);
                                }
                              });
    for (const auto& [key, value] : live)
      add('-', key, {value.data, std::make_shared<const std::string>(value.comment)});
    return {};
  }

  void add(char sign, const ElementKey& key, const ElementValue& value) {
    const auto spec = specs_.find(key.set);
    if (spec != specs_.end()) lines_[key.set].push_back({sign, to_text(key, value, *spec->second, family_)});
  }

  void compare_sets() {
    for (const SetSpec& set : wanted_.sets) {
      const auto found = live_.sets.find(set.name);
      std::vector<Line>& lines = lines_[set.ref];
      std::ranges::sort(lines, {}, &Line::rule);
      const bool missing = found == live_.sets.end();
      if (!missing && found->second != netlink::nftables::describe_nft_set(set, family_))
        lines.insert(lines.begin(), {'-', "(a set of another type)"});
      if (missing || !lines.empty())
        diffs_.push_back({set_word(set), missing ? Presence::kMissing : Presence::kBoth, std::move(lines)});
      if (!missing) live_.sets.erase(found);
    }
    for (const auto& [name, set] : live_.sets) diffs_.push_back({"set " + name, Presence::kUnwanted, {}});
  }

  void compare_chains() {
    for (const Chain& chain : wanted_.chains) {
      const auto found = live_.chains.find(chain.name);
      const bool missing = found == live_.chains.end();
      std::vector<Line> lines = diff_rules(live_.rules[chain.name], chain.rules, family_);
      if (!missing && found->second != netlink::nftables::describe_nft_chain(chain))
        lines.insert(lines.begin(), {'-', "(hooked in another way)"});
      if (missing || !lines.empty())
        diffs_.push_back({"chain " + chain.name, missing ? Presence::kMissing : Presence::kBoth, std::move(lines)});
      if (!missing) live_.chains.erase(found);
    }
    for (const auto& [name, chain] : live_.chains)
      diffs_.push_back({"chain " + name, Presence::kUnwanted, diff_rules(live_.rules[name], {}, family_)});
  }

  netlink::NfTables& kernel_;
  rules::Family family_;
  DesiredElements& desired_;
  const Ruleset wanted_;
  NftablesStructure live_;
  std::map<SetRef, const SetSpec*> specs_;
  std::map<SetRef, std::vector<Line>> lines_;
  std::vector<NftablesDiff> diffs_;
};

}  // namespace

rules::Result<std::vector<NftablesDiff>> diff_nftables_with_live(netlink::NfTables& kernel, rules::Family family,
                                                                 DesiredElements& desired) {
  return Comparison(kernel, family, desired).run();
}

}  // namespace kubenatd::agent::dataplane::nftables
