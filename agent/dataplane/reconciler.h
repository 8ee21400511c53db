#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/canary.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/flow_sweeper.h"
#include "agent/dataplane/kernel.h"
#include "agent/dataplane/model.h"
#include "agent/dataplane/nf_session.h"
#include "agent/dataplane/other_proxies.h"

namespace kubenatd::agent::dataplane {

/// What one round of reconciling did, for the log and for whoever counts.
struct RoundReport {
  struct Family {
    rules::Family family;
    SyncReport sync;
    std::optional<rules::Error> error;
    std::chrono::nanoseconds took{};
    std::optional<std::chrono::nanoseconds> healed_after{};  ///< from the first event about what was healed
    std::optional<TableOwnership> ownership{};               ///< who may change the table, when that is news
    std::optional<FastPathState> fast_path{};                ///< when that is news
    /// Who changed what was healed: "iptables (4711)". Empty: nobody was seen, as an audit found it.
    std::vector<std::string> healed_of{};
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
  /// Service ports that claim one frontend, or do so no longer, of what is in force.
  struct Clash {
    rules::Family family;
    rules::Clash clash;
  };
  std::vector<Clash> clashes;
  std::vector<OtherProxies::News> other_proxies;
  std::size_t conntrack_deleted = 0;
  std::size_t overruns = 0;                ///< events were lost since the last round
  std::chrono::nanoseconds kernel_time{};  ///< of `took`, in transactions
  std::vector<rules::Error> problems;      ///< besides those of the families
  std::string last_writer;                 ///< who changed nf_tables last, besides us: "iptables (4711)"
  std::chrono::nanoseconds took{};

  [[nodiscard]] bool failed() const;
  [[nodiscard]] bool wrote() const;
};

/// Keeps the kernel equal to the model, for both families, and removes stale UDP flows.
///
/// Purpose: the loop's centre: events of objects come in through apply(), events of the kernel through handle_events(),
/// and reconcile() puts right whatever differs. Threading: one thread. fd() is for epoll; deadline() says when
/// reconcile() is due without any event. Failure: a family that fails is tried again with growing delays, the other
/// goes on; a table that another program owns is looked at again some times a second, and told once; the kernel keeps
/// forwarding what it has. Cost: as the mode's Dataplane; a conntrack sweep reads the UDP
/// entries of a family, only after UDP service ports changed.
class Reconciler {
 public:
  using Clock = dataplane::Clock;

  /// `model` and `kernel` must outlive this.
  [[nodiscard]] static rules::Result<std::unique_ptr<Reconciler>> open(Model& model, Kernel& kernel);

  [[nodiscard]] int fd() const { return session_.fd(); }

  /// Takes object events in, for the next reconcile().
  void apply(std::vector<objects::ObjectEvent> events);
  /// The node's addresses or other circumstances changed.
  void set_environment(config::Environment environment);

  /// Reads what the kernel announced. Cheap when nothing of ours is concerned.
  [[nodiscard]] rules::Status handle_events();
  /// True when something has to be done now.
  [[nodiscard]] bool due(Time now) const { return deadline() <= now; }
  /// When reconcile() is to be called even without an event.
  [[nodiscard]] Time deadline() const;
  /// Puts right what differs. With `everything`, also what is held back or waits for a retry.
  RoundReport reconcile(bool everything = false);
  /// Everything is read and compared with the next reconcile(), as it is from time to time.
  void require_audit();

  /// How to find out where another proxy answers; without it none does.
  void set_answers(OtherProxies::Answers answers) { answers_ = std::move(answers); }
  /// Rules of other proxies that are left standing in a family.
  [[nodiscard]] std::vector<LeftBehind> left_standing(rules::Family family) const;
  /// Who has made kube-proxy's canary chains since the last call: a kube-proxy runs here, too.
  [[nodiscard]] std::optional<std::string> take_canary_maker() { return canary_.take_maker(); }

 private:
  struct FamilyState {
    FamilyState(Dataplane& used, config::Config::Mode mode, state::Precedence precedence)
        : dataplane(used), others(used.family(), mode), flows(used.family(), precedence) {}

    Dataplane& dataplane;
    OtherProxies others;
    FlowSweeper flows;
    Time retry_at{};  ///< after a failed sync
    Clock::duration retry_delay{};
    TableOwnership ownership{};  ///< as it was told last
    FastPathState fast_path{};   ///< the same
    bool left_over_known = false;
    bool touched = false;                ///< by the transaction whose end the kernel has not told of yet
    std::vector<std::string> writers{};  ///< of what is suspected; a few
  };

  Reconciler(Model& model, Kernel& kernel, NfSession session);
  [[nodiscard]] FamilyState* state_of(rules::Family family);
  void note(const netlink::TableEvent& event);
  void note_views(const std::vector<state::ViewChange>& changes);
  void sync(FamilyState& family, bool everything, RoundReport& report);
  /// When the family is tried again, after a failure.
  void delay(FamilyState& family, Time now);
  void sweep(FamilyState& family, Time now, RoundReport& report);
  [[nodiscard]] std::optional<Time> due_of(const FamilyState& family) const;
  void follow_node(FamilyState& family);

  Model& model_;
  Kernel& kernel_;
  NfSession session_;
  std::deque<FamilyState> families_;  ///< those that the kernel has
  std::size_t overruns_told_ = 0;
  std::string last_writer_;
  bool asked_ = false;  ///< objects came in since the last round, which is to say that it has been seen to
  Canary canary_;
  OtherProxies::Answers answers_;
  Time next_audit_;
};

}  // namespace kubenatd::agent::dataplane
