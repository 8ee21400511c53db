#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/base/descriptor.h"
#include "agent/base/service_manager.h"
#include "agent/base/signals.h"
#include "agent/daemon/address_pace.h"
#include "agent/daemon/config_watch.h"
#include "agent/daemon/inputs.h"
#include "agent/daemon/localhost_routing.h"
#include "agent/daemon/rival_watch.h"
#include "agent/daemon/serving.h"
#include "agent/dataplane/reconciler.h"
#include "agent/state/node_names.h"
#include "netlink/host/addresses.h"

namespace kubenatd::agent::daemon {

/// How a run ended.
enum class RunEnd : std::uint8_t {
  kStopped,  ///< as asked; with `once` after a sync without errors
  kReload,   ///< to be started again with what the files now hold
  kFailed,
};

/// The running agent: waits for objects, the kernel, interfaces, configuration files, signals and deadlines, and has
/// the reconciler put right what differs.
///
/// Purpose: nothing is written before everything that existed at the start is known: all lists of an API server, and
/// what the rules need of the Node. From then on a change is applied at once, unless the configuration sets
/// minSyncPeriod. In a storm of changes the loop pauses after each round for as long as the round took (at most a
/// second). So it takes no more than half a CPU, and all changes that come during the pause are one round.
/// Threading: one thread. Failure: what fails is logged and tried again. The run ends when the Node is missing for five
/// minutes (as in kube-proxy v1.35 and newer) or, with `once`, when the lists are.
class RunLoop {
 public:
  using Clock = std::chrono::steady_clock;

  struct Parts {
    Inputs& inputs;
    dataplane::Reconciler& reconciler;
    netlink::host::AddressMonitor& addresses;
    ConfigWatch& files;
    base::Signals& signals;
    base::ServiceManager& manager;
    RivalWatch& rivals;
    Serving* serving;  ///< none: nothing is told over HTTP
  };

  /// `flags` are read again before a new start; they must outlive this.
  RunLoop(Parts parts, const config::FlagValues& flags);
  ~RunLoop();
  RunLoop(const RunLoop&) = delete;
  RunLoop& operator=(const RunLoop&) = delete;

  [[nodiscard]] RunEnd run();

 private:
  enum class Step : std::uint8_t { kGoOn, kStop, kReload, kFailed };

  [[nodiscard]] rules::Status watch();
  [[nodiscard]] Step wait();
  [[nodiscard]] Step handle(int fd);
  [[nodiscard]] bool wants_reload() const;
  void take_objects();
  void tell_node_name();
  /// To the model: whether changes of Pods are heard of at present.
  void tell_pods_current();
  void listen_to_source(bool listen);
  /// Reads what is local anew, when that is due.
  void refresh_environment();
  void refresh_listeners();
  void set_environment(config::Environment environment);
  /// What the first sync still waits for; empty: nothing.
  [[nodiscard]] std::string waits_for() const;
  [[nodiscard]] Step first_sync();
  void round();
  void tell_rivals();
  /// Metrics of rules of other proxies that stand beside ours.
  void tell_left_standing();
  /// Lines about noticing changes of files: each once, whoever says it.
  void tell(const std::vector<std::string>& notes);
  void tell_silence();
  /// To the service manager: what is in force, after that round.
  [[nodiscard]] std::string status_after(const dataplane::RoundReport& report) const;

  Inputs& inputs_;
  dataplane::Reconciler& reconciler_;
  netlink::host::AddressMonitor& addresses_;
  ConfigWatch& files_;
  base::Signals& signals_;
  base::ServiceManager& manager_;
  RivalWatch& rivals_;
  Serving* serving_;
  const config::FlagValues& flags_;
  const bool once_;
  LocalhostRouting localhost_;
  AddressPace address_pace_;
  state::NodeNames node_names_;
  base::Descriptor epoll_;
  bool listening_ = true;         ///< to the source
  bool objects_synced_ = false;   ///< the source has given all there was
  bool running_ = false;          ///< the first sync is done
  bool objects_changed_ = false;  ///< since the last round
  std::size_t problems_ = 0;      ///< objects that were left out
  std::vector<api::WatchState> states_;
  std::set<std::string> told_;  ///< see tell()
  bool silence_told_ = false;
  Clock::time_point look_at_listeners_;
  Clock::time_point give_up_;                   ///< waiting for the first sync
  std::optional<Clock::time_point> give_back_;  ///< memory that the start alone needed
  Clock::time_point take_after_;                ///< objects, so that rounds keep their distance
};

}  // namespace kubenatd::agent::daemon
