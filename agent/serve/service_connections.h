#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/thread_annotations.h"
#include "agent/objects/objects.h"
#include "agent/serve/connection_counts.h"
#include "netlink/core/nf_tables.h"

namespace kubenatd::agent::serve {

/// New connections of each port of some Services, as the rules in the kernel have counted them.
///
/// Purpose: kubenatd_service_new_connections_total, from read_counts().
/// Which Services: the first `most` that were heard of, and a Service that goes makes room for another. So the number
/// of series is bounded whatever the cluster does, and a Service's series does not come and go with others.
/// Monotone: a rule is known by its handle, which the kernel does not give again in the life of a table, an element by
/// its key. One written anew counts from 0 and adds to what was read of the former one. What that one counted after the
/// last scrape is lost; an element of the same key that has overtaken it by then adds only what is more. Threading:
/// note() on one thread, Collect() on another; neither waits for the other's work. Failure: chains or maps that cannot
/// be read keep their last figures. Cost: read_counts() at each scrape.
class ServiceConnections final : public prometheus::Collectable {
 public:
  /// In the network namespace of the agent. `most` is kept as it is: config::kMostCountedServices bounds the setting.
  [[nodiscard]] static rules::Result<std::shared_ptr<ServiceConnections>> open(config::Config::Mode mode,
                                                                               std::size_t most);

  /// Services among the events are taken over; others are passed over.
  void note(const std::vector<objects::ObjectEvent>& events) KUBENATD_EXCLUDES(services_mutex_);

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override
      KUBENATD_EXCLUDES(services_mutex_, kernel_mutex_);

 private:
  struct Port {
    std::string name;
    rules::Protocol protocol = rules::Protocol::kTcp;
    rules::Family family = rules::Family::kIpv4;
    std::uint16_t number = 0;
    auto operator<=>(const Port&) const = default;
  };
  using Ports = std::vector<Port>;
  /// What has been read of one service port.
  struct Count {
    std::uint64_t connections = 0;
    Packets packets;  ///< of what was there at the last scrape
  };
  using CountKey = std::pair<objects::ObjectKey, Port>;

  ServiceConnections(netlink::NfTables kernel, config::Config::Mode mode, std::size_t most)
      : mode_(mode), most_(most), kernel_(std::move(kernel)) {}
  void take_over(const objects::ObjectEvent& event) KUBENATD_REQUIRES(services_mutex_);
  void fill() KUBENATD_REQUIRES(services_mutex_);
  [[nodiscard]] static Ports ports_of(const objects::Service& service);

  const config::Config::Mode mode_;
  const std::size_t most_;
  mutable base::Mutex services_mutex_;
  std::map<objects::ObjectKey, Ports> counted_ KUBENATD_GUARDED_BY(services_mutex_);
  std::map<objects::ObjectKey, Ports> waiting_ KUBENATD_GUARDED_BY(services_mutex_);  ///< beyond `most_`

  mutable base::Mutex kernel_mutex_;
  mutable netlink::NfTables kernel_ KUBENATD_GUARDED_BY(kernel_mutex_);
  mutable std::map<CountKey, Count> counts_ KUBENATD_GUARDED_BY(kernel_mutex_);
};

}  // namespace kubenatd::agent::serve
