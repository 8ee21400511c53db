#include "agent/dataplane/nftables/desired_table.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "netlink/nftables/codec.h"
#include "netlink/walk/rule_reader.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;
namespace walk = rules::walk;

std::uint16_t size_of(FieldType field, rules::Family family) {
  switch (field) {
    case FieldType::kAddress: return rules::bits_of(family) / 8;
    case FieldType::kProtocol: return 1;
    case FieldType::kPort: return 2;
    case FieldType::kClassId: break;
  }
  return 4;
}

std::string_view word_of(FieldType field, rules::Family family) {
  switch (field) {
    case FieldType::kAddress: return family == rules::Family::kIpv4 ? "ipv4_addr" : "ipv6_addr";
    case FieldType::kProtocol: return "inet_proto";
    case FieldType::kPort: return "inet_service";
    case FieldType::kClassId: break;
  }
  return "classid";
}

/// In registers: of one field its own size; of more, each is filled up to four bytes.
std::uint16_t size_of(const std::vector<FieldType>& fields, rules::Family family) {
  if (fields.size() == 1) return size_of(fields.front(), family);
  std::uint16_t size = 0;
  for (const FieldType field : fields) size = static_cast<std::uint16_t>(size + (size_of(field, family) + 3) / 4 * 4);
  return size;
}

walk::WalkSet set_of(const SetSpec& spec, rules::Family family) {
  walk::WalkSet set;
  set.name = spec.name;
  for (const FieldType field : spec.key) {
    set.parts.push_back(size_of(field, family));
    set.type.append(set.type.empty() ? "" : " . ").append(word_of(field, family));
  }
  set.is_map = !spec.data.empty();
  set.data_size = set.is_map ? size_of(spec.data, family) : 0;
  set.interval = spec.interval;
  set.dynamic = spec.dynamic;
  return set;
}

walk::SetElement element_of(const ElementKey& key, const ElementValue& value, std::size_t key_size,
                            std::size_t data_size) {
  walk::SetElement element;
  element.first = walk::Bytes(key.key.view().substr(0, key_size));
  element.last = element.first;
  for (std::size_t bit = 0; bit < key.range; ++bit)
    element.last.data[element.last.size - 1U - bit / 8] |= static_cast<std::uint8_t>(1U << bit % 8);
  element.data = walk::Bytes(value.data.view().substr(0, data_size));
  if (value.comment) element.comment = *value.comment;
  return element;
}

std::optional<walk::Base> base_of(const Chain& chain) {
  walk::Base base;
  switch (chain.hook) {
    case Hook::kNone: return std::nullopt;
    case Hook::kPrerouting: base.hook = walk::Hook::kPrerouting; break;
    case Hook::kInput: base.hook = walk::Hook::kInput; break;
    case Hook::kForward: base.hook = walk::Hook::kForward; break;
    case Hook::kOutput: base.hook = walk::Hook::kOutput; break;
    case Hook::kPostrouting: base.hook = walk::Hook::kPostrouting; break;
  }
  base.type = chain.nat ? walk::Base::Type::kNat : walk::Base::Type::kFilter;
  base.priority = chain.priority;
  return base;
}

/// The elements of one set, and what is needed to make them what a walk takes.
struct Elements {
  walk::WalkSet* set = nullptr;  ///< while the table is made
  std::size_t key_size = 0, data_size = 0;
  std::vector<std::pair<ElementKey, ElementValue>> all;

  [[nodiscard]] walk::SetElement make(const std::pair<ElementKey, ElementValue>& one) const {
    return element_of(one.first, one.second, key_size, data_size);
  }
};

/// Elements that become values when they are asked for.
class ElementsOnDemand {
 public:
  void add(const std::string& set, Elements elements) {
    std::ranges::sort(elements.all, {}, [](const auto& one) { return one.first.key.view(); });
    elements.all.shrink_to_fit();
    elements.set = nullptr;
    sets_.emplace(set, std::move(elements));
  }
  [[nodiscard]] bool empty() const { return sets_.empty(); }
  [[nodiscard]] walk::Found find(const std::string& set, const walk::Bytes& key) const {
    const auto found = sets_.find(set);
    if (found == sets_.end()) return {};
    const Elements& elements = found->second;
    // Behind the end of a key are zeros.
    const std::string_view wanted(reinterpret_cast<const char*>(key.data.data()), elements.key_size);
    const auto view = [&](const auto& one) { return one.first.key.view().substr(0, elements.key_size); };
    const auto at = std::ranges::lower_bound(elements.all, wanted, {}, view);
    if (at == elements.all.end() || view(*at) != wanted) return {walk::Found::Answer::kAbsent, {}};
    return {walk::Found::Answer::kThere, elements.make(*at)};
  }

 private:
  std::map<std::string, Elements> sets_;
};

}  // namespace

void add_desired_table(walk::Ruleset& into, rules::Family family, const DesiredElements& desired,
                       const DesiredElements::AsIf& as_if, std::size_t at_once) {
  const Ruleset ruleset = desired.ruleset();
  walk::WalkTable& table =
      into.table(family == rules::Family::kIpv4 ? walk::TableFamily::kIp : walk::TableFamily::kIp6, kTable);
  std::map<SetRef, Elements> sets;
  for (const SetSpec& spec : ruleset.sets) {
    walk::WalkSet& set = table.sets[spec.name] = set_of(spec, family);
    sets[spec.ref] = {.set = &set, .key_size = size_of(spec.key, family), .data_size = set.data_size, .all = {}};
  }
  desired.for_each_element(
      [&](const SetRef& set) { return sets.contains(set); },
      [&](const ElementKey& key, const ElementValue& value) { sets.at(key.set).all.emplace_back(key, value); }, as_if);
  const auto on_demand = std::make_shared<ElementsOnDemand>();
  for (auto& [ref, elements] : sets) {
    walk::WalkSet& set = *elements.set;
    // Who asks for a key in ranges asks for what is in no element's key.
    if (elements.all.size() > at_once && !set.interval) {
      set.complete = false;
      on_demand->add(set.name, std::move(elements));
      continue;
    }
    set.elements.reserve(elements.all.size());
    for (const auto& one : elements.all) set.elements.push_back(elements.make(one));
    elements.all = {};
  }
  if (!on_demand->empty())
    into.look_up = [on_demand](const walk::WalkTable& /*table*/, const walk::WalkSet& set, const walk::Bytes& key) {
      return on_demand->find(set.name, key);
    };
  // A chain's rules may name chains that come later: all are there before any rule is read.
  for (const Chain& chain : ruleset.chains) {
    walk::WalkChain& made = table.chains[chain.name];
    made.name = chain.name;
    made.base = base_of(chain);
  }
  for (const Chain& chain : ruleset.chains) {
    walk::WalkChain& made = table.chains[chain.name];
    for (const NftRule& rule : chain.rules) {
      walk::WalkRule read =
          netlink::walk::read_rule(netlink::nftables::encode_nft_expressions(rule, family), {}, table);
      read.comment = rule.comment;
      made.rules.push_back(std::move(read));
    }
  }
}

}  // namespace kubenatd::agent::dataplane::nftables
