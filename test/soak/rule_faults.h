#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "test/soak/agent.h"
#include "test/soak/changes.h"
#include "test/soak/damage.h"

namespace kubenatd::soak {

/// What others do to rules and tables of the node's kernel, each followed by a look at whether kubenatd healed it.
///
/// Threading: a thread of its own. Failure: rules that stay wrong are a complaint.
class RuleFaults {
 public:
  struct Options {
    unsigned seed = 1;
    std::string mode;
    std::chrono::milliseconds longest_pause{4000};
    bool full_table = false;  ///< also a connection table that is full
  };
  RuleFaults(const Options& options, const test::Lab& lab, const Agent& agent, test::ApiServer& server,
             Changes& changes, FaultLog& faults, Complaints& complaints);
  RuleFaults(const RuleFaults&) = delete;
  RuleFaults& operator=(const RuleFaults&) = delete;
  ~RuleFaults();

  void stop();
  /// Who makes trouble of the API server holds this, so that most damage is looked at when the agent hears of changes.
  [[nodiscard]] std::mutex& truce() { return truce_; }

  /// A flush met no agent, or one that heard no news. After stop().
  [[nodiscard]] bool flushed_unseen() const { return flushed_unseen_; }
  /// The longest time from a damage to a look that found all right, by kind. After stop().
  [[nodiscard]] const std::map<std::string, Clock::duration>& healing() const { return healing_; }
  [[nodiscard]] std::size_t refused() const { return refused_; }  ///< damage that the kernel did not allow
  /// True when nothing differs in the kernel within the time.
  [[nodiscard]] bool is_right(std::chrono::seconds limit, std::string& difference);
  [[nodiscard]] std::string foreign_difference() const { return foreign_.difference(); }

 private:
  void run();
  void damage(bool events_lost);
  void writers();
  void full_table();
  void rest(std::chrono::milliseconds time) const;

  const Options options_;
  const test::Lab& lab_;
  const Agent& agent_;
  test::ApiServer& server_;
  Changes& changes_;
  FaultLog& faults_;
  Complaints& complaints_;
  ForeignRules foreign_;
  Dice dice_;
  test::TempFolder manifests_;
  std::map<std::string, Clock::duration> healing_;
  bool flushed_unseen_ = false;
  std::size_t refused_ = 0;
  std::mutex truce_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace kubenatd::soak
