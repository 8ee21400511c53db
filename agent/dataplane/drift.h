#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "rules/change.h"

namespace kubenatd::agent::dataplane {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

/// What others changed in one family: an object is suspected when an event tells of it, found when it was read and
/// differs, and healed when it was written.
///
/// Purpose: keeps two writers from changing the same object without end. Usually an object is healed at once. An object
/// that was healed several times in a row waits longer and longer before it is healed again, and nothing else waits for
/// it. Threading: one thread; the caller gives the time. Failure: none. Cost: an entry for each object that was healed
/// in the last minute.
class Drift {
 public:
  static constexpr int kFreeHeals = 5;  ///< in a row, without any delay
  static constexpr Clock::duration kQuiet =
      std::chrono::seconds(30);  ///< so long without healing: nobody fights over it
  static constexpr Clock::duration kFirstDelay = std::chrono::milliseconds(100);
  static constexpr Clock::duration kLongestDelay = std::chrono::seconds(10);

  /// Somebody changed it. False: it is held, and take_due() gives it when its time has come.
  [[nodiscard]] bool suspect(const rules::ObjectRef& object, Time now);
  /// It was read and differs. False: it is held, as above. Call this for each object before it is healed.
  [[nodiscard]] bool find(const rules::ObjectRef& object, Time now);
  /// It was written.
  void heal(const rules::ObjectRef& object, Time now);

  /// Held objects whose time has come; they must be looked at again.
  [[nodiscard]] std::vector<rules::ObjectRef> take_due(Time now);
  /// When the first of them is due; none: nothing is held.
  [[nodiscard]] std::optional<Time> due() const;
  /// Until when the object would be held; a time in the past when nobody fights over it.
  [[nodiscard]] Time held_until(const rules::ObjectRef& object) const;

  /// Nothing is suspected any more. The time to heal is measured from the next event on.
  void all_clear() { suspected_since_.reset(); }
  /// Events of others were lost, or concern more than one object.
  void suspect_everything(Time now) {
    if (!suspected_since_) suspected_since_ = now;
  }

  /// An object that has to wait longer from now on.
  struct Dispute {
    rules::ObjectRef object;
    Clock::duration delay{};
  };
  struct Report {
    std::vector<rules::ObjectRef> found, healed;
    std::vector<Dispute> disputes;
    std::optional<Time> healed_since;  ///< the earliest event about what was healed; none: an audit found it
  };
  /// What happened since the last call.
  [[nodiscard]] Report take_report();

 private:
  struct History {
    Time last{};
    Time held_until{};
    Clock::duration delay{};
    int heals = 0;
  };
  [[nodiscard]] static bool is_over(const History& history, Time now) {
    return now - history.last > kQuiet + history.delay;
  }

  std::map<rules::ObjectRef, History> histories_;
  std::map<rules::ObjectRef, Time> held_;
  std::set<rules::ObjectRef> found_;  ///< since the last report
  Report report_;
  std::optional<Time> suspected_since_;
  Time tidied_{};
};

}  // namespace kubenatd::agent::dataplane
