#include "test/bench/packets.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "test/bench/cluster_state.h"
#include "test/bench/road.h"
#include "test/bench/storm.h"

namespace kubenatd::bench {
namespace {

constexpr std::size_t kKinds = 3;
/// Seconds, of a byte of a stream, of a request, of a connection.
using Costs = std::array<double, kKinds>;

/// A row of the table.
struct Way {
  std::string name;
  const Road* road = nullptr;
  Target to;
  std::array<std::vector<double>, kKinds> times, to_none;  ///< to_none: as a ratio to the first way, in the same round
};

Costs measure(const Way& way, std::chrono::milliseconds slice) {
  return {way.road->stream(way.to, slice), way.road->request(way.to, slice), way.road->connection(way.to, slice)};
}

void wait_until_answered(const Way& way) {
  constexpr std::chrono::seconds limit{120};
  const auto start = std::chrono::steady_clock::now();
  while (!way.road->answers(way.to)) {
    if (std::chrono::steady_clock::now() - start > limit) throw std::runtime_error(way.name + " is not answered");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

void print(const Way& way) {
  const auto at = [&way](std::size_t kind) { return quantile(way.times[kind], 0.5); };
  const auto ratio = [&way](std::size_t kind) { return quantile(way.to_none[kind], 0.5); };
  fmt::print("| {:<31} | {:>6.2f} Gbit/s | {:>5.3f} | {:>7.2f} us | {:>5.3f} | {:>7.1f} us | {:>5.3f} |\n", way.name,
             8e-9 / at(0), ratio(0), at(1) * 1e6, ratio(1), at(2) * 1e6, ratio(2));
}

}  // namespace

void measure_packets(ControlPlane& plane, const Programs& programs, const std::vector<Proxy>& proxies,
                     const PacketPlan& plan) {
  plane.grow(plan.services);
  const std::size_t service = plan.services / 2;
  const auto slice = make_slice(service, ControlPlane::kEndpoints, 0);
  const Target endpoint{std::get<agent::objects::EndpointSlice>(*slice.object).endpoints.front().address,
                        kEndpointPort};
  const Target cluster{cluster_ip(service), kServicePort};

  std::vector<std::unique_ptr<Road>> roads;
  std::vector<Way> ways;
  const auto build = [&]() -> Road& { return *roads.emplace_back(std::make_unique<Road>(plane, roads.size() * 2)); };
  const auto add = [&ways](std::string name, const Road& road, const Target& to) {
    ways.push_back({.name = std::move(name), .road = &road, .to = to, .times = {}, .to_none = {}});
  };
  add("no rules", build(), endpoint);
  Road& tracked = build();
  tracked.track_connections();
  add("connections tracked", tracked, endpoint);
  for (const Proxy& proxy : proxies) {
    Road& road = build();
    road.start(proxy, programs);
    add(proxy.name() + ", endpoint", road, endpoint);
    add(proxy.name() + ", cluster IP", road, cluster);
  }
  for (const Way& way : ways) wait_until_answered(way);
  std::this_thread::sleep_for(std::chrono::seconds(3));  // the proxies have come to rest
  stay_on_a_processor();

  for (std::size_t round = 0; round <= plan.rounds; ++round) {
    Costs none{};
    for (std::size_t i = 0; i < ways.size(); ++i) {
      const Costs costs = measure(ways[i], plan.slice);
      if (i == 0) none = costs;
      if (round == 0) continue;  // caches are cold
      for (std::size_t kind = 0; kind < kKinds; ++kind) {
        ways[i].times[kind].push_back(costs[kind]);
        ways[i].to_none[kind].push_back(costs[kind] / none[kind]);
      }
    }
  }
  fmt::print(
      "{} Services; pod to pod over two nodes, all on one processor; medians of {} rounds, in which all take turns; a "
      "ratio is of a time to that without rules\n\n"
      "| way                             | stream        | ratio | request    | ratio | connection | ratio |\n"
      "|---------------------------------|---------------|-------|------------|-------|------------|-------|\n",
      plan.services, plan.rounds);
  for (const Way& way : ways) print(way);
}

}  // namespace kubenatd::bench
