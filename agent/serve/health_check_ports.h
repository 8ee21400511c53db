#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/objects/objects.h"
#include "agent/serve/health_state.h"
#include "agent/serve/server_keeper.h"
#include "agent/state/service_state.h"

namespace kubenatd::agent::serve {

/// The servers that load balancers ask whether this node has endpoints of a Service (healthCheckNodePort).
///
/// Purpose: after each successful sync, apply() opens, moves and closes listeners and sets the counts that they tell.
/// Threading: one thread, not the transport's. Failure: a port that cannot be had is reported by the keeper, which goes
/// on trying. Cost: one listener for each Service and address; a call costs what it names, only other addresses concern
/// every Service.
class HealthCheckPorts {
 public:
  /// The port of a Service cannot be had, at the first try, or is refused to it.
  using Refused = std::function<void(const objects::ObjectKey& service, std::uint16_t port, const rules::Error& error)>;

  /// The two must outlive this.
  HealthCheckPorts(ServerKeeper& keeper, const HealthState& health, Refused refused = {})
      : keeper_(keeper), health_(health), refused_(std::move(refused)) {}
  ~HealthCheckPorts();
  HealthCheckPorts(const HealthCheckPorts&) = delete;
  HealthCheckPorts& operator=(const HealthCheckPorts&) = delete;

  /// Where to listen: the node's addresses that nodePortAddresses names, and nowhere when there are none of these. Not
  /// called: on all addresses, of both families. The same ones again change nothing.
  void set_addresses(const std::vector<rules::Address>& addresses);
  /// Services that are not named stay as they are.
  void apply(const state::HealthCheckChanges& changes);

  /// How the keeper calls the server of a Service on this address; on all addresses without one.
  [[nodiscard]] static std::string name_of(const objects::ObjectKey& service,
                                           const std::optional<rules::Address>& address);

 private:
  using ListenOn = std::set<std::optional<rules::Address>>;  ///< an entry without an address: on all
  struct Served {
    std::uint16_t port = 0;
    std::optional<std::string> refusal;
    std::shared_ptr<std::atomic<std::size_t>> local_endpoints;  ///< shared with the handlers
  };

  void open(const objects::ObjectKey& key, const Served& served, const std::optional<rules::Address>& address);
  void close_all(const objects::ObjectKey& key);

  ServerKeeper& keeper_;
  const HealthState& health_;
  Refused refused_;
  ListenOn listen_on_{std::nullopt};
  std::map<objects::ObjectKey, Served> served_;
};

/// The answer of such a server.
[[nodiscard]] HttpResponse health_check_page(const objects::ObjectKey& service, std::size_t local_endpoints,
                                             bool proxy_healthy);

}  // namespace kubenatd::agent::serve
