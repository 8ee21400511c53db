#include "agent/serve/service_connections.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "agent/state/service_state.h"
#include "netlink/iptables/reader.h"
#include "rules/iptables/names.h"

namespace kubenatd::agent::serve {
namespace {

constexpr std::string_view kEndpointPrefix = "KUBE-SEP-";

}  // namespace

std::optional<std::map<std::uint64_t, std::uint64_t>> endpoint_packets(netlink::NfTables& kernel, rules::Family family,
                                                                       const std::string& service_port_name,
                                                                       rules::Protocol protocol) {
  const rules::iptables::ServicePortNames names(service_port_name, protocol);
  std::map<std::uint64_t, std::uint64_t> packets;
  for (const rules::ChainName& chain : {names.cluster, names.local}) {
    std::map<std::uint64_t, std::uint64_t> found;
    const auto visit = [&](const netlink::iptables::LiveRule& rule) {
      if (rules::jump_target(rule.rule).starts_with(kEndpointPrefix)) found[rule.handle] = rule.packets;
    };
    // Half a chain would be taken for rules that went, and the next look would count them again.
    if (!netlink::iptables::dump_rules(kernel, family, rules::Table::kNat, chain.view(), visit, [&] { found.clear(); }))
      return std::nullopt;
    packets.merge(found);
  }
  return packets;
}

std::uint64_t packets_since(const std::map<std::uint64_t, std::uint64_t>& before,
                            const std::map<std::uint64_t, std::uint64_t>& now) {
  std::uint64_t count = 0;
  for (const auto& [handle, packets] : now) {
    const auto known = before.find(handle);
    const bool goes_on = known != before.end() && known->second <= packets;  // else: new, or set to zero
    count += goes_on ? packets - known->second : packets;
  }
  return count;
}

rules::Result<std::shared_ptr<ServiceConnections>> ServiceConnections::open(std::size_t most) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) return std::unexpected(kernel.error());
  return std::shared_ptr<ServiceConnections>(new ServiceConnections(std::move(*kernel), most));
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

void ServiceConnections::read(const CountKey& key, Count& count) const {
  const auto& [service, port] = key;
  auto packets = endpoint_packets(kernel_, port.family, state::service_port_name(service, port.name), port.protocol);
  if (!packets) return;
  count.connections += packets_since(count.packets, *packets);
  count.packets = std::move(*packets);
}

std::vector<prometheus::MetricFamily> ServiceConnections::Collect() const {
  const base::MutexLock lock(kernel_mutex_);
  std::map<CountKey, Count> counts;
  {
    const base::MutexLock services_lock(services_mutex_);
    for (const auto& [service, ports] : counted_)
      for (const Port& port : ports) counts.try_emplace({service, port});
  }
  prometheus::MetricFamily family{
      "kubenatd_service_new_connections_total",
      "New connections that were sent to an endpoint of the service port, by the packet counters of the rules",
      prometheus::MetricType::Counter,
      {}};
  for (auto& [key, count] : counts) {
    if (const auto before = counts_.find(key); before != counts_.end()) count = std::move(before->second);
    read(key, count);
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
