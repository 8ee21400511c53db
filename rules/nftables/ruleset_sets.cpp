#include "rules/nftables/ruleset_sets.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "rules/nftables/ways.h"

namespace kubenatd::rules::nftables {
namespace {

/// Clients remembered in all; an entry takes some 150 bytes, and only while it lives.
constexpr std::uint32_t kAffinityEntries = 1U << 20;

}  // namespace

std::string name_of(const SetRef& set) {
  switch (set.id) {
    case SetId::kClusterIps: return "cluster-ips";
    case SetId::kNodePortAddresses: return "nodeport-addresses";
    case SetId::kExternal: return "external";
    case SetId::kExternalLocal: return "external-local";
    case SetId::kNodePorts: return "nodeports";
    case SetId::kNodePortsLocal: return "nodeports-local";
    case SetId::kEndpoints: return "endpoints";
    case SetId::kLocalEndpoints: return "local-endpoints";
    case SetId::kNodePortEndpoints: return "nodeport-endpoints";
    case SetId::kNodePortLocalEndpoints: return "nodeport-local-endpoints";
    case SetId::kLarger: return fmt::format("larger-{}", set.number);
    case SetId::kLocalLarger: return fmt::format("local-larger-{}", set.number);
    case SetId::kNodePortLarger: return fmt::format("nodeport-larger-{}", set.number);
    case SetId::kNodePortLocalLarger: return fmt::format("nodeport-local-larger-{}", set.number);
    case SetId::kSticky: return "sticky";
    case SetId::kLocalSticky: return "local-sticky";
    case SetId::kNodePortSticky: return "nodeport-sticky";
    case SetId::kNodePortLocalSticky: return "nodeport-local-sticky";
    case SetId::kAffinity: return "affinity";
    case SetId::kHairpin: return "hairpin";
    case SetId::kNoEndpoints: return "no-endpoints";
    case SetId::kNoLocalEndpoints: return "no-local-endpoints";
    case SetId::kNodePortsNoEndpoints: return "nodeports-no-endpoints";
    case SetId::kNodePortsNoLocalEndpoints: return "nodeports-no-local-endpoints";
    case SetId::kFirewalled: return "firewalled";
    case SetId::kSourceRanges: return "source-ranges";
    case SetId::kHostPorts: return "hostports";
    case SetId::kHostIpHostPorts: return "hostip-hostports";
    case SetId::kTimeout: return fmt::format("affinity-{}s", set.number);
  }
  return "";
}

std::vector<SetSpec> compile_sets(const RulesetOptions& options, const InUse& in_use) {
  std::vector<SetSpec> sets;
  using enum FieldType;
  const std::vector<FieldType> service{kAddress, kProtocol, kPort};
  const std::vector<FieldType> node_port{kProtocol, kPort};
  const auto add = [&sets](SetRef ref, std::vector<FieldType> key, std::vector<FieldType> data = {}) -> SetSpec& {
    return sets.emplace_back(SetSpec{.ref = ref, .name = name_of(ref), .key = std::move(key), .data = std::move(data)});
  };
  const auto plus = [](std::vector<FieldType> key, FieldType last) {
    key.push_back(last);
    return key;
  };
  add({SetId::kClusterIps}, {kAddress});
  add({SetId::kNodePortAddresses}, {kAddress});
  add({SetId::kExternal}, service);
  add({SetId::kExternalLocal}, service);
  add({SetId::kNodePorts}, node_port);
  add({SetId::kNodePortsLocal}, node_port);
  for (const SetId id : {SetId::kEndpoints, SetId::kLocalEndpoints})
    add({id}, plus(service, kClassId), {kAddress, kPort}).counted = options.count_connections;
  for (const SetId id : {SetId::kNodePortEndpoints, SetId::kNodePortLocalEndpoints})
    add({id}, plus(node_port, kClassId), {kAddress, kPort}).counted = options.count_connections;
  for (const Way& way : kWays)
    for (std::size_t level = 0; level + 1 < in_use.sizes[way.number()]; ++level)
      add({way.larger, kSizes[level]}, way.node_port ? node_port : service);
  for (const SetId id : {SetId::kSticky, SetId::kLocalSticky}) add({id}, service, {kClassId});
  for (const SetId id : {SetId::kNodePortSticky, SetId::kNodePortLocalSticky}) add({id}, node_port, {kClassId});
  const bool ipv4 = options.node.family == Family::kIpv4;
  SetSpec& affinity =
      add({SetId::kAffinity}, ipv4 ? std::vector{kAddress, kProtocol, kClassId} : std::vector{kClassId}, {kClassId});
  affinity.dynamic = true;
  affinity.size = kAffinityEntries;
  add({SetId::kHairpin}, {kAddress, kAddress});
  for (const SetId id : {SetId::kNoEndpoints, SetId::kNoLocalEndpoints}) add({id}, service);
  for (const SetId id : {SetId::kNodePortsNoEndpoints, SetId::kNodePortsNoLocalEndpoints}) add({id}, node_port);
  add({SetId::kFirewalled}, service);
  add({SetId::kSourceRanges}, plus(service, kAddress)).interval = true;
  add({SetId::kHostPorts}, node_port, {kAddress, kPort});
  add({SetId::kHostIpHostPorts}, service, {kAddress, kPort});
  for (const std::uint32_t timeout : in_use.timeouts) add({SetId::kTimeout, timeout}, {kClassId});
  return sets;
}

}  // namespace kubenatd::rules::nftables
