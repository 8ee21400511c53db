#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/thread_annotations.h"
#include "agent/dataplane/reconciler.h"
#include "agent/seen/history.h"
#include "agent/seen/services.h"
#include "agent/seen/status.h"

namespace kubenatd::agent::seen {

/// Whether what is known of a resource is up to date.
struct SourceState {
  std::string resource;  ///< "services"
  bool up = false;       ///< it is followed; neither up nor failed: it is being tried
  std::size_t objects = 0;
  std::string failure{};  ///< of the last try
  std::string absent{};   ///< why an optional resource is not there
};

/// What the run loop does and meets, kept for those who ask.
///
/// Purpose: the one place that status pages and commands read, but for the Services themselves, of which nothing is
/// kept here. Threading: note_*() in the run loop, the rest in any thread; nobody waits for anybody's work. Failure:
/// none. Cost: a round costs what it changed; memory is bounded, some 300 kB at most, whatever happens. What is asked
/// for is made when it is asked for.
class Board {
 public:
  struct About {
    std::string node;
    config::Config::Mode mode = config::Config::Mode::kIptables;
    std::string objects_of;  ///< for people: where objects come from
    bool ipv6 = true;
  };
  explicit Board(About about);

  /// Objects that each list names; more are counted.
  static constexpr std::size_t kMostNamed = 100;
  /// Chains whose healing is remembered for their Services.
  static constexpr std::size_t kMostChains = 1000;
  /// Changes that wait for so long are a problem.
  static constexpr std::chrono::seconds kLongestWait{60};
  /// So long after a dispute it is still a problem.
  static constexpr std::chrono::seconds kDisputeLasts{60};

  /// What the first sync waits for.
  void note_waiting(const std::string& what);
  /// Objects came in that will be synced.
  void note_changes();
  void note_round(const dataplane::RoundReport& report, const dataplane::Model& model);
  void note_source(const SourceState& state);
  void note_left(rules::Family family, const std::vector<dataplane::LeftBehind>& left);
  void note_fast_path(rules::Family family, const dataplane::FastPathState& fast_path);
  /// Who owns the agent's table of nft.
  void note_owner(const std::string& owner);

  /// Grows whenever something that is told has changed, but for the time.
  [[nodiscard]] std::uint64_t revision() const { return revision_.load(std::memory_order_acquire); }
  [[nodiscard]] Status status(base::WallTime now) const;
  [[nodiscard]] std::vector<Happening> history_after(std::uint64_t number) const;
  /// For list_services().
  [[nodiscard]] ServiceRemarks service_remarks() const;

 private:
  /// Where one address family stands.
  struct FamilyState {
    bool used = false;
    std::optional<base::WallTime> last_sync, last_write, waiting_since, failing_since, last_drift;
    std::string error;
    std::size_t syncs = 0, failed_syncs = 0, drift_found = 0, drift_healed = 0;
    std::chrono::nanoseconds took{};
    std::vector<RuleCount> rules;
    std::vector<dataplane::RefusedObject> refused;  ///< the first of them
    std::size_t refused_objects = 0;
    std::vector<rules::hostport::Remark> withheld;
    std::size_t withheld_ports = 0;
    std::map<rules::Frontend, rules::Clash> clashes;
    std::size_t more_clashes = 0;  ///< that are not in the list
    std::vector<dataplane::LeftBehind> left;
    std::optional<base::WallTime> disputed_at;
    std::string disputed;
    dataplane::FastPathState fast_path;
  };
  struct Source {
    SourceState state;
    std::optional<base::WallTime> since;
  };

  void changed() { revision_.fetch_add(1, std::memory_order_release); }
  [[nodiscard]] FamilyState& state_of(rules::Family family) KUBENATD_REQUIRES(mutex_) {
    return families_[static_cast<std::size_t>(family)];
  }
  void note_family(const dataplane::RoundReport::Family& told, const std::string& writer, base::WallTime now,
                   const dataplane::Model& model) KUBENATD_REQUIRES(mutex_);
  void note_failure(FamilyState& state, const dataplane::RoundReport::Family& told, base::WallTime now)
      KUBENATD_REQUIRES(mutex_);
  void note_drift(FamilyState& state, const dataplane::RoundReport::Family& told, const std::string& writer,
                  base::WallTime now) KUBENATD_REQUIRES(mutex_);
  void note_refusals(FamilyState& state, const dataplane::RoundReport::Family& told, base::WallTime now,
                     const dataplane::Model& model) KUBENATD_REQUIRES(mutex_);
  void remember_chain(const std::string& chain, base::WallTime now) KUBENATD_REQUIRES(mutex_);
  void note_clash(const dataplane::RoundReport::Clash& told) KUBENATD_REQUIRES(mutex_);
  [[nodiscard]] FamilyStatus status_of(rules::Family family) const KUBENATD_REQUIRES(mutex_);
  void add_lists(Status& status) const KUBENATD_REQUIRES(mutex_);
  [[nodiscard]] std::vector<std::string> problems(base::WallTime now) const KUBENATD_REQUIRES(mutex_);
  void add_problems(rules::Family family, base::WallTime now, std::vector<std::string>& problems) const
      KUBENATD_REQUIRES(mutex_);

  const About about_;
  const base::WallTime started_;
  const std::string kernel_;
  std::atomic<std::uint64_t> revision_ = 1;
  mutable base::Mutex mutex_;
  std::string owner_ KUBENATD_GUARDED_BY(mutex_);
  std::string waits_for_ KUBENATD_GUARDED_BY(mutex_);
  std::optional<base::WallTime> first_sync_ KUBENATD_GUARDED_BY(mutex_);
  ObjectCounts objects_ KUBENATD_GUARDED_BY(mutex_);
  std::array<FamilyState, 2> families_ KUBENATD_GUARDED_BY(mutex_);
  std::vector<Source> sources_ KUBENATD_GUARDED_BY(mutex_);
  std::map<std::string, ChainDrift, std::less<>> chain_drift_ KUBENATD_GUARDED_BY(mutex_);
  History history_ KUBENATD_GUARDED_BY(mutex_);
};

}  // namespace kubenatd::agent::seen
