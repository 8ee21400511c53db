#include "agent/daemon/cluster_events.h"

#include <fmt/format.h>

namespace kubenatd::agent::daemon {
namespace {

api::ClusterEvent server_failed(const std::string& node, const char* reason, const std::string& note) {
  return {
      .warning = true, .kind = "Node", .about = {"", node}, .reason = reason, .action = "StartKubeProxy", .note = note};
}

}  // namespace

api::ClusterEvent starting_event(const std::string& node) {
  return {.warning = false,
          .kind = "Node",
          .about = {"", node},
          .reason = "Starting",
          .action = "StartKubeProxy",
          .note = ""};
}

api::ClusterEvent healthz_failed_event(const std::string& node, const std::string& error) {
  return server_failed(node, "FailedToStartProxierHealthcheck", "starting healthz server failed: " + error);
}

api::ClusterEvent metrics_failed_event(const std::string& node, const std::string& error) {
  return server_failed(node, "FailedToStartMetricServer", "starting metrics server failed: " + error);
}

api::ClusterEvent health_check_failed_event(const std::string& node, const objects::ObjectKey& service,
                                            std::uint16_t port, const std::string& error) {
  return {.warning = true,
          .kind = "Service",
          .about = service,
          .reason = "FailedToStartServiceHealthcheck",
          .action = "Listen",
          .note = fmt::format("node {} failed to start healthcheck \"{}\" on port {}: {}", node, service.to_string(),
                              port, error)};
}

}  // namespace kubenatd::agent::daemon
