#pragma once

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "test/soak/dice.h"
#include "test/soak/figures.h"
#include "test/soak/ways.h"

namespace kubenatd::soak {

/// Connections without end: new ones, some hundred a second, and kept ones, by all ways.
///
/// Threading: threads of its own, one for each client. Failure: the constructor throws. Every connection has a source
/// port that was not used for minutes: what a fault left in conntrack is not met by a later connection.
class Clients {
 public:
  struct Options {
    unsigned seed = 1;
    int rate = 300;  ///< new connections a second
    int kept = 50;
  };
  Clients(const Options& options, const Ways& ways, const FaultLog& faults, Figures& figures, Complaints& complaints);
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;
  ~Clients();

  void stop();

 private:
  static constexpr int kThreads = 16;

  void ask_on(unsigned number, unsigned seed);
  void ask(Way& way);
  void keep(int count, unsigned seed);
  void trial_failed(Way& way, Time now);
  [[nodiscard]] std::uint16_t next_port(const Way& way);

  const Ways& ways_;
  const FaultLog& faults_;
  Figures& figures_;
  Complaints& complaints_;
  const std::chrono::microseconds pace_;
  std::map<const test::Namespace*, std::atomic<unsigned>> ports_;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

}  // namespace kubenatd::soak
