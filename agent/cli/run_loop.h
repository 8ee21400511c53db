#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "agent/cli/config_watch.h"
#include "agent/cli/inputs.h"
#include "agent/cli/localhost_routing.h"
#include "agent/cli/rival_watch.h"
#include "agent/cli/serving.h"
#include "agent/cli/signals.h"
#include "agent/sources/descriptor.h"
#include "agent/sync/reconciler.h"
#include "netlink/addresses.h"

namespace kubenatd::agent {

/// How a run ended.
enum class RunEnd : std::uint8_t {
  kStopped,  ///< as asked; with `once` after a sync without errors
  kReload,   ///< to be started again with what the files now hold
  kFailed,
};

/// The running agent: waits for objects, the kernel, interfaces, configuration files, signals and deadlines, and has
/// the reconciler put right what differs.
///
/// Purpose: nothing is written before everything there was at the start is known: all lists of an API server and what
/// the rules need of the Node. From then on a change is applied at once, unless the configuration sets minSyncPeriod.
/// In a storm of changes the loop pauses after each round for as long as the round took (at most a second), so that it
/// takes no more than half a CPU, and what comes meanwhile is one round.
/// Threading: one thread. Failure: what fails is logged and tried again; without the Node after five minutes (as
/// kube-proxy v1.35 and newer) or, with `once`, without the lists the run ends.
class RunLoop {
 public:
  using Clock = std::chrono::steady_clock;

  struct Parts {
    Inputs& inputs;
    Reconciler& reconciler;
    netlink::AddressMonitor& addresses;
    ConfigWatch& files;
    Signals& signals;
    RivalWatch& rivals;
    Serving* serving;  ///< none: nothing is told over HTTP
  };

  RunLoop(Parts parts, const Options& options);

  [[nodiscard]] RunEnd run();

 private:
  enum class Step : std::uint8_t { kGoOn, kStop, kReload, kFailed };

  [[nodiscard]] rules::Status watch();
  [[nodiscard]] Step wait();
  [[nodiscard]] Step handle(int fd);
  [[nodiscard]] bool wants_reload() const;
  void take_objects();
  void listen_to_source(bool listen);
  void refresh_environment();
  /// What the first sync still waits for; empty: nothing.
  [[nodiscard]] std::string waits_for() const;
  [[nodiscard]] Step first_sync();
  void round();
  void tell_rivals();

  Inputs& inputs_;
  Reconciler& reconciler_;
  netlink::AddressMonitor& addresses_;
  ConfigWatch& files_;
  Signals& signals_;
  RivalWatch& rivals_;
  Serving* serving_;
  const Options& options_;
  LocalhostRouting localhost_;
  Descriptor epoll_;
  bool listening_ = true;         ///< to the source
  bool objects_synced_ = false;   ///< the source has given all there was
  bool running_ = false;          ///< the first sync is done
  bool objects_changed_ = false;  ///< since the last round
  std::size_t problems_ = 0;      ///< objects that were left out
  std::vector<WatchState> states_;
  Clock::time_point give_up_;     ///< waiting for the first sync
  Clock::time_point take_after_;  ///< objects, so that rounds keep their distance
};

}  // namespace kubenatd::agent
