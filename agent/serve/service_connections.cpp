#include "agent/serve/service_connections.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "agent/state/service_state.h"

namespace kubenatd::agent::serve {
rules::Result<std::shared_ptr<ServiceConnections>> ServiceConnections::open(config::Config::Mode mode,
                                                                            std::size_t most) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  return std::shared_ptr<ServiceConnections>(new ServiceConnections(std::move(*kernel), mode, most));
}

ServiceConnections::Ports ServiceConnections::ports_of(const objects::Service& service) {
  Ports ports;
  if (!state::is_proxied(service)) return ports;
  for (const rules::Family family : state::families_of(service))
    for (const objects::ServicePort& port : service.ports)
      ports.push_back({port.name, port.protocol, family, port.port});
  // The API forbids two of the same; here they would be one series told twice.
  const auto id = [](const Port& port) { return std::tie(port.name, port.protocol, port.family); };
  std::ranges::sort(ports);
  ports.erase(std::ranges::unique(ports, {}, id).begin(), ports.end());
  return ports;
}

void ServiceConnections::note(const std::vector<objects::ObjectEvent>& events) {
  const base::MutexLock lock(services_mutex_);
  for (const objects::ObjectEvent& event : events)
    if (event.kind == objects::Kind::kService) take_over(event);
  fill();
}

void ServiceConnections::take_over(const objects::ObjectEvent& event) {
  Ports ports = event.object ? ports_of(std::get<objects::Service>(*event.object)) : Ports{};
  if (ports.empty()) {
    counted_.erase(event.key);
    waiting_.erase(event.key);
  } else if (const auto counted = counted_.find(event.key); counted != counted_.end()) {
    counted->second = std::move(ports);
  } else {
    waiting_.insert_or_assign(event.key, std::move(ports));
  }
}

void ServiceConnections::fill() {
  while (counted_.size() < most_ && !waiting_.empty()) counted_.insert(waiting_.extract(waiting_.begin()));
}

std::vector<prometheus::MetricFamily> ServiceConnections::Collect() const {
  const base::MutexLock lock(kernel_mutex_);
  std::map<CountKey, Count> counts;
  std::set<CountedPort> wanted;
  const auto counted_port = [](const CountKey& key) {
    const auto& [service, port] = key;
    return CountedPort{state::service_port_name(service, port.name), port.protocol, port.family};
  };
  {
    const base::MutexLock services_lock(services_mutex_);
    for (const auto& [service, ports] : counted_)
      for (const Port& port : ports) {
        const auto made = counts.try_emplace({service, port}).first;
        wanted.insert(counted_port(made->first));
      }
  }
  std::map<CountedPort, Packets> read = read_counts(kernel_, mode_, wanted);
  prometheus::MetricFamily family{
      "kubenatd_service_new_connections_total",
      "New connections that were sent to an endpoint of the service port, by the kernel's packet counters",
      prometheus::MetricType::Counter,
      {}};
  for (auto& [key, count] : counts) {
    if (const auto before = counts_.find(key); before != counts_.end()) count = std::move(before->second);
    if (const auto now = read.find(counted_port(key)); now != read.end()) {
      count.connections += packets_since(count.packets, now->second);
      count.packets = std::move(now->second);
    }
    const auto& [service, port] = key;
    prometheus::ClientMetric metric;
    metric.label = {{"namespace", service.ns},
                    {"service", service.name},
                    {"port", port.name.empty() ? std::to_string(port.number) : port.name},
                    {"protocol", std::string(name_of(port.protocol))},
                    {"ip_family", std::string(name_of(port.family))}};
    metric.counter.value = static_cast<double>(count.connections);
    family.metric.push_back(std::move(metric));
  }
  counts_ = std::move(counts);
  return {std::move(family)};
}

}  // namespace kubenatd::agent::serve
