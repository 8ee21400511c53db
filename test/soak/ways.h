#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "test/soak/fault_log.h"
#include "test/support/lab.h"
#include "test/support/traffic.h"

/// What traffic goes to, and by which ways.
namespace kubenatd::soak {

/// The pods that stand behind something, as time goes on. Threading: any.
class Behind {
 public:
  /// Call it before the object that adds pods is written, with both old and new ones, and after it with the new ones.
  void set(const std::set<std::string>& pods, Time now);
  [[nodiscard]] std::set<std::string> pods() const;
  /// When this pod ceased to stand behind it, if it had at that time; Time::min(): it never did.
  [[nodiscard]] std::optional<Time> left_before(const std::string& pod, Time begun) const;

 private:
  mutable std::mutex mutex_;
  std::set<std::string> now_;
  std::map<std::string, Time> left_;
};

/// One way to reach something: from where, to which address.
struct Way {
  enum class State : std::uint8_t {
    kOff,    ///< nothing is asked
    kTrial,  ///< on from its first answer on
    kOn,     ///< everything must be answered
  };

  std::string kind;  ///< "NodePort TCP IPv4"
  std::string what;  ///< kind, and what it leads to, and from where
  const test::Namespace* from = nullptr;
  test::Transport transport = test::Transport::kTcp;
  std::string address;
  std::uint16_t port = 0;
  int heard_on = 0;  ///< port of the pods
  std::shared_ptr<Behind> behind;
  bool lasts = true;  ///< the address stays the node's, whatever changes

  std::atomic<State> state{State::kOff};
  std::atomic<int> in_flight{0};
  std::atomic<Time> trial_since{Time{}};
  std::atomic<bool> proven{false};  ///< by an answer when the agent had surely heard of all that was before the trial

  void offer() {
    trial_since = Clock::now();
    proven = false;
    state = State::kTrial;
  }
  void withdraw() { state = State::kOff; }
};

using Ways = std::vector<std::unique_ptr<Way>>;

/// True when nothing is under way any more on ways that were withdrawn.
[[nodiscard]] bool drained(const std::vector<Way*>& ways);

}  // namespace kubenatd::soak
