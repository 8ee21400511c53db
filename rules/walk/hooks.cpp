#include "rules/walk/hooks.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace kubenatd::rules::walk {
namespace {

constexpr std::size_t kHooks = 7;

/// When a chain was registered, as far as it can be told.
using Age = std::pair<std::uint64_t, std::uint64_t>;

struct Entry {
  AtHook what;
  std::int32_t own_priority = 0;
  Age age;
};

[[nodiscard]] bool meets(const WalkTable& table, Family family) {
  switch (table.family) {
    case TableFamily::kIp: return family == Family::kIpv4;
    case TableFamily::kIp6: return family == Family::kIpv6;
    case TableFamily::kInet:
    case TableFamily::kNetdev: return true;
    case TableFamily::kBridge:
    case TableFamily::kArp: return false;
  }
  return false;
}

/// Of nat: destinations are changed at prerouting and output, sources at the other two.
[[nodiscard]] std::int32_t nat_priority(Hook hook) {
  return hook == Hook::kPrerouting || hook == Hook::kOutput ? -100 : 100;
}

[[nodiscard]] bool has_nat_place(Hook hook) {
  return hook == Hook::kPrerouting || hook == Hook::kOutput || hook == Hook::kPostrouting || hook == Hook::kInput;
}

void sort(std::vector<Entry>& entries) {
  std::ranges::stable_sort(entries, [](const Entry& one, const Entry& other) {
    return std::tie(one.own_priority, other.age) < std::tie(other.own_priority, one.age);
  });
}

}  // namespace

Hooks::Hooks(const Ruleset& ruleset, Family family) : hooks_(kHooks) {
  const auto& tables = ruleset.tables();
  const bool numbered = std::ranges::none_of(tables, [](const WalkTable& table) { return table.handle == 0; });
  std::vector<std::vector<Entry>> filters(kHooks), nats(kHooks);
  Age nat_age{~std::uint64_t{0}, 0};
  bool any_nat = false;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const WalkTable& table = tables[i];
    if (table.dormant || !meets(table, family)) continue;
    for (const auto& [name, chain] : table.chains) {
      if (!chain.base) continue;
      const Base& base = *chain.base;
      const auto hook = static_cast<std::size_t>(base.hook);
      Entry entry;
      entry.age = {numbered ? table.handle : i, chain.handle};
      entry.own_priority = base.priority;
      const bool nat = base.type == Base::Type::kNat && has_nat_place(base.hook);
      entry.what = {&table, &chain, nat ? nat_priority(base.hook) : base.priority, nat};
      (nat ? nats : filters)[hook].push_back(entry);
      if (nat) nat_age = std::min(nat_age, entry.age);
      any_nat = any_nat || nat;
    }
  }
  for (std::size_t hook = 0; hook < kHooks; ++hook) {
    std::vector<Entry>& all = filters[hook];
    const bool here = any_nat && has_nat_place(static_cast<Hook>(hook));
    if (here) {
      Entry place;
      place.what.is_nat = true;
      place.what.priority = place.own_priority = nat_priority(static_cast<Hook>(hook));
      place.age = nat_age;
      all.push_back(place);
    }
    sort(all);
    sort(nats[hook]);
    for (const Entry& entry : all) {
      if (entry.what.is_nat)
        for (const Entry& nat : nats[hook]) hooks_[hook].push_back(nat.what);
      hooks_[hook].push_back(entry.what);
    }
  }
}

bool is_for_device(const Base& base, std::string_view device) {
  return std::ranges::any_of(base.devices, [&](std::string_view name) {
    if (name.ends_with('*')) return device.starts_with(name.substr(0, name.size() - 1));
    return name == device;
  });
}

}  // namespace kubenatd::rules::walk
