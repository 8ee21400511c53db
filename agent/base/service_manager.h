#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/descriptor.h"

namespace kubenatd::agent::base {

/// Tells systemd how the agent is, as sd_notify(3) describes it: a datagram to the socket that NOTIFY_SOCKET names, a
/// path or, with "@", an abstract name.
///
/// Threading: one thread. Failure: without NOTIFY_SOCKET nothing is done. What cannot be told is no reason to stop: a
/// line of the log says so, once. Cost: a message is one system call; one that cannot be delivered holds up the caller
/// for a second at most.
class ServiceManager {
 public:
  using Clock = std::chrono::steady_clock;

  /// The one that started this process, by NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.
  [[nodiscard]] static ServiceManager of_environment();
  /// None: all calls do nothing.
  ServiceManager() : socket_(-1) {}

  /// Whether somebody listens.
  [[nodiscard]] bool listens() const { return static_cast<bool>(socket_); }

  /// It runs, from the start or again after reloading(), with a line for people.
  void ready(std::string_view status);
  /// It reads its configuration again; ready() says when that is done.
  void reloading();
  void stopping();
  /// A line for people, as `systemctl status` shows it. The line that was told last is not told again.
  void status(std::string_view line);

  /// The caller is alive: called more often than next_alive() asks for it tells nothing. Before ready() it gives the
  /// start as much time again as the watchdog has, so that a start may wait and may not hang.
  void alive(Clock::time_point now);
  /// When alive() is to be called at the latest, for a watchdog that must hear of us twice as often as it looks.
  [[nodiscard]] std::optional<Clock::time_point> next_alive() const;

 private:
  void tell(const std::string& message);

  Descriptor socket_;
  std::string address_;  ///< of the family AF_UNIX, as the kernel takes it
  std::string status_;   ///< told last
  std::optional<std::chrono::microseconds> watchdog_;
  Clock::time_point next_alive_;
  bool is_ready_ = false;
  bool failure_told_ = false;
};

}  // namespace kubenatd::agent::base
