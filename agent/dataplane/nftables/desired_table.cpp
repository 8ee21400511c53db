#include "agent/dataplane/nftables/desired_table.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>

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

}  // namespace

void add_desired_table(walk::Ruleset& into, rules::Family family, const DesiredElements& desired,
                       const DesiredElements::AsIf& as_if) {
  const Ruleset ruleset = desired.ruleset();
  walk::WalkTable& table =
      into.table(family == rules::Family::kIpv4 ? walk::TableFamily::kIp : walk::TableFamily::kIp6, kTable);
  struct Place {
    walk::WalkSet* set = nullptr;
    std::size_t key_size = 0;
  };
  std::map<SetRef, Place> places;
  for (const SetSpec& spec : ruleset.sets)
    places[spec.ref] = {&(table.sets[spec.name] = set_of(spec, family)), size_of(spec.key, family)};
  const auto add = [&](const ElementKey& key, const ElementValue& value) {
    const Place& place = places.at(key.set);
    place.set->elements.push_back(element_of(key, value, place.key_size, place.set->data_size));
  };
  desired.for_each_element([&](const SetRef& set) { return places.contains(set); }, add, as_if);
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
