#pragma once

#include <atomic>
#include <csignal>
#include <optional>
#include <string>
#include <vector>

#include "test/server/api_server.h"
#include "test/soak/dice.h"
#include "test/soak/fault_log.h"
#include "test/support/lab.h"
#include "test/support/process.h"

namespace kubenatd::soak {

/// What a process holds.
struct Usage {
  double rss_mb = 0;
  std::size_t descriptors = 0;
};
[[nodiscard]] Usage usage_of(pid_t pid);

/// The agent on the node: its configuration, its lives, and how each of them ends.
///
/// Threading: one thread, the one that made it, but for what says otherwise. Failure: what the agent does wrong is a
/// complaint; what the machine does not let the test do is thrown.
class Agent {
 public:
  struct Options {
    std::string program;
    std::string mode;       ///< at first
    std::string authority;  ///< PEM of the API server's
    std::string logs;       ///< folder for what the agent says, a file for each life; empty: none
  };
  Agent(Options options, const test::Lab& lab, const test::ApiServer& server, FaultLog& faults, Complaints& complaints);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  ~Agent();

  /// A configuration at random; it says the same to a fresh agent.
  void configure(Dice& dice);
  /// One that cannot be read.
  void configure_garbage() const;
  void write_configuration() const;

  /// The mode from the next start on.
  void set_mode(const std::string& mode);
  [[nodiscard]] const std::string& mode() const { return mode_; }

  void start(Dice& dice);
  /// SIGKILL.
  void kill();
  /// SIGTERM, which must end it with exit code 0.
  void terminate();
  void hang_up() const { signal(SIGHUP); }
  /// It may end by itself meanwhile, as memory is short.
  void allow_end(bool allowed) { may_end_ = allowed; }
  /// Notices what happened to it, and starts it again when it has ended. True: it had.
  bool look(Dice& dice);

  /// It has begun to take signals: one that comes while the program is loaded has the kernel's own effect.
  [[nodiscard]] bool takes_signals() const { return pid_ != 0 && !log().empty(); }
  [[nodiscard]] pid_t pid() const { return pid_; }  ///< 0: it does not run. Any thread
  /// It runs and watches every resource, so it hears of each change. Any thread.
  [[nodiscard]] bool hears() const;
  /// What differs from these manifests in the kernel. Any thread.
  [[nodiscard]] test::ProcessResult diff(const std::string& manifests) const;
  /// Writes everything on another node. Any thread.
  [[nodiscard]] test::ProcessResult run_once(const test::Namespace& node, const std::string& manifests) const;
  [[nodiscard]] std::string log() const { return child_ ? child_->err() : ""; }

  /// Of the current life, once it had heard everything.
  [[nodiscard]] std::optional<Usage> at_start() const { return at_start_; }
  [[nodiscard]] std::size_t lives() const { return lives_; }
  [[nodiscard]] std::size_t ends() const { return ends_; }  ///< lives that ended for want of memory
  [[nodiscard]] bool can_own() const { return can_own_ && mode_ == "nftables"; }

 private:
  void signal(int number) const;
  void end();
  void keep_log() const;
  [[nodiscard]] std::string configuration() const;
  [[nodiscard]] std::vector<std::string> command(const std::string& verb, const std::vector<std::string>& more) const;

  const Options options_;
  const test::Lab& lab_;
  const test::ApiServer& server_;
  FaultLog& faults_;
  Complaints& complaints_;
  test::TempFolder files_;
  bool can_own_ = false;
  std::string mode_;
  std::string of_mode_;  ///< what is at random in the configuration: settings of the mode, whichever it is
  std::string node_port_addresses_;
  std::string own_;  ///< kubenatd's own settings
  std::optional<test::Child> child_;
  std::atomic<pid_t> pid_{0};
  std::optional<Time> heard_;
  std::optional<Usage> at_start_;
  std::size_t lives_ = 0;
  bool may_end_ = false;
  std::size_t ends_ = 0;
};

}  // namespace kubenatd::soak
