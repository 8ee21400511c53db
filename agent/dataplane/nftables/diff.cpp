#include "agent/dataplane/nftables/diff.h"

#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "agent/dataplane/nftables/live.h"
#include "netlink/core/attributes.h"
#include "rules/nftables/text.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;
using Presence = ObjectDiff::Presence;
using Line = ObjectDiff::Line;

std::string describe(const NftablesStructure::Rule& rule) {
  std::string text = "(expressions";
  netlink::AttributeReader reader(rule.expressions);
  for (netlink::Attribute element; reader.next(element);)
    text.append(" ").append(netlink::find_attribute(element.payload, NFTA_EXPR_NAME).text());
  text += ')';
  if (!rule.comment.empty()) text += fmt::format(" comment \"{}\"", rule.comment);
  return text;
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
  Comparison(netlink::NfTables& kernel, const DesiredElements& desired, const HostPortElements& host_ports,
             const std::set<std::string>& devices)
      : kernel_(kernel),
        family_(desired.options().node.family),
        desired_(desired),
        host_ports_(host_ports),
        devices_(devices),
        wanted_(desired.ruleset()) {}

  rules::Result<std::vector<ObjectDiff>> run() {
    auto read = read_nftables_structure(kernel_, family_);
    if (!read) return std::unexpected(read.error());
    live_ = std::move(*read);
    if (live_.sets.empty() && live_.chains.empty()) {
      diffs_.push_back(
          {.object = rules::table_ref(family_, kTable), .is_map = false, .presence = Presence::kMissing, .lines = {}});
      return std::move(diffs_);
    }
    if (auto elements = compare_elements(); !elements) return std::unexpected(elements.error());
    compare_sets();
    compare_flowtables();
    compare_chains();
    return std::move(diffs_);
  }

 private:
  rules::Status compare_elements() {
    for (const SetSpec& set : wanted_.sets) specs_.emplace(set.ref, &set);
    auto read = read_all_nftables_elements(kernel_, family_, wanted_);
    if (!read) return std::unexpected(read.error());
    LiveElements& live = *read;
    const LiveElements order = live;  // what is equal is taken out of `live`
    desired_.for_each_element([](const SetRef& /*set*/) { return true; },
                              [&](const ElementKey& key, const ElementValue& value) {
                                const auto found = live.find(key);
                                const bool missing = found == live.end();
                                if (!missing && equal(found->second, value)) {
                                  live.erase(found);
                                } else {
                                  add('+', key, value);
                                }
                              },
                              {.order = order_of(order), .host_ports = &host_ports_});
    for (const auto& [key, value] : live)
      add('-', key, {value.data, std::make_shared<const std::string>(value.comment)});
    return {};
  }

  void add(char sign, const ElementKey& key, const ElementValue& value) {
    const auto spec = specs_.find(key.set);
    if (spec != specs_.end()) lines_[key.set].push_back({sign, to_text(key, value, *spec->second, family_)});
  }

  void tell(rules::ObjectRef object, Presence presence, std::vector<Line> lines, bool is_map = false) {
    diffs_.push_back({.object = std::move(object), .is_map = is_map, .presence = presence, .lines = std::move(lines)});
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
        tell(rules::set_ref(family_, kTable, set.name), missing ? Presence::kMissing : Presence::kBoth,
             std::move(lines), !set.data.empty());
      if (!missing) live_.sets.erase(found);
    }
    for (const auto& [name, set] : live_.sets)
      tell(rules::set_ref(family_, kTable, name), Presence::kUnwanted, {}, set.data_type != 0);
  }

  void compare_flowtables() {
    for (const FlowtableSpec& flowtable : wanted_.flowtables) {
      const auto found = live_.flowtables.find(flowtable.name);
      const bool missing = found == live_.flowtables.end();
      std::vector<Line> lines;
      if (!missing && !found->second.is_like(flowtable)) lines.push_back({'-', "(hooked in another way)"});
      static const std::set<std::string> kNone;
      const std::set<std::string>& live = missing ? kNone : found->second.devices;
      for (const std::string& device : live)
        if (!devices_.contains(device)) lines.push_back({'-', "device " + device});
      for (const std::string& device : devices_)
        if (!live.contains(device)) lines.push_back({'+', "device " + device});
      if (missing || !lines.empty())
        tell(rules::flowtable_ref(family_, kTable, flowtable.name), missing ? Presence::kMissing : Presence::kBoth,
             std::move(lines));
      if (!missing) live_.flowtables.erase(found);
    }
    for (const auto& [name, flowtable] : live_.flowtables)
      tell(rules::flowtable_ref(family_, kTable, name), Presence::kUnwanted, {});
  }

  void compare_chains() {
    for (const Chain& chain : wanted_.chains) {
      const auto found = live_.chains.find(chain.name);
      const bool missing = found == live_.chains.end();
      std::vector<Line> lines = diff_rules(live_.rules[chain.name], chain.rules, family_);
      if (!missing && found->second != netlink::nftables::describe_nft_chain(chain))
        lines.insert(lines.begin(), {'-', "(hooked in another way)"});
      if (missing || !lines.empty())
        tell(rules::chain_ref(family_, kTable, chain.name), missing ? Presence::kMissing : Presence::kBoth,
             std::move(lines));
      if (!missing) live_.chains.erase(found);
    }
    for (const auto& [name, chain] : live_.chains)
      tell(rules::chain_ref(family_, kTable, name), Presence::kUnwanted, diff_rules(live_.rules[name], {}, family_));
  }

  netlink::NfTables& kernel_;
  rules::Family family_;
  const DesiredElements& desired_;
  const HostPortElements& host_ports_;
  const std::set<std::string>& devices_;
  const Ruleset wanted_;
  NftablesStructure live_;
  std::map<SetRef, const SetSpec*> specs_;
  std::map<SetRef, std::vector<Line>> lines_;
  std::vector<ObjectDiff> diffs_;
};

}  // namespace

rules::Result<std::vector<ObjectDiff>> diff_with_live(netlink::NfTables& kernel, const DesiredElements& desired,
                                                      const HostPortElements& host_ports,
                                                      const std::set<std::string>& devices) {
  return Comparison(kernel, desired, host_ports, devices).run();
}

}  // namespace kubenatd::agent::dataplane::nftables
