#include "netlink/walk/ruleset_reader.h"

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "netlink/core/attributes.h"
#include "netlink/walk/element_lookup.h"
#include "netlink/walk/expression_attributes.h"
#include "netlink/walk/rule_reader.h"
#include "netlink/walk/set_reader.h"

namespace kubenatd::netlink::walk {

using namespace rules::walk;
using rules::Status;

namespace {

// When others write all the time, what was read last has to do.
constexpr int kReadTries = 3;
// A dump of a whole table walks over all that it has dumped again for each 32 KiB of answer; see iptables/reader.cpp.
constexpr std::size_t kWholeDumpUses = 4000;
// More elements than this are asked for one by one. An interval is two of them, and one more may end the first gap.
constexpr std::size_t kMostElements = 512;

// Newer than the headers of Linux 6.1.
constexpr std::uint16_t kDevicePrefix = 2;  // NFTA_DEVICE_PREFIX
constexpr std::uint32_t kNetdevEgress = 1;  // NF_NETDEV_EGRESS

std::optional<TableFamily> family_named(std::uint8_t number) {
  for (const TableFamily family :
       {TableFamily::kIp, TableFamily::kIp6, TableFamily::kInet, TableFamily::kNetdev, TableFamily::kBridge})
    if (number_of(family) == number) return family;
  return std::nullopt;
}

std::optional<Hook> hook_of(TableFamily family, std::uint32_t number) {
  if (family == TableFamily::kNetdev) {
    if (number == NF_NETDEV_INGRESS) return Hook::kIngress;
    if (number == kNetdevEgress) return Hook::kEgress;
    return std::nullopt;
  }
  switch (number) {
    case NF_INET_PRE_ROUTING: return Hook::kPrerouting;
    case NF_INET_LOCAL_IN: return Hook::kInput;
    case NF_INET_FORWARD: return Hook::kForward;
    case NF_INET_LOCAL_OUT: return Hook::kOutput;
    case NF_INET_POST_ROUTING: return Hook::kPostrouting;
    case NF_INET_INGRESS: return Hook::kIngress;
    default: return std::nullopt;
  }
}

std::optional<Base::Type> type_of(std::string_view name) {
  if (name == "filter") return Base::Type::kFilter;
  if (name == "nat") return Base::Type::kNat;
  if (name == "route") return Base::Type::kRoute;
  return std::nullopt;
}

std::vector<std::string> devices_of(const ExpressionAttributes& hook) {
  std::vector<std::string> devices;
  AttributeReader list(hook.payload(NFTA_HOOK_DEVS));
  for (Attribute device; list.next(device);) {
    devices.emplace_back(device.text());
    if (device.type == kDevicePrefix) devices.back() += '*';
  }
  if (devices.empty() && hook.has(NFTA_HOOK_DEV)) devices.emplace_back(hook.text(NFTA_HOOK_DEV));
  return devices;
}

/// Reads everything once.
class Reader {
 public:
  explicit Reader(std::shared_ptr<NfTables> kernel) : kernel_(kernel), lookup_(std::move(kernel)) {}

  [[nodiscard]] Status read() {
    if (auto read = read_tables(); !read) return read;
    if (auto read = read_chains(); !read) return read;
    if (auto read = read_sets(); !read) return read;
    for (Live& live : tables_)
      for (const LiveSet& set : live.sets) read_elements(live, set);
    for (Live& live : tables_) read_rules(live);
    for (WalkTable& table : ruleset_.tables()) mark_dynamic(table);
    return {};
  }
  [[nodiscard]] Ruleset take() {
    ruleset_.look_up = std::move(lookup_);
    return std::move(ruleset_);
  }

 private:
  struct Live {
    std::uint8_t family = 0;
    std::string name;
    WalkTable* table = nullptr;  ///< none: of a family that is not walked
    std::size_t uses = 0;        ///< of all chains
    std::vector<std::pair<std::string, std::size_t>> chains;
    std::vector<LiveSet> sets;
  };

  [[nodiscard]] Status dump(const DumpQuestion& question, std::string_view object,
                            const std::function<void(const Message&)>& visit, const std::function<void()>& restart) {
    const auto once = [&](bool loose) { return kernel_->dump_once(question, visit, loose); };
    return kernel_->dump(object, once, restart, Interrupted::kAccept);
  }
  [[nodiscard]] static DumpQuestion all(std::uint16_t type) {
    DumpQuestion question;
    question.type = type;
    question.any_family = NFPROTO_UNSPEC;
    return question;
  }
  [[nodiscard]] Live* find(std::uint8_t family, std::string_view name) {
    const auto found =
        std::ranges::find_if(tables_, [&](const Live& live) { return live.family == family && live.name == name; });
    return found == tables_.end() ? nullptr : &*found;
  }

  Status read_tables();
  Status read_chains();
  void read_chain(const Message& message);
  Status read_sets();
  void read_elements(Live& live, const LiveSet& set);
  void read_rules(Live& live);
  [[nodiscard]] Status read_rules_of(Live& live, std::string_view chain);
  static void mark_dynamic(WalkTable& table);

  std::shared_ptr<NfTables> kernel_;
  ElementLookup lookup_;
  Ruleset ruleset_;
  std::vector<Live> tables_;
};

Status Reader::read_tables() {
  struct Found {
    std::uint8_t family = 0;
    std::string name;
    bool dormant = false;
    std::uint64_t handle = 0;
  };
  std::vector<Found> found;
  const auto visit = [&](const Message& message) {
    const ExpressionAttributes attributes(message.attributes());
    found.push_back({message.family(), std::string(attributes.text(NFTA_TABLE_NAME)),
                     (attributes.be32(NFTA_TABLE_FLAGS) & NFT_TABLE_F_DORMANT) != 0,
                     attributes.be64(NFTA_TABLE_HANDLE)});
  };
  if (auto read = dump(all(NFT_MSG_GETTABLE), "tables of nf_tables", visit, [&] { found.clear(); }); !read) return read;
  for (Found& table : found) {
    const auto family = family_named(table.family);
    if (!family) continue;
    Live live{table.family, std::move(table.name), nullptr, 0, {}, {}};
    if (*family != TableFamily::kBridge) {
      live.table = &ruleset_.table(*family, live.name);
      live.table->dormant = table.dormant;
      live.table->handle = table.handle;
    } else if (table.dormant) {
      continue;
    }
    tables_.push_back(std::move(live));
  }
  return {};
}

Status Reader::read_chains() {
  const auto restart = [&] {
    for (Live& live : tables_) {
      live.uses = 0;
      live.chains.clear();
      if (live.table != nullptr) live.table->chains.clear();
    }
    ruleset_.not_looked_at.clear();
  };
  const auto visit = [&](const Message& message) { read_chain(message); };
  if (auto read = dump(all(NFT_MSG_GETCHAIN), "chains of nf_tables", visit, restart); !read) return read;
  for (const Live& live : tables_)
    if (live.table == nullptr && live.uses != 0)
      ruleset_.not_looked_at.push_back({"table bridge " + live.name, "rules of bridges are not walked"});
  return {};
}

void Reader::read_chain(const Message& message) {
  const ExpressionAttributes attributes(message.attributes());
  Live* const live = find(message.family(), attributes.text(NFTA_CHAIN_TABLE));
  if (live == nullptr) return;
  const std::string name(attributes.text(NFTA_CHAIN_NAME));
  const std::size_t uses = attributes.be32(NFTA_CHAIN_USE);
  live->uses += uses;
  if (live->table == nullptr) return;
  live->chains.emplace_back(name, uses);
  WalkChain chain;
  chain.name = name;
  chain.handle = attributes.be64(NFTA_CHAIN_HANDLE);
  if (attributes.has(NFTA_CHAIN_HOOK)) {
    const ExpressionAttributes hook(attributes.payload(NFTA_CHAIN_HOOK));
    const auto where = hook_of(live->table->family, hook.be32(NFTA_HOOK_HOOKNUM));
    const auto type = type_of(attributes.text(NFTA_CHAIN_TYPE));
    if (where && type) {
      chain.base =
          Base{*where, *type, static_cast<std::int32_t>(hook.be32(NFTA_HOOK_PRIORITY)),
               attributes.has(NFTA_CHAIN_POLICY) && attributes.be32(NFTA_CHAIN_POLICY) == NF_DROP, devices_of(hook)};
    } else {
      ruleset_.not_looked_at.push_back({fmt::format("chain {} {} {}", name_of(live->table->family), live->name, name),
                                        "its hook or its type is not known"});
    }
  }
  live->table->chains.insert_or_assign(name, std::move(chain));
}

Status Reader::read_sets() {
  const auto restart = [&] {
    for (Live& live : tables_) live.sets.clear();
  };
  const auto visit = [&](const Message& message) {
    Live* const live = find(message.family(), find_attribute(message.attributes(), NFTA_SET_TABLE).text());
    if (live == nullptr || live->table == nullptr) return;
    if (auto set = read_set(message.attributes())) live->sets.push_back(std::move(*set));
  };
  return dump(all(NFT_MSG_GETSET), "sets of nf_tables", visit, restart);
}

void Reader::read_elements(Live& live, const LiveSet& set) {
  WalkTable& table = *live.table;
  if (set.objects_decide) lookup_.add_deciding(table, set.set.name);
  WalkSet& into = table.sets.insert_or_assign(set.set.name, set.set).first->second;
  const std::size_t limit = into.interval && into.parts.size() == 1 ? 2 * kMostElements + 1 : kMostElements;
  if (into.dynamic || set.elements > limit) {
    into.complete = false;
    Found found = lookup_.catch_all(table, into);
    if (found.answer == Found::Answer::kThere) into.catch_all = std::move(found.element);
    return;
  }
  ElementReader reader(set, limit);
  DumpQuestion question;
  question.type = NFT_MSG_GETSETELEM;
  question.table = table.name;
  question.name = into.name;
  question.any_family = live.family;
  const auto read = dump(
      question, fmt::format("{} {} {}", name_of(table.family), table.name, into.name),
      [&](const Message& message) { reader.add(message.attributes()); }, [&] { reader = ElementReader(set, limit); });
  if (read) {
    reader.finish(into);
  } else {
    into.complete = false;
  }
}

Status Reader::read_rules_of(Live& live, std::string_view name) {
  WalkTable& table = *live.table;
  DumpQuestion question;
  question.type = NFT_MSG_GETRULE;
  question.table = table.name;
  question.name = name;
  question.any_family = live.family;
  const auto restart = [&] {
    for (auto& [chain_name, chain] : table.chains)
      if (name.empty() || chain_name == name) chain.rules.clear();
  };
  const auto visit = [&](const Message& message) {
    const ExpressionAttributes attributes(message.attributes());
    if (attributes.text(NFTA_RULE_TABLE) != table.name) return;
    const auto chain = table.chains.find(attributes.text(NFTA_RULE_CHAIN));
    // Of a chain that was made meanwhile nothing else is known.
    if (chain == table.chains.end() || (!name.empty() && chain->first != name)) return;
    WalkRule rule = read_rule(attributes.payload(NFTA_RULE_EXPRESSIONS), attributes.payload(NFTA_RULE_USERDATA), table);
    rule.handle = attributes.be64(NFTA_RULE_HANDLE);
    chain->second.rules.push_back(std::move(rule));
  };
  return dump(question, fmt::format("{} {} {}", name_of(table.family), table.name, name), visit, restart);
}

void Reader::read_rules(Live& live) {
  if (live.table == nullptr) return;
  if (live.uses <= kWholeDumpUses) {
    if (!read_rules_of(live, {}))
      for (auto& [name, chain] : live.table->chains) chain.unread = true;
    return;
  }
  for (const auto& [name, uses] : live.chains) {
    if (uses == 0) continue;
    if (!read_rules_of(live, name)) live.table->chains[name].unread = true;
  }
}

/// A rule may write into a set that was not made for it (without NFT_SET_EVAL).
void Reader::mark_dynamic(WalkTable& table) {
  for (const auto& [name, chain] : table.chains)
    for (const WalkRule& rule : chain.rules)
      for (const Statement& statement : rule.statements) {
        const auto* const update = std::get_if<UpdateSet>(&statement);
        const auto set = update == nullptr ? table.sets.end() : table.sets.find(update->set);
        if (set == table.sets.end() || set->second.dynamic) continue;
        set->second.dynamic = true;
        set->second.complete = false;
        set->second.elements.clear();
      }
}

}  // namespace

rules::Result<Ruleset> read_ruleset(const std::shared_ptr<NfTables>& kernel) {
  for (int tries = 1;; ++tries) {
    const auto before = kernel->generation();
    if (!before) return std::unexpected(before.error());
    Reader reader(kernel);
    if (auto read = reader.read(); !read) return std::unexpected(std::move(read.error()));
    const auto after = kernel->generation();
    if (!after) return std::unexpected(after.error());
    if (*before == *after || tries == kReadTries) return reader.take();
  }
}

}  // namespace kubenatd::netlink::walk
