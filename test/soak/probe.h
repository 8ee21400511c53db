#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "test/server/api_server.h"
#include "test/soak/figures.h"
#include "test/support/lab.h"

namespace kubenatd::soak {

/// A Service with one pod behind it, which changes every few seconds, and a client that connects to it all the time: it
/// sees how long what is wrong stands, whatever made it so.
///
/// Threading: a thread of its own.
class Probe {
 public:
  Probe(test::ApiServer& server, const test::Lab& lab, Figures& figures);
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe();

  /// Puts the other pod behind the Service.
  void turn();

 private:
  void look();

  test::ApiServer& server_;
  const test::Lab& lab_;
  Figures& figures_;
  std::mutex mutex_;
  std::string right_ = "pod-a";
  Time turned_ = Clock::now();
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace kubenatd::soak
