#include "agent/dataplane/iptables/refusals.h"

#include <algorithm>
#include <utility>

#include "netlink/core/names.h"
#include "netlink/iptables/rule_decoder.h"

namespace kubenatd::agent::dataplane::iptables {

using rules::ServicePortKey;

Refusals::Owner Refusals::owner_of(const rules::Refusal& refusal) const {
  const auto table = netlink::table_of(refusal.object.table);
  const auto name = rules::ChainName::from(refusal.object.name);
  if (!table || !name) return {};
  if (const auto port = desired_.service_ports.owner_of(rules::ChainId{*table, *name})) return *port;
  std::optional<rules::Digest> digest;
  if (refusal.operation == rules::Operation::kAddRule) {
    rules::Rule rule;
    netlink::iptables::RuleCounters counters;
    netlink::iptables::decode_rule(refusal.attributes, family_, rule, counters);
    digest = digest_of(rule);
    if (const auto port = desired_.service_ports.owner_of(*table, *digest)) return *port;
  }
  if (*table == rules::Table::kNat)
    if (auto pod = desired_.host_ports.owner_of(*name, digest.value_or(rules::Digest{}))) return std::move(*pod);
  return {};
}

bool Refusals::take_out(const rules::Refusal& refusal, Time now, SyncReport& report) {
  const Owner owner = owner_of(refusal);
  if (const auto* port = std::get_if<ServicePortKey>(&owner)) {
    desired_.service_ports.refuse(*port);
    if (ports_.add(*port, refusal, now))
      report.refused.push_back({RefusedObject::Kind::kServicePort, port->first, refusal});
    return true;
  }
  if (const auto* pod = std::get_if<std::string>(&owner)) {
    desired_.host_ports.refuse(*pod);
    if (pods_.add(*pod, refusal, now)) report.refused.push_back({RefusedObject::Kind::kPod, *pod, refusal});
    return true;
  }
  return false;
}

bool Refusals::is_trial(const rules::Refusal& refusal) const {
  const Owner owner = owner_of(refusal);
  if (const auto* port = std::get_if<ServicePortKey>(&owner)) return ports_.is_on_trial(*port);
  if (const auto* pod = std::get_if<std::string>(&owner)) return pods_.is_on_trial(*pod);
  return false;
}

void Refusals::readmit_due(Time now) {
  for (const ServicePortKey& port : ports_.take_due(now)) desired_.service_ports.readmit(port);
  for (const std::string& pod : pods_.take_due(now)) desired_.host_ports.readmit(pod);
}

void Refusals::hurry() {
  ports_.hurry();
  pods_.hurry();
}

void Refusals::succeeded(SyncReport& report) {
  for (ServicePortKey& port : ports_.succeeded()) report.in_force.push_back(std::move(port.first));
  for (std::string& pod : pods_.succeeded()) report.in_force.push_back(std::move(pod));
}

std::optional<Time> Refusals::due() const {
  const auto ports = ports_.due(), pods = pods_.due();
  if (!ports || !pods) return ports ? ports : pods;
  return std::min(*ports, *pods);
}

std::vector<RefusedObject> Refusals::all() const {
  std::vector<RefusedObject> refused;
  ports_.for_each([&](const ServicePortKey& port, const rules::Refusal& refusal) {
    refused.push_back({RefusedObject::Kind::kServicePort, port.first, refusal});
  });
  pods_.for_each([&](const std::string& pod, const rules::Refusal& refusal) {
    refused.push_back({RefusedObject::Kind::kPod, pod, refusal});
  });
  return refused;
}

void Refusals::set_pods(std::vector<rules::hostport::PodPorts> pods) {
  replace_pods(desired_.host_ports, pods_, std::move(pods));
}

}  // namespace kubenatd::agent::dataplane::iptables
