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
#include "netlink/core/nf_tables.h"

namespace kubenatd::agent::serve {

/// Packets of the jumps to endpoints in the chains of a service port in iptables mode, by handle of the rule: as the
/// nat table sees a connection's first packet alone, its new connections. None: they cannot be read now.
[[nodiscard]] std::optional<std::map<std::uint64_t, std::uint64_t>> endpoint_packets(
    netlink::NfTables& kernel, rules::Family family, const std::string& service_port_name, rules::Protocol protocol);
/// How many came between two readings. A rule written anew counts from 0.
[[nodiscard]] std::uint64_t packets_since(const std::map<std::uint64_t, std::uint64_t>& before,
                                          const std::map<std::uint64_t, std::uint64_t>& now);

/// New connections of each port of some Services, as the rules in the kernel have counted them.
///
/// Purpose: kubenatd_service_new_connections_total. The nat table sees the first packet of a connection only, so the
/// packets of the jumps to endpoints in a service port's chains (KUBE-SVC-, KUBE-SVL-) are its new connections that
/// were sent to an endpoint. The kernel counts them anyway; nothing is added to the rules.
/// Which Services: the first `most` that were heard of, and a Service that goes makes room for another. So the number
/// of series is bounded whatever the cluster does, and a Service's series does not come and go with others.
/// Monotone: a rule is known by its handle, which the kernel does not give again in the life of a table; a rule written
/// anew counts from 0 and adds to what was read of the former one. What that one counted after the last scrape is lost.
/// Threading: note() on one thread, Collect() on another; neither waits for the other's work. Failure: chains that
/// cannot be read keep their last figures. Cost: a dump of each chain at each scrape, about 20 us.
class ServiceConnections final : public prometheus::Collectable {
 public:
  /// In the network namespace of the agent. `most` is kept as it is: config::kMostCountedServices bounds the setting.
  [[nodiscard]] static rules::Result<std::shared_ptr<ServiceConnections>> open(std::size_t most);

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
    std::map<std::uint64_t, std::uint64_t> packets;  ///< by handle, of rules that were there at the last scrape
  };
  using CountKey = std::pair<objects::ObjectKey, Port>;

  ServiceConnections(netlink::NfTables kernel, std::size_t most) : most_(most), kernel_(std::move(kernel)) {}
  void take_over(const objects::ObjectEvent& event) KUBENATD_REQUIRES(services_mutex_);
  void fill() KUBENATD_REQUIRES(services_mutex_);
  [[nodiscard]] static Ports ports_of(const objects::Service& service);
  void read(const CountKey& key, Count& count) const KUBENATD_REQUIRES(kernel_mutex_);

  const std::size_t most_;
  mutable base::Mutex services_mutex_;
  std::map<objects::ObjectKey, Ports> counted_ KUBENATD_GUARDED_BY(services_mutex_);
  std::map<objects::ObjectKey, Ports> waiting_ KUBENATD_GUARDED_BY(services_mutex_);  ///< beyond `most_`

  mutable base::Mutex kernel_mutex_;
  mutable netlink::NfTables kernel_ KUBENATD_GUARDED_BY(kernel_mutex_);
  mutable std::map<CountKey, Count> counts_ KUBENATD_GUARDED_BY(kernel_mutex_);
};

}  // namespace kubenatd::agent::serve
