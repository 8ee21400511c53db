#pragma once

#include <cstdint>
#include <string>

#include "agent/api/event_recorder.h"

/// The Events that kube-proxy v1.36 writes, with its reasons and actions.
namespace kubenatd::agent::daemon {

/// kube-proxy has started on a Node.
[[nodiscard]] api::ClusterEvent starting_event(const std::string& node);

/// One of its own servers could not be opened.
[[nodiscard]] api::ClusterEvent healthz_failed_event(const std::string& node, const std::string& error);
[[nodiscard]] api::ClusterEvent metrics_failed_event(const std::string& node, const std::string& error);

/// A Service's healthCheckNodePort could not be opened.
[[nodiscard]] api::ClusterEvent health_check_failed_event(const std::string& node, const objects::ObjectKey& service,
                                                          std::uint16_t port, const std::string& error);

}  // namespace kubenatd::agent::daemon
