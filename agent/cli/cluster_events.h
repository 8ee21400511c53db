#pragma once

#include <cstdint>
#include <string>

#include "agent/api/event_recorder.h"

/// The Events that kube-proxy v1.36 writes, with its reasons and actions.
namespace kubenatd::agent {

/// kube-proxy has started on a Node.
[[nodiscard]] ClusterEvent starting_event(const std::string& node);

/// One of its own servers could not be opened.
[[nodiscard]] ClusterEvent healthz_failed_event(const std::string& node, const std::string& error);
[[nodiscard]] ClusterEvent metrics_failed_event(const std::string& node, const std::string& error);

/// A Service's healthCheckNodePort could not be opened.
[[nodiscard]] ClusterEvent health_check_failed_event(const std::string& node, const ObjectKey& service,
                                                     std::uint16_t port, const std::string& error);

}  // namespace kubenatd::agent
