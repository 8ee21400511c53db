#include "netlink/walk/ruleset_reader.h"

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "netlink/core/attributes.h"
#include "netlink/walk/chain_reader.h"
#include "netlink/walk/element_lookup.h"
#include "netlink/walk/expression_attributes.h"
#include "netlink/walk/set_reader.h"

namespace kubenatd::netlink::walk {

using namespace rules::walk;
using rules::Status;

namespace {

// When others write all the time, what was read last has to do.
constexpr int kReadTries = 3;
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
  Reader(std::shared_ptr<NfTables> kernel, std::size_t at_once)
      : kernel_(kernel), lookup_(std::move(kernel)), at_once_(at_once) {}

  [[nodiscard]] Status read() {
    if (auto read = read_tables(); !read) return read;
    if (auto read = read_chains(); !read) return read;
    if (auto read = read_sets(); !read) return read;
    for (Live& live : tables_)
      for (const LiveSet& set : live.sets) read_elements(live, set);
    for (Live& live : tables_)
      if (live.table != nullptr) read_rules(live);
    return {};
  }
  /// What was read, with the generation of that time.
  [[nodiscard]] Ruleset take(std::uint32_t generation) {
    ruleset_.look_up = std::move(lookup_);
    ruleset_.is_current = [kernel = kernel_, generation] {
      const auto now = kernel->generation();
      return now && *now == generation;
    };
    return std::move(ruleset_);
  }

 private:
  struct Live {
    std::uint8_t family = 0;
    std::string name;
    WalkTable* table = nullptr;  ///< none: of a family that is not walked
    std::size_t uses = 0;        ///< of all chains
    ChainNames others;           ///< of chains that no hook leads to
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
  void read_whole(WalkTable& table);
  void read_chain_by_chain(WalkTable& table);
  void find_written_sets(const ChainNames& others, WalkTable& table);

  std::shared_ptr<NfTables> kernel_;
  ElementLookup lookup_;
  std::size_t at_once_;
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
    Live live;
    live.family = table.family;
    live.name = std::move(table.name);
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
      live.others.clear();
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
  if (!attributes.has(NFTA_CHAIN_HOOK)) return live->others.add(name);
  WalkChain chain;
  chain.name = name;
  chain.handle = attributes.be64(NFTA_CHAIN_HANDLE);
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
  // An interval is two elements, and one more may end the first gap.
  const std::size_t limit = into.interval && into.parts.size() == 1 ? 2 * kManyElements + 1 : kManyElements;
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

/// A rule may write into a set that was not made for it (without NFT_SET_EVAL).
void mark_dynamic(WalkTable& table, std::string_view name) {
  const auto found = table.sets.find(name);
  if (found == table.sets.end() || found->second.dynamic) return;
  found->second.dynamic = true;
  found->second.complete = false;
  found->second.elements.clear();
}

void mark_dynamic_by_rules(WalkTable& table) {
  for (const auto& [name, chain] : table.chains)
    for (const WalkRule& rule : chain.rules)
      for (const Statement& statement : rule.statements)
        if (const auto* update = std::get_if<UpdateSet>(&statement)) mark_dynamic(table, update->set);
}

void Reader::read_whole(WalkTable& table) {
  const auto restart = [&] {
    for (auto& [name, chain] : table.chains) chain.rules.clear();
  };
  const auto visit = [&](std::string_view name, WalkRule&& rule) {
    // Of a chain that was made meanwhile nothing else is known.
    if (const auto chain = table.chains.find(name); chain != table.chains.end())
      chain->second.rules.push_back(std::move(rule));
  };
  if (walk::read_rules(*kernel_, table, {}, visit, restart)) return;
  for (auto& [name, chain] : table.chains) chain.unread = true;
}

void Reader::read_chain_by_chain(WalkTable& table) {
  for (auto& [name, chain] : table.chains) {
    WalkChain& into = chain;
    const auto visit = [&](std::string_view /*of*/, WalkRule&& rule) { into.rules.push_back(std::move(rule)); };
    into.unread = !walk::read_rules(*kernel_, table, name, visit, [&] { into.rules.clear(); });
  }
}

/// Where chains are read on demand, what their rules write into has to be known before.
void Reader::find_written_sets(const ChainNames& others, WalkTable& table) {
  const bool any = std::ranges::any_of(table.sets, [](const auto& one) {
    return !one.second.dynamic && !one.second.anonymous && !one.second.interval;  // those cannot be written into
  });
  if (!any) return;
  std::set<std::string> written;
  const auto visit = [&](std::string_view set) { written.emplace(set); };
  bool all = true;
  others.for_each(
      [&](std::string_view chain) { all = read_written_sets(*kernel_, table, chain, visit).has_value() && all; });
  for (auto& [name, set] : table.sets)
    if (written.contains(name) || !all) mark_dynamic(table, name);
}

void Reader::read_rules(Live& live) {
  WalkTable& table = *live.table;
  if (live.uses > at_once_) {
    read_chain_by_chain(table);
    find_written_sets(live.others, table);
    live.others.sort();
    table.on_demand = std::make_shared<KernelChains>(kernel_, std::move(live.others));
  } else {
    live.others.for_each([&](std::string_view name) { table.chains[std::string(name)].name = name; });
    live.uses > kManyRules ? read_chain_by_chain(table) : read_whole(table);
  }
  mark_dynamic_by_rules(table);
}

}  // namespace

rules::Result<Ruleset> read_ruleset(const std::shared_ptr<NfTables>& kernel, std::size_t at_once) {
  for (int tries = 1;; ++tries) {
    const auto before = kernel->generation();
    if (!before) return std::unexpected(before.error());
    Reader reader(kernel, at_once);
    if (auto read = reader.read(); !read) return std::unexpected(std::move(read.error()));
    const auto after = kernel->generation();
    if (!after) return std::unexpected(after.error());
    if (*before == *after || tries == kReadTries) return reader.take(*before);
  }
}

}  // namespace kubenatd::netlink::walk
