#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/dataplane/canary.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/drift_backoff.h"
#include "agent/dataplane/model.h"
#include "agent/dataplane/nf_session.h"
#include "agent/state/stale_flows.h"

namespace kubenatd::agent::dataplane {

/// What one round of reconciling did, for the log and for whoever counts.
struct RoundReport {
  struct Family {
    rules::Family family;
    SyncReport sync;
    std::optional<rules::Error> error;
    std::chrono::nanoseconds took{};
    std::optional<std::chrono::nanoseconds> healed_after{};  ///< from the first event about what was healed
  };
  /// A sweep of conntrack.
  struct Sweep {
    rules::Family family;
    std::size_t deleted = 0;
    std::chrono::nanoseconds took{};
  };
  std::vector<Family> families;
  /// Families for which the kernel has all that the objects ask for, also those for which there was nothing to do.
  std::array<bool, 2> settled{};
  std::vector<Sweep> sweeps;
  std::size_t conntrack_deleted = 0;
  std::size_t overruns = 0;                ///< events were lost since the last round
  std::chrono::nanoseconds kernel_time{};  ///< of `took`, in transactions
  std::vector<std::string> problems;       ///< besides those of the families
  std::vector<std::string> disputes;       ///< chains that somebody keeps changing, with the new delay
  std::chrono::nanoseconds took{};

  [[nodiscard]] bool failed() const;
  [[nodiscard]] bool wrote() const;
};

/// Keeps the kernel of this network namespace equal to the model, for both families, and removes stale UDP flows.
///
/// Purpose: the loop's centre: events of objects come in through apply(), events of the kernel through handle_events(),
/// and reconcile() puts right whatever differs. Threading: one thread. fd() is for epoll; deadline() says when
/// reconcile() is due without any event. Failure: a family that fails is tried again with growing delays, the other
/// goes on; the kernel keeps forwarding what it has. Cost: as the mode's Dataplane; a conntrack sweep reads the UDP
/// entries of a family, only after UDP service ports changed.
class Reconciler {
 public:
  using Clock = std::chrono::steady_clock;

  /// `model` must outlive this.
  [[nodiscard]] static rules::Result<std::unique_ptr<Reconciler>> open(Model& model);

  [[nodiscard]] int fd() const { return session_.fd(); }

  /// Takes object events in, for the next reconcile().
  void apply(std::vector<objects::ObjectEvent> events);
  /// The node's addresses or other circumstances changed.
  void set_environment(config::Environment environment);

  /// Reads what the kernel announced. Cheap when nothing of ours is concerned.
  [[nodiscard]] rules::Status handle_events();
  /// True when something has to be done now.
  [[nodiscard]] bool due(Clock::time_point now) const;
  /// When reconcile() is to be called even without an event.
  [[nodiscard]] Clock::time_point deadline() const;
  /// Puts right what differs. With `everything`, also what is held back or waits for a retry.
  RoundReport reconcile(bool everything = false);

  /// Who has made kube-proxy's canary chains since the last call: a kube-proxy runs here, too.
  [[nodiscard]] std::optional<std::string> take_canary_maker() { return canary_.take_maker(); }

  /// The live side, for reports; a family that the kernel has.
  [[nodiscard]] const Dataplane& family(rules::Family family) const {
    return *families_[static_cast<std::size_t>(family)];
  }

 private:
  /// Removing stale UDP flows takes two sweeps: a packet that was under way during the commit can still make an entry
  /// by the old rules just after the first.
  struct Sweep {
    bool now = true;
    std::optional<Clock::time_point> again;
  };
  struct Retry {
    Clock::time_point at{};
    Clock::duration delay{};
  };

  Reconciler(Model& model, NfSession session);
  void note(const netlink::TableEvent& event);
  void note_drift(rules::Family family);
  void reconcile_family(Dataplane& family, RoundReport& report);
  void sweep_flows(rules::Family family, Clock::time_point now, RoundReport& report);
  /// What the objects want is committed; only somebody else's changes may be left to heal.
  [[nodiscard]] bool may_sweep(const Dataplane& family) const;
  [[nodiscard]] bool sweep_due(const Dataplane& family, Clock::time_point now) const;
  void forget_left_over(Dataplane& family);
  /// Takes away what the other mode left behind, once this one stands.
  void remove_other_mode(Dataplane& family, RoundReport& report);
  /// Hands the UDP host ports in force to those whose flows are watched, when they are not the same any more.
  void follow_host_ports(rules::Family family);
  [[nodiscard]] bool held(const Dataplane& family, Clock::time_point now) const;

  Model& model_;
  NfSession session_;
  std::vector<std::unique_ptr<Dataplane>> families_;  ///< those that the kernel has, by Family
  std::array<state::UdpFrontends, 2> frontends_;
  std::array<Sweep, 2> sweeps_;
  struct FollowedHostPorts {
    std::uint64_t version = 0;
    std::set<std::string> names;
  };
  std::array<FollowedHostPorts, 2> host_ports_;
  std::array<bool, 2> left_over_known_{};
  std::array<bool, 2> alone_{};  ///< nothing of the other mode is left
  std::array<Retry, 2> retries_;
  DriftBackoff backoff_;
  std::array<Clock::time_point, 2> held_until_{};
  std::array<std::optional<Clock::time_point>, 2> drift_since_{};
  std::size_t overruns_told_ = 0;
  std::string last_writer_;
  bool asked_ = false;  ///< objects came in since the last round, which is to say that it has been seen to
  Canary canary_;
  Clock::time_point next_audit_;
};

}  // namespace kubenatd::agent::dataplane
