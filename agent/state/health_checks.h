#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/state/frontend_guard.h"

namespace kubenatd::agent::state {

/// A Service's health check port, and how many addresses of ready endpoints on this node stand behind it.
struct HealthCheck {
  std::uint16_t port = 0;
  std::size_t local_endpoints = 0;
  std::optional<std::string> refusal = std::nullopt;  ///< why the port is not to be opened
  bool operator==(const HealthCheck&) const = default;
};

/// The health check of a proxied Service with these slices; none: it asks for no such port.
[[nodiscard]] std::optional<HealthCheck> health_check_of(
    const objects::Service& service, const std::vector<std::shared_ptr<const objects::EndpointSlice>>& slices,
    const std::string& node_name, const FrontendGuard& guard);

/// Health checks that are now like this or, without a value, gone.
using HealthCheckChanges = std::map<objects::ObjectKey, std::optional<HealthCheck>>;

/// The health checks that Services have, and which of them have changed.
///
/// Threading: one thread. Failure: none. Cost: a look-up for each Service that was looked at.
class HealthChecks {
 public:
  /// The Service's health check as it is now; none: it has none.
  void set(const objects::ObjectKey& service, const std::optional<HealthCheck>& now);

  /// Those that have changed since the last call. Each is told once, so there is one taker.
  [[nodiscard]] HealthCheckChanges take_changes() { return std::exchange(changes_, {}); }

 private:
  std::map<objects::ObjectKey, HealthCheck> all_;
  HealthCheckChanges changes_;
};

}  // namespace kubenatd::agent::state
