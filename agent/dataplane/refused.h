#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/dataplane/drift.h"
#include "rules/change.h"
#include "rules/hostport/host_ports.h"

namespace kubenatd::agent::dataplane {

/// What the kernel refused in one family: service ports, and pods with host ports. It is left out of the transactions,
/// and tried again with growing delays and at every audit, because a kernel module may have been loaded since.
///
/// Threading: one thread; the caller gives the time. Failure: none. Cost: an entry for each refused object.
template <class Key>
class Refused {
 public:
  static constexpr Clock::duration kFirstDelay = std::chrono::seconds(1);
  static constexpr Clock::duration kLongestDelay = std::chrono::minutes(5);

  /// The kernel refused it, for the first time or again. True when this is news: it was not refused before, or for
  /// another reason.
  [[nodiscard]] bool add(const Key& key, const rules::Refusal& refusal, Time now) {
    const auto [found, is_new] = entries_.try_emplace(key);
    Entry& entry = found->second;
    if (!is_new && !entry.on_trial) return false;
    const bool news = is_new || entry.refusal.code != refusal.code || entry.refusal.expression != refusal.expression;
    entry.delay = is_new ? kFirstDelay : std::min(kLongestDelay, entry.delay * 2);
    entry.next = now + entry.delay;
    entry.refusal = refusal;
    entry.on_trial = false;
    return news;
  }
  /// It changed or went: the refusal does not count any more.
  void forget(const Key& key) { entries_.erase(key); }

  /// Those that are tried again now. They stay here until succeeded() or the next add().
  [[nodiscard]] std::vector<Key> take_due(Time now) {
    std::vector<Key> due;
    for (auto& [key, entry] : entries_)
      if (!entry.on_trial && entry.next <= now) {
        entry.on_trial = true;
        due.push_back(key);
      }
    return due;
  }
  /// At an audit: all of them are due.
  void hurry() {
    for (auto& [key, entry] : entries_) entry.next = Time{};
  }
  [[nodiscard]] bool is_on_trial(const Key& key) const {
    const auto found = entries_.find(key);
    return found != entries_.end() && found->second.on_trial;
  }
  /// The transaction with those that are tried again was committed. Returns them.
  std::vector<Key> succeeded() {
    std::vector<Key> in_force;
    std::erase_if(entries_, [&](const auto& one) {
      if (one.second.on_trial) in_force.push_back(one.first);
      return one.second.on_trial;
    });
    return in_force;
  }
  /// When the first is due; none: nothing waits.
  [[nodiscard]] std::optional<Time> due() const {
    std::optional<Time> first;
    for (const auto& [key, entry] : entries_)
      if (!entry.on_trial && (!first || entry.next < *first)) first = entry.next;
    return first;
  }

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  void for_each(auto&& visit) const {
    for (const auto& [key, entry] : entries_) visit(key, entry.refusal);
  }

 private:
  struct Entry {
    rules::Refusal refusal;
    Time next{};
    Clock::duration delay{};
    bool on_trial = false;
  };
  std::map<Key, Entry> entries_;
};

/// All pods with host ports, in place of those before: of a refused one that is another now, nothing is remembered.
void replace_pods(rules::hostport::HostPorts& host_ports, Refused<std::string>& refused,
                  std::vector<rules::hostport::PodPorts> pods);

}  // namespace kubenatd::agent::dataplane
