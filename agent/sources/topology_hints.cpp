#include "agent/sources/topology_hints.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::sources {
namespace {

using Distribution = objects::Service::Distribution;
using Counts = std::map<std::string, int, std::less<>>;

/// How much more than its part of the traffic an endpoint may get.
constexpr double kOverload = 0.2;
constexpr std::size_t kShown = 253;

struct Allocation {
  int least = 0;
  double desired = 0;
};
using Allocations = std::map<std::string, Allocation, std::less<>>;

std::int64_t sum(std::int64_t one, std::int64_t other) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  return one > kMost - other ? kMost : one + other;
}

double millis(std::int64_t nanos) {
  constexpr std::int64_t kNanosPerMilli = 1'000'000;
  const std::int64_t whole = nanos / kNanosPerMilli + (nanos % kNanosPerMilli != 0 ? 1 : 0);
  return static_cast<double>(whole);
}

std::vector<objects::SliceEndpoint*> ready_endpoints(std::vector<objects::EndpointSlice>& slices,
                                                     rules::Family family) {
  std::vector<objects::SliceEndpoint*> found;
  for (objects::EndpointSlice& slice : slices)
    if (slice.family == family)
      for (objects::SliceEndpoint& endpoint : slice.endpoints)
        if (endpoint.ready) found.push_back(&endpoint);
  return found;
}

std::string without_zone(const ClusterNodes& nodes, const std::string& node) {
  if (node.empty()) return "an endpoint has no Node";
  return fmt::format("Node {} {}", base::in_quotes(node, kShown),
                     nodes.has(node) ? "has no zone" : "is not among the objects");
}

std::string add_own_hints(bool by_node, const ClusterNodes& nodes,
                          const std::vector<objects::SliceEndpoint*>& endpoints) {
  std::string why;
  for (objects::SliceEndpoint* endpoint : endpoints) {
    objects::EndpointPlace place = *endpoint->place;
    if (by_node && !place.node_name.empty()) place.node_hints = {place.node_name};
    if (const std::string_view zone = nodes.zone_of(place.node_name); !zone.empty()) {
      place.zone_hints = {std::string(zone)};
    } else if (why.empty()) {
      why = without_zone(nodes, place.node_name) + ", so zones decide nothing";
    }
    endpoint->place = std::move(place);
  }
  return why;
}

/// None: a zone would be overloaded.
std::optional<Allocations> allocate(const CpuShares& shares, int endpoints) {
  Allocations allocations;
  int left = endpoints;
  for (const auto& [zone, share] : shares.by_zone) {
    const double desired = share * endpoints;
    const int least = static_cast<int>(std::ceil(desired * (1 / (1 + kOverload))));
    allocations[zone] = {.least = least, .desired = std::max(desired, static_cast<double>(least))};
    left -= least;
    if (left < 0) return std::nullopt;
  }
  return allocations;
}

/// The zone with most; none: nobody has any.
std::map<std::string, double>::iterator most_of(std::map<std::string, double>& zones) {
  auto most = zones.end();
  for (auto zone = zones.begin(); zone != zones.end(); ++zone)
    if (zone->second > (most == zones.end() ? 0.0 : most->second)) most = zone;
  return most;
}

/// How many endpoints each zone gives to others, and how many each gets.
std::pair<Counts, Counts> find_moves(const Allocations& allocations, const Counts& own) {
  std::map<std::string, double> too_many;
  std::map<std::string, double> too_few;
  for (const auto& [zone, allocation] : allocations) {
    const auto found = own.find(zone);
    const double here = found == own.end() ? 0 : found->second;
    if (here > allocation.desired) too_many[zone] = here - allocation.desired;
    if (here < allocation.desired) too_few[zone] = allocation.desired - here;
  }
  std::pair<Counts, Counts> moves;
  while (true) {
    const auto from = most_of(too_many);
    const auto to = most_of(too_few);
    if (from == too_many.end() || to == too_few.end()) break;
    constexpr double kWhole = 1.0;
    constexpr double kHalf = 0.5;
    if ((from->second < kWhole && to->second < kWhole) || from->second < kHalf || to->second < kHalf) break;
    ++moves.first[from->first];
    ++moves.second[to->first];
    from->second -= 1;
    to->second -= 1;
  }
  return moves;
}

std::string add_hints_by_cpu(const ClusterNodes& nodes, const std::vector<objects::SliceEndpoint*>& endpoints) {
  const CpuShares& shares = nodes.shares();
  if (!shares.none_because.empty()) return shares.none_because;
  const int count = static_cast<int>(endpoints.size());
  if (shares.by_zone.size() > endpoints.size())
    return fmt::format("{} ready endpoints are too few for {} zones", count, shares.by_zone.size());
  const auto allocations = allocate(shares, count);
  if (!allocations)
    return fmt::format("with {} ready endpoints in {} zones some would be overloaded", count, shares.by_zone.size());
  Counts own;
  for (const objects::SliceEndpoint* endpoint : endpoints) {
    const std::string_view zone = nodes.zone_of(endpoint->place->node_name);
    if (zone.empty()) return without_zone(nodes, endpoint->place->node_name);
    ++own[std::string(zone)];
  }
  auto [giving, getting] = find_moves(*allocations, own);
  for (objects::SliceEndpoint* endpoint : endpoints) {
    objects::EndpointPlace place = *endpoint->place;
    const std::string zone(nodes.zone_of(place.node_name));
    place.zone_hints = {zone};
    const auto from = giving.find(zone);
    const auto to = std::ranges::find_if(getting, [](const auto& one) { return one.second > 0; });
    if (from != giving.end() && from->second > 0 && to != getting.end()) {
      place.zone_hints = {to->first};
      --from->second;
      --to->second;
    }
    endpoint->place = std::move(place);
  }
  return {};
}

}  // namespace

bool ClusterNodes::note(const std::string& name, const objects::ObjectPtr& now) {
  const auto before = nodes_.find(name);
  if (now == nullptr) {
    if (before == nodes_.end()) return false;
    nodes_.erase(before);
    shares_.reset();
    return true;
  }
  const auto& node = std::get<objects::Node>(*now);
  Known known{.zone = node.zone, .is_ready = node.is_ready, .is_control = node.is_control, .cpu_nanos = node.cpu_nanos};
  if (before != nodes_.end() && before->second == known) return false;
  nodes_.insert_or_assign(name, std::move(known));
  shares_.reset();
  return true;
}

std::string_view ClusterNodes::zone_of(std::string_view name) const {
  const auto found = nodes_.find(name);
  return found == nodes_.end() ? std::string_view() : std::string_view(found->second.zone);
}

const CpuShares& ClusterNodes::shares() const {
  if (!shares_) shares_ = find_shares();
  return *shares_;
}

CpuShares ClusterNodes::find_shares() const {
  std::map<std::string, std::int64_t, std::less<>> by_zone;
  std::int64_t all = 0;
  for (const auto& [name, node] : nodes_) {
    if (node.is_control || !node.is_ready) continue;
    if (node.zone.empty() || node.cpu_nanos == 0)
      return {.by_zone = {},
              .none_because = fmt::format("Node {} is ready and has no {}", base::in_quotes(name, kShown),
                                          node.zone.empty() ? "zone" : "allocatable CPU")};
    std::int64_t& zone = by_zone[node.zone];
    zone = sum(zone, node.cpu_nanos);
    all = sum(all, node.cpu_nanos);
  }
  if (by_zone.size() < 2) return {.by_zone = {}, .none_because = "fewer than two zones have ready Nodes"};
  CpuShares shares;
  for (const auto& [zone, cpu] : by_zone) shares.by_zone[zone] = millis(cpu) / millis(all);
  return shares;
}

std::string add_hints(Distribution distribution, const ClusterNodes& nodes,
                      std::vector<objects::EndpointSlice>& slices) {
  std::string why;
  if (distribution == Distribution::kAny) return why;
  for (const rules::Family family : rules::kFamilies) {
    const auto endpoints = ready_endpoints(slices, family);
    if (endpoints.empty()) continue;
    std::string other = distribution == Distribution::kByCpu
                            ? add_hints_by_cpu(nodes, endpoints)
                            : add_own_hints(distribution == Distribution::kSameNode, nodes, endpoints);
    if (why.empty()) why = std::move(other);
  }
  return why;
}

}  // namespace kubenatd::agent::sources
