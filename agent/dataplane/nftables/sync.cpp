#include "agent/dataplane/nftables/sync.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/dataplane/foreign_host_ports.h"
#include "rules/hostport/names.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;
using netlink::TableEvent;

/// Past this many messages or elements the kernel's notifications about them are not listened to.
constexpr std::size_t kQuietMessages = 1000;
constexpr std::size_t kMaxAttempts = 16;
/// From this attempt on the generation is not asked for any more: somebody writes all the time. The table is ours
/// alone, so that what fails then fails by its own messages.
constexpr std::size_t kUnguardedAttempt = 8;
/// Sets that are read one by one rather than all.
constexpr std::size_t kMaxSuspects = 4;

const Chain* find_chain(const Ruleset& ruleset, std::string_view name) {
  const auto found = std::ranges::find(ruleset.chains, name, &Chain::name);
  return found == ruleset.chains.end() ? nullptr : &*found;
}

const SetSpec* find_set(const Ruleset& ruleset, std::string_view name) {
  const auto found = std::ranges::find(ruleset.sets, name, &SetSpec::name);
  return found == ruleset.sets.end() ? nullptr : &*found;
}

/// Of a key that ends with a number: the number.
std::uint32_t last_number(const Bytes<kKeyCapacity>& key) {
  std::uint32_t number = 0;
  if (key.size >= sizeof number) std::memcpy(&number, key.data.data() + key.size - sizeof number, sizeof number);
  return number;
}

/// Chains or the table in which others may have host ports.
bool concerns_host_ports(const TableEvent& event) {
  if (event.table_name == kPortmapTable) return true;
  if (event.table != rules::Table::kNat) return false;
  return event.chain.empty() || event.chain == rules::hostport::kDnatChain ||
         rules::hostport::is_container_chain(rules::Table::kNat, event.chain);
}

std::string describe_set(std::string_view set) {
  return fmt::format("{} set {}", kTable, set);
}

std::string describe_chain(std::string_view chain) {
  return fmt::format("{} chain {}", kTable, chain);
}

rules::Address address_at(const std::uint8_t* bytes, rules::Family family) {
  rules::Address address{family, {}};
  std::copy_n(bytes, bits_of(family) / 8, address.bytes.begin());
  return address;
}

std::uint16_t port_at(const std::uint8_t* bytes) {
  return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
}

}  // namespace

bool NftablesSync::note(const TableEvent& event) {
  if (event.family != family_) return false;
  if (concerns_host_ports(event)) {
    suspect_host_ports_ = true;
    return host_ports_.any_wanted();
  }
  if (event.table_name != kTable) return false;
  if (event.kind == TableEvent::Kind::kOther && !event.set.empty()) {
    if (event.set == name_of({SetId::kAffinity, 0})) return false;
    // An event about elements and one about the set itself look alike: a set that is gone shows when it is read.
    if (const SetSpec* set = find_set(written_, event.set); set != nullptr && loaded_) {
      if (suspects_.insert(set->ref).second) found_.insert(describe_set(event.set));
      return true;
    }
  }
  if (!event.chain.empty()) {
    found_.insert(describe_chain(event.chain));
  } else if (event.kind == TableEvent::Kind::kTableDeleted) {
    found_.insert(fmt::format("{} table", kTable));
  }
  require_audit(true);
  return true;
}

rules::Result<SyncReport> NftablesSync::sync(NfSession& session, const NfSession::Visit& others) {
  auto done = attempt_until_done({.session = session, .audit = audit_, .found = found_, .most = kMaxAttempts},
                                 [&](std::size_t before, SyncReport& report) {
                                   return attempt(session, others, before < kUnguardedAttempt, report);
                                 });
  if (!done) return std::unexpected(done.error());
  if (*done) return std::move(**done);
  return rules::fail(fmt::format("{} table {}", name_of(family_), kTable), "synchronise",
                     fmt::format("other programs kept changing it during {} attempts", kMaxAttempts), EAGAIN);
}

rules::Status NftablesSync::update_host_ports(NfSession& session, SyncReport& report) {
  if (host_ports_.any_wanted() && (suspect_host_ports_ || audit_)) {
    auto claims = read_foreign_host_ports(session.kernel(), family_);
    if (!claims) return std::unexpected(claims.error());
    host_ports_.set_foreign(std::move(*claims));
    suspect_host_ports_ = false;
  }
  for (std::string& remark : host_ports_.take_remarks()) report.remarks.push_back(std::move(remark));
  if (host_ports_.has_changes() && host_ports_.take_changes().any) desired_.set_host_ports(host_ports_.in_force());
  return {};
}

rules::Result<NftablesSync::Plan> NftablesSync::compare_everything(NfSession& session, const Ruleset& wanted) {
  auto live = read_nftables_structure(session.kernel(), family_);
  if (!live) return std::unexpected(live.error());
  Plan plan;
  const bool is_there = !live->sets.empty() || !live->chains.empty();
  // Sets and base chains cannot be changed into others (6.18); another layout is another version's.
  for (const SetSpec& set : wanted.sets) {
    const auto found = live->sets.find(set.name);
    if (found == live->sets.end()) {
      plan.new_sets.push_back(set);
    } else if (found->second != netlink::nftables::describe_nft_set(set, family_)) {
      plan.delete_table = true;
    }
  }
  for (const Chain& chain : wanted.chains) {
    const auto found = live->chains.find(chain.name);
    const bool missing = found == live->chains.end();
    if (missing) {
      plan.new_chains.push_back(chain);
    } else if (found->second != netlink::nftables::describe_nft_chain(chain)) {
      plan.delete_table = true;
    }
    if (missing || !equal_rules(live->rules[chain.name], chain.rules, family_)) plan.rewritten.push_back(chain);
  }
  if (plan.delete_table || !is_there) {
    plan.everything = true;
    plan.new_sets = wanted.sets;
    plan.new_chains = plan.rewritten = wanted.chains;
    return plan;
  }
  for (const auto& [name, set] : live->sets)
    if (find_set(wanted, name) == nullptr) plan.old_sets.push_back(name);
  for (const auto& [name, chain] : live->chains)
    if (find_chain(wanted, name) == nullptr) plan.old_chains.push_back(name);

  LiveElements elements;
  std::set<SetRef> sets;
  for (const SetSpec& set : wanted.sets) {
    if (set.dynamic) continue;
    sets.insert(set.ref);
    if (auto read = read_nftables_elements(session.kernel(), family_, set.ref, elements); !read)
      return std::unexpected(read.error());
  }
  if (!loaded_) {
    note_found(elements);
    desired_.adopt_order([&](const ElementKey& key) -> std::optional<Bytes<kDataCapacity>> {
      const auto found = elements.find(key);
      return found == elements.end() ? std::nullopt : std::optional(found->second.data);
    });
  }
  compare_elements(std::move(elements), sets, plan);
  return plan;
}

void NftablesSync::compare_elements(LiveElements live, const std::set<SetRef>& sets, Plan& plan) const {
  desired_.for_each_element([&](const SetRef& set) { return sets.contains(set); },
                            [&](const ElementKey& key, const ElementValue& value) {
                              const auto found = live.find(key);
                              const bool missing = found == live.end();
                              if (missing || !equal(found->second, value)) {
                                if (!missing) plan.removed.push_back(key);
                                plan.added.emplace_back(key, value);
                              }
                              if (!missing) live.erase(found);
                            });
  for (const auto& [key, value] : live) plan.removed.push_back(key);
}

rules::Result<NftablesSync::Plan> NftablesSync::compare_changes(NfSession& session, const Ruleset& wanted) {
  Plan plan;
  LiveElements live;
  for (const SetRef& set : suspects_)
    if (auto read = read_nftables_elements(session.kernel(), family_, set, live); !read)
      return std::unexpected(read.error());
  if (!suspects_.empty()) compare_elements(std::move(live), suspects_, plan);
  for (const auto& [key, change] : desired_.changes()) {
    if (suspects_.contains(key.set)) continue;
    if (change.before) plan.removed.push_back(key);
    if (change.after) plan.added.emplace_back(key, *change.after);
  }
  if (!desired_.ruleset_changed()) return plan;
  for (const SetSpec& set : wanted.sets)
    if (find_set(written_, set.name) == nullptr) plan.new_sets.push_back(set);
  for (const SetSpec& set : written_.sets)
    if (find_set(wanted, set.name) == nullptr) plan.old_sets.push_back(set.name);
  for (const Chain& chain : wanted.chains) {
    const Chain* present = find_chain(written_, chain.name);
    if (present == nullptr || *present != chain) plan.rewritten.push_back(chain);
  }
  return plan;
}

void NftablesSync::write(const Plan& plan, netlink::Batch& batch, SyncReport& report) const {
  using netlink::nftables::ElementWriter;
  if (plan.delete_table) netlink::nftables::delete_nft_table(batch, family_, kTable);
  // First, and no change when it is there: the kernel echoes the first message of a transaction.
  netlink::nftables::add_nft_table(batch, family_);
  ElementWriter removed(batch, family_, ElementWriter::Change::kRemove);
  for (const ElementKey& key : plan.removed) removed.write(key);
  removed.end();
  for (const SetSpec& set : plan.new_sets) netlink::nftables::add_nft_set(batch, family_, set);
  for (const Chain& chain : plan.new_chains) netlink::nftables::add_nft_chain(batch, family_, chain);
  for (const std::string& chain : plan.old_chains) netlink::nftables::flush_nft_chain(batch, family_, chain);
  for (const Chain& chain : plan.rewritten) {
    if (std::ranges::find(plan.new_chains, chain.name, &Chain::name) == plan.new_chains.end())
      netlink::nftables::flush_nft_chain(batch, family_, chain.name);
    for (const NftRule& rule : chain.rules) netlink::nftables::add_nft_rule(batch, family_, chain.name, rule);
  }
  ElementWriter added(batch, family_, ElementWriter::Change::kAdd);
  for (const auto& [key, value] : plan.added) added.write(key, value);
  if (plan.everything)
    desired_.for_each_element([](const SetRef&) { return true; },
                              [&](const ElementKey& key, const ElementValue& value) { added.write(key, value); });
  added.end();
  for (const std::string& chain : plan.old_chains) netlink::nftables::delete_nft_chain(batch, family_, chain);
  for (const std::string& set : plan.old_sets) netlink::nftables::delete_nft_set(batch, family_, set);
  report.elements += removed.elements() + added.elements();
}

rules::Result<Outcome> NftablesSync::attempt(NfSession& session, const NfSession::Visit& others, bool guarded,
                                             SyncReport& report) {
  if (auto updated = update_host_ports(session, report); !updated) return std::unexpected(updated.error());
  const bool audit = audit_ || suspects_.size() > kMaxSuspects;
  const bool because_of_drift = drift_audit_ || !suspects_.empty();
  const Ruleset wanted = audit || desired_.ruleset_changed() ? desired_.ruleset() : written_;
  auto plan = audit ? compare_everything(session, wanted) : compare_changes(session, wanted);
  if (!plan) {
    audit_ = true;
    return std::unexpected(plan.error());
  }
  report.audited = report.audited || audit;
  audit_ = false;
  const std::set<SetRef> suspects = std::exchange(suspects_, {});
  const bool first = !std::exchange(loaded_, true);
  const auto undo = [&] {
    suspects_.insert(suspects.begin(), suspects.end());
    audit_ = audit_ || audit;
    loaded_ = loaded_ && !first;
  };

  if (!plan->empty()) {
    netlink::Batch batch;
    write(*plan, batch, report);
    auto drained = session.drain(others);
    if (!drained || drained->overrun) {
      undo();
      require_audit(true);
      if (!drained) return std::unexpected(drained.error());
      return Outcome::kAgain;
    }
    if (guarded && (audit_ || !suspects_.empty() || must_see_others())) {
      undo();
      return Outcome::kAgain;
    }
    if (std::max(batch.messages(), report.elements) > kQuietMessages && !session.muted())
      if (auto muted = session.mute(); !muted) {
        undo();
        return std::unexpected(muted.error());
      }
    auto committed = session.commit(batch, guarded);
    if (!committed) {
      undo();
      return after_failure(committed.error(), report);
    }
    ++report.transactions;
    report.messages += batch.messages();
    report.bytes += batch.bytes();
    report.chains += plan->rewritten.size() + plan->old_chains.size();
    report.wrote = true;
    if (because_of_drift && !first) {
      std::set<std::string> touched;
      for (const std::string& set : plan->old_sets) touched.insert(describe_set(set));
      for (const std::string& chain : plan->old_chains) touched.insert(describe_chain(chain));
      for (const SetSpec& set : plan->new_sets) touched.insert(describe_set(set.name));
      std::set<SetRef> sets;
      for (const ElementKey& key : plan->removed) sets.insert(key.set);
      for (const auto& [key, value] : plan->added) sets.insert(key.set);
      for (const SetRef& set : sets) touched.insert(describe_set(name_of(set)));
      for (const Chain& chain : plan->rewritten) touched.insert(describe_chain(chain.name));
      if (plan->everything) touched = {fmt::format("{} table", kTable)};
      report.healed.assign(touched.begin(), touched.end());
    }
  }
  failed_before_ = false;
  drift_audit_ = false;
  written_ = wanted;
  desired_.committed();
  purge_ = desired_.take_forgotten() || purge_ || audit;
  if (purge_) {
    if (auto purged = purge_affinity(session, report); !purged) return std::unexpected(purged.error());
    purge_ = false;
  }
  return Outcome::kDone;
}

void NftablesSync::note_found(const LiveElements& live) {
  constexpr auto kUdp = static_cast<std::uint8_t>(rules::Protocol::kUdp);
  const std::size_t address_size = bits_of(family_) / 8;
  for (const auto& [key, value] : live) {
    if (key.set.id == SetId::kHostPorts && key.key.data[0] == kUdp)
      found_at_start_.push_back({std::nullopt, port_at(key.key.data.data() + 4)});
    const bool node_port = key.set.id == SetId::kNodePortEndpoints || key.set.id == SetId::kNodePortLocalEndpoints;
    const bool address = key.set.id == SetId::kEndpoints || key.set.id == SetId::kLocalEndpoints;
    if ((!node_port && !address) || last_number(key.key) != 0) continue;
    const std::uint8_t* protocol = key.key.data.data() + (address ? address_size : 0);
    if (*protocol != kUdp) continue;
    iptables::LiveTables::UdpFrontend frontend{std::nullopt, port_at(protocol + 4)};
    if (address) frontend.address = address_at(key.key.data.data(), family_);
    found_at_start_.push_back(frontend);
  }
}

rules::Status NftablesSync::purge_affinity(NfSession& session, SyncReport& report) {
  const std::size_t address_size = bits_of(family_) / 8;
  for (std::size_t tries = 0; tries < kMaxAttempts; ++tries) {
    LiveElements live;
    if (auto read = read_nftables_elements(session.kernel(), family_, {SetId::kAffinity, 0}, live); !read) return read;
    netlink::Batch batch;
    netlink::nftables::ElementWriter removed(batch, family_, netlink::nftables::ElementWriter::Change::kRemove);
    netlink::nftables::add_nft_table(batch, family_);
    for (const auto& [key, value] : live) {
      const Backend backend{address_at(value.data.data.data(), family_),
                            port_at(value.data.data.data() + address_size)};
      if (!desired_.is_sticky_backend(last_number(key.key), backend)) removed.write(key);
    }
    removed.end();
    if (removed.elements() == 0) return {};
    auto committed = session.commit(batch, false);
    if (committed) {
      ++report.transactions;
      report.elements += removed.elements();
      return {};
    }
    // An entry ended by itself meanwhile.
    if (committed.error().error.code != ENOENT) return std::unexpected(committed.error().error);
  }
  return rules::fail(fmt::format("{} {}", kTable, name_of({SetId::kAffinity, 0})), "forget clients",
                     "entries kept ending meanwhile", EAGAIN);
}

}  // namespace kubenatd::agent::dataplane::nftables
