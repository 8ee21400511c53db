#pragma once

#include <memory>

#include "agent/config/config.h"
#include "agent/serve/health_check_ports.h"
#include "agent/serve/health_state.h"
#include "agent/serve/metrics.h"
#include "agent/serve/server_keeper.h"
#include "agent/sync/model.h"
#include "agent/sync/reconciler.h"

namespace kubenatd::agent {

/// Everything that the running agent tells over HTTP: healthz, metrics, and the health check ports of Services.
///
/// Threading: the run loop's thread; answers are given on the transport's own. Failure: an address that cannot be had
/// is logged and tried again; with bindAddressHardFail open() fails. Cost: a round costs what changed, and one pass
/// over the Services that have a health check port.
class Serving {
 public:
  /// `model` must outlive this.
  [[nodiscard]] static rules::Result<std::unique_ptr<Serving>> open(const Model& model);

  /// Objects have changed and will be synced.
  void note(const std::vector<ObjectEvent>& events);
  /// A round of reconciling has ended.
  void note(const RoundReport& report);

 private:
  explicit Serving(const Model& model, std::unique_ptr<HttpTransport> transport);
  [[nodiscard]] rules::Status keep(const std::string& what, const std::string& address, HttpHandler handler);
  void update_health_checks();

  const Model& model_;
  HealthState health_;
  Metrics metrics_;
  std::unique_ptr<HttpTransport> transport_;
  ServerKeeper keeper_;
  HealthCheckPorts health_checks_;
  bool objects_changed_ = true;
  std::size_t waiting_services_ = 0;
  std::size_t waiting_endpoints_ = 0;
};

}  // namespace kubenatd::agent
