#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/drift.h"
#include "agent/dataplane/left_behind.h"

namespace kubenatd::agent::dataplane {

/// Takes away what other proxies left behind in one family, and does not fight with one that runs.
///
/// Purpose: the rule by which that is decided. What is found, at the start or later, is removed once ours is in force,
/// unless a proxy that makes such rules answers at its addresses, or a program owns the table: then it is named and
/// left, and looked at again every minute or, of an owned table, every second. What comes back is removed again when
/// its writer has been quiet for a second, kMost times in kPeriod. Whoever brings it back more often runs without
/// answering: it is named and left until nobody has written to it for kPeriod. A kube-proxy in iptables or nftables
/// mode syncs everything each hour (v1.36), so one that is not heard of for longer is gone. A saved ruleset that
/// somebody loads is told from it by that alone. Threading: one thread; the caller gives the time. Failure: what cannot
/// be removed is tried again a minute later. Cost: a look, as left_behind.h has it, at the start, after events about
/// such rules, and at audits.
class OtherProxies {
 public:
  static constexpr Clock::duration kSettle = std::chrono::seconds(1);
  static constexpr Clock::duration kLongestSettle = std::chrono::seconds(5);  ///< of a writer that never stops
  static constexpr std::size_t kMost = 3;
  static constexpr Clock::duration kPeriod = std::chrono::minutes(70);
  static constexpr Clock::duration kAskAgain = std::chrono::minutes(1);
  static constexpr Clock::duration kOwnerAgain = std::chrono::seconds(1);  ///< whether a table's owner is gone

  /// Where a proxy that makes such rules answers: "127.0.0.1:10249"; none: nowhere.
  using Answers = std::function<std::optional<std::string>(LeftBehind)>;

  struct News {
    rules::Family family = rules::Family::kIpv4;
    LeftBehind what = LeftBehind::kKubeProxyTable;
    enum class Kind : std::uint8_t {
      kRemoved,
      kRemovedAgain,  ///< it had come back
      kAnswers,       ///< left, because somebody answers at `where`
      kComesBack,     ///< left, because somebody brings it back again and again
      kOwned,         ///< left, because the table belongs to `where`, which runs
    } kind = Kind::kRemoved;
    CleanupReport removed;
    std::string where;
    std::string writer;  ///< who wrote there last, as far as it was seen: "nft (4711)"
  };

  OtherProxies(rules::Family family, config::Config::Mode mode);

  /// Takes a change by somebody else into account. The writer is named only by the event that ends the transaction.
  void note(const netlink::TableEvent& event, Time now);
  /// Events were lost, or it is time to look at everything.
  void suspect_all(Time now);
  /// When look() has something to do; none: nothing.
  [[nodiscard]] std::optional<Time> due() const;
  /// Looks at what is due, once ours is in force, and removes it or not. Adds to `problems` what failed.
  [[nodiscard]] std::vector<News> look(netlink::NfTables& kernel, const Answers& answers, Time now,
                                       std::vector<rules::Error>& problems);

  /// What is left standing.
  [[nodiscard]] std::vector<LeftBehind> left() const;

 private:
  struct Known {
    LeftBehind what;
    std::optional<Time> look_at = Time{};  ///< none: nothing is suspected
    std::optional<Time> suspected_since{};
    std::optional<Time> written{};  ///< by others, last
    bool in_transaction = false;    ///< written in one whose end has not come yet
    bool looked = false;
    std::deque<Time> removals{};       ///< in the last kPeriod
    std::optional<Time> left_since{};  ///< and told
    bool comes_back = false;           ///< more often than kMost times
    std::string writer{};
  };

  void leave(Known& known, News news, Time until, Time now, std::vector<News>& told) const;
  [[nodiscard]] rules::Status decide(Known& known, netlink::NfTables& kernel, const Answers& answers, Time now,
                                     std::vector<News>& told) const;

  rules::Family family_;
  std::vector<Known> known_;
};

}  // namespace kubenatd::agent::dataplane
