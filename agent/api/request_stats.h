#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "agent/base/thread_annotations.h"

namespace kubenatd::agent::api {

/// Counts requests to one API server, as client-go v1.36 counts its own.
///
/// Purpose: rest_client_requests_total and rest_client_request_duration_seconds. Each answer counts by its code, and a
/// request without one as "<error>". The time of a request runs until its body is read; watches have none. Threading:
/// any thread. Failure: none. Cost: an entry for each method and code that was met; codes have three digits.
class RequestStats {
 public:
  /// Of client-go's histogram (component-base/metrics/prometheus/restclient, v1.36), in seconds.
  static constexpr std::array<double, 12> kBuckets{0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60};

  struct Durations {
    std::array<std::uint64_t, kBuckets.size() + 1> counts{};  ///< not cumulative; the last one is above all bounds
    double sum = 0;
  };
  struct Snapshot {
    std::map<std::pair<std::string, std::string>, std::uint64_t> requests;  ///< by method and code
    std::map<std::string, Durations> durations;                             ///< by method
  };

  /// There was an answer; code 0: there was none.
  void answered(const std::string& method, unsigned code);
  void took(const std::string& method, std::chrono::nanoseconds time);
  [[nodiscard]] Snapshot snapshot() const;

 private:
  mutable base::Mutex mutex_;
  Snapshot counted_ KUBENATD_GUARDED_BY(mutex_);
};

}  // namespace kubenatd::agent::api
