#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/config.h"
#include "agent/dataplane/reconciler.h"
#include "agent/objects/objects.h"
#include "rules/address.h"
#include "rules/rule.h"

namespace prometheus {
class Collectable;
}

namespace kubenatd::agent::serve {

/// All numbers that the agent tells Prometheus.
///
/// Purpose: kube-proxy's metrics under their own names, types, labels, buckets and help texts, so that its dashboards
/// and alerts go on working, and kubenatd_* for what is the agent's alone. Threading: any thread. Failure: none.
/// Cost: the number of series does not depend on the number of objects; text() takes about a millisecond, and what the
/// collectors take.
class Metrics {
 public:
  /// kube-proxy has some metrics in some of its modes only.
  explicit Metrics(config::Config::Mode mode);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  /// After each round of reconciling.
  void round(const dataplane::RoundReport& report);

  /// A sync of this family is wanted.
  void queued(rules::Family family);
  /// The kernel has all that was asked for in this family, whether or not that took a sync.
  void settled(rules::Family family);
  /// Services and EndpointSlices that have changed since the last round, and those that still wait for one.
  void service_changes(std::size_t changes);
  void endpoint_changes(std::size_t changes);
  void pending(std::size_t services, std::size_t endpoints);
  /// From a change of endpoints, as the slice's annotation tells it, to rules in the kernel.
  void network_programming(rules::Family family, std::chrono::nanoseconds latency);
  /// Services with a Local policy and no local endpoint.
  void no_local_endpoints(rules::Family family, std::size_t internal, std::size_t external);
  /// Tables and groups of chains of other proxies that are left standing.
  void left_behind(rules::Family family, std::size_t count);
  /// Who may change the table of nftables mode.
  void table_ownership(rules::Family family, const dataplane::TableOwnership& ownership);
  void fast_path(rules::Family family, const dataplane::FastPathState& fast_path);
  /// What the kernel can refuse by itself, so that the rest is there without it.
  enum class RefusedKind : std::uint8_t { kServicePort, kPod };
  /// Objects that are not in the kernel now because it refuses them.
  void refused(rules::Family family, RefusedKind kind, std::size_t count);
  /// Services that do not get all that they ask for.
  void restricted_services(std::size_t count);
  /// Whether rules() is told anywhere: counting them is not free.
  [[nodiscard]] bool tells_rules() const;
  /// Rules that the agent owns, and those written in the last sync.
  void rules(rules::Family family, rules::Table table, std::size_t owned, std::size_t written);
  /// Objects that the sources know.
  void objects(objects::Kind kind, std::size_t count);
  /// Whether what a source says about a resource ("services") is up to date.
  void source_up(std::string_view resource, bool up);
  /// Something that is read at each scrape. To be called before the first text().
  void add(std::shared_ptr<prometheus::Collectable> collector);

  void answered_healthz(unsigned status);
  void answered_livez(unsigned status);

  /// The exposition, format 0.0.4, families by name.
  [[nodiscard]] std::string text() const;

 private:
  class Series;
  std::unique_ptr<Series> series_;
  std::vector<std::shared_ptr<prometheus::Collectable>> collectors_;
};

/// What kind of thing was healed. In iptables' tables, by the chain: "jump" (a builtin chain's jump to us), "service",
/// "endpoint", "dispatch" (the tree in front of the services) or "fixed"; in nftables mode's "table", "chain" or "set".
[[nodiscard]] std::string_view drift_kind(const rules::ObjectRef& object);

}  // namespace kubenatd::agent::serve
