#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/api/event_recorder.h"
#include "agent/api/watch_sink.h"
#include "agent/config/config.h"
#include "agent/dataplane/model.h"
#include "agent/dataplane/reconciler.h"
#include "agent/page/explainer.h"
#include "agent/seen/board.h"
#include "agent/seen/inquiries.h"
#include "agent/serve/health_check_ports.h"
#include "agent/serve/health_state.h"
#include "agent/serve/metrics.h"
#include "agent/serve/server_keeper.h"
#include "agent/serve/service_connections.h"

namespace kubenatd::agent::daemon {

struct ServingOptions {
  /// For how many Services connections are counted (kubenatd_service_new_connections_total); 0: none.
  std::size_t counted_services = 0;
  /// The source has this node's Node object: until it was seen the node is not eligible for load balancers' traffic.
  bool source_has_node = false;
  api::EventRecorder* events = nullptr;        ///< told when a server cannot be opened; must outlive the serving
  std::map<std::string, std::string> flags{};  ///< as they were given, for /flagz
  std::string objects_of{};                    ///< for people: where objects come from
  std::shared_ptr<prometheus::Collectable> request_metrics{};  ///< of the API server; none: there is none
  page::Explain explain{};                                     ///< for the page, where that is asked for
  page::Explain trace{};                                       ///< the same
};

/// Everything that the running agent tells over HTTP: healthz, metrics, and the health check ports of Services.
///
/// Threading: the run loop's thread; answers are given on the transport's own, /metrics apart from
/// what probes ask. Failure: an address that cannot be had
/// is logged and tried again; with bindAddressHardFail open() fails. Cost: a round costs what changed.
class Serving {
 public:
  /// `model` must outlive this; its changes of health checks are taken here and nowhere else.
  [[nodiscard]] static rules::Result<std::unique_ptr<Serving>> open(dataplane::Model& model,
                                                                    const ServingOptions& options = {});
  ~Serving();
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  /// Objects have changed and will be synced.
  void note(const std::vector<objects::ObjectEvent>& events);
  /// A round of reconciling has ended. Each note() of objects has to be followed by one.
  void note(const dataplane::RoundReport& report);
  /// Whether what is known of a resource is up to date.
  void note_source(const api::WatchState& state);
  /// Rules of other proxies that are left standing.
  void note_left(rules::Family family, const std::vector<dataplane::LeftBehind>& left) {
    metrics_.left_behind(family, left.size());
    board_.note_left(family, left);
  }
  /// What the first sync waits for.
  void note_waiting(const std::string& what) { board_.note_waiting(what); }

  /// Readable when somebody asks for what only this thread may look at.
  [[nodiscard]] int fd() const { return inquiries_->fd(); }
  void answer();

  /// Whether healthz or metrics is open at this port.
  [[nodiscard]] bool has_open(std::uint16_t port) const;

 private:
  Serving(dataplane::Model& model, const ServingOptions& options, serve::DescriptorShares shares,
          std::unique_ptr<serve::HttpTransport> transport, std::unique_ptr<seen::Inquiries> inquiries);
  [[nodiscard]] rules::Status keep(const std::string& what, const std::string& address, serve::HttpHandler handler,
                                   serve::HttpLane lane);
  [[nodiscard]] bool uses(rules::Family family) const;
  void note_node(const objects::ObjectEvent& event);
  void note_settled(rules::Family family);
  void note_ownership(rules::Family family, const dataplane::TableOwnership& ownership);
  void note_refused();
  void update_health_checks();

  dataplane::Model& model_;
  api::EventRecorder* events_;  ///< none: nobody is told
  const base::WallTime started_;
  serve::HealthState health_;
  serve::Metrics metrics_;
  seen::Board board_;
  std::unique_ptr<seen::Inquiries> inquiries_;
  std::unique_ptr<serve::HttpTransport> transport_;
  serve::ServerKeeper keeper_;
  serve::HealthCheckPorts health_checks_;
  std::shared_ptr<serve::ServiceConnections> connections_;  ///< none: not asked for
  std::optional<std::array<std::size_t, 3>> told_counts_;   ///< of Services, EndpointSlices and the Node
  std::size_t told_left_out_ = 0;
  std::size_t waiting_services_ = 0;
  std::size_t waiting_endpoints_ = 0;
  /// When the changes of endpoints happened that wait for a sync.
  std::array<std::vector<base::WallTime>, 2> triggers_;
};

}  // namespace kubenatd::agent::daemon
