#include "test/bench/peers.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "test/bench/cluster_state.h"
#include "test/bench/packets.h"
#include "test/bench/storm.h"

namespace kubenatd::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kTried = 50;     ///< Services that must answer until a proxy counts as ready
constexpr std::size_t kTogether = 10;  ///< proxies that start together
constexpr std::chrono::seconds kReadyLimit{300};
constexpr std::chrono::seconds kIdle{10};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::size_t tried(std::size_t services, std::size_t number) {
  return number * (services - 1) / (kTried - 1);
}

/// Waits until each tried Service has answered. False: they do not within kReadyLimit.
bool becomes_ready(PeerNode& node, std::size_t services) {
  const auto limit = Clock::now() + kReadyLimit;
  for (std::size_t i = 0; i < kTried; ++i) {
    while (!node.who_answers(cluster_ip(tried(services, i)), milliseconds(10))) {
      node.must_run();
      if (Clock::now() > limit) return false;
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
  return true;
}

/// From the API server's answer to a changed slice until a connection reaches the new endpoint.
double measure_change(const ControlPlane& plane, ApiConnection& connection, PeerNode& node, std::size_t service,
                      std::size_t variant) {
  plane.change(connection, service, 1, variant);
  const auto start = Clock::now();
  const auto wanted = only_endpoint(service, variant);
  while (node.who_answers(cluster_ip(service), milliseconds(1000)) != wanted) {
    const double waited = seconds_since(start);
    if (waited > 120) throw std::runtime_error("the proxy does not follow a change");
    // A proxy that takes long must not share its processor with the one who asks.
    std::this_thread::sleep_for(std::chrono::duration<double>(std::clamp(waited / 20, 1e-4, 5e-3)));
  }
  return seconds_since(start);
}

struct Row {
  double ready = 0, cpu = 0, api_cpu = 0, received = 0;  ///< from the start until ready
  double p50 = 0, p99 = 0;
  double steady = 0, peak = 0;
  double idle = 0;  ///< share of a processor
};

/// None: the proxy does not become ready.
std::optional<Row> measure(const ControlPlane& plane, const Proxy& proxy, const Programs& programs,
                           std::size_t services, std::size_t changes) {
  Row row;
  PeerNode node(plane, 0);
  const double api_cpu = plane.cpu();
  const auto start = Clock::now();
  node.start(proxy, programs);
  if (!becomes_ready(node, services)) return std::nullopt;
  row.ready = seconds_since(start);
  row.cpu = cpu_seconds_of(node.proxy());
  row.api_cpu = plane.cpu() - api_cpu;
  row.received = node.received();

  ApiConnection connection = plane.connect();
  std::mt19937 random(20261126);
  std::uniform_int_distribution<int> pause(1200, 1600);  // ms; kube-proxy waits for a second after each sync
  std::vector<double> times;
  static std::size_t variant = 1;
  for (std::size_t i = 0; i < changes; ++i) {
    std::this_thread::sleep_for(milliseconds(pause(random)));
    times.push_back(measure_change(plane, connection, node, services / 2, variant++));
  }
  row.p50 = quantile(times, 0.5);
  row.p99 = quantile(times, 0.99);
  std::this_thread::sleep_for(std::chrono::seconds(3));
  const double cpu = cpu_seconds_of(node.proxy());
  std::this_thread::sleep_for(kIdle);
  row.idle = (cpu_seconds_of(node.proxy()) - cpu) / static_cast<double>(kIdle.count());
  row.steady = memory_of(node.proxy(), "VmRSS:");
  row.peak = memory_of(node.proxy(), "VmHWM:");
  node.must_run();
  return row;
}

void print(std::size_t services, const Proxy& proxy, const std::optional<Row>& measured) {
  if (!measured) {
    fmt::print("| {:>6} | {:<19} | not ready within {} s |\n", services, proxy.name(), kReadyLimit.count());
    std::fflush(stdout);
    return;
  }
  const Row& row = *measured;
  fmt::print(
      "| {:>6} | {:<19} | {:>6.2f} s | {:>7.2f} ms | {:>7.2f} ms | {:>5.1f} MB | {:>5.1f} MB | {:>6.2f} s | {:>6.2f} s "
      "| {:>6.2f} MB | {:>5.2f} % |\n",
      services, proxy.name(), row.ready, row.p50 * 1e3, row.p99 * 1e3, row.steady, row.peak, row.cpu, row.api_cpu,
      row.received / 1e6, row.idle * 100);
  std::fflush(stdout);
}

struct Together {
  double ready = 0, api_cpu = 0, cpu = 0;
};

/// None: not all become ready.
std::optional<Together> measure_together(const ControlPlane& plane, const Proxy& proxy, const Programs& programs,
                                         std::size_t services) {
  std::vector<std::unique_ptr<PeerNode>> nodes;
  for (std::size_t i = 0; i < kTogether; ++i) nodes.push_back(std::make_unique<PeerNode>(plane, i));
  const double api_cpu = plane.cpu();
  const auto start = Clock::now();
  for (auto& node : nodes) node->start(proxy, programs);
  for (auto& node : nodes)
    if (!becomes_ready(*node, services)) return std::nullopt;
  Together result{.ready = seconds_since(start), .api_cpu = plane.cpu() - api_cpu};
  for (auto& node : nodes) result.cpu += cpu_seconds_of(node->proxy());
  return result;
}

std::vector<Proxy> proxies_of(const PeerOptions& options) {
  std::vector<Proxy> proxies;
  for (const std::string_view mode : {"nftables", "iptables"}) {
    if (options.nftables && mode != "nftables") continue;
    for (const auto program : {Proxy::Program::kKubenatd, Proxy::Program::kKubeProxy})
      proxies.push_back({.program = program, .mode = mode});
  }
  return proxies;
}

void print_tables(ControlPlane& plane, const Programs& programs, const PeerOptions& options) {
  auto sizes = options.quick ? std::vector<std::size_t>{50, 200} : std::vector<std::size_t>{50, 1000, 5000, 10000};
  if (options.services != 0) sizes = {options.services};
  const std::size_t changes = options.quick ? 5 : 31;
  const auto proxies = proxies_of(options);
  std::vector<std::vector<std::optional<Row>>> rows;
  fmt::print(
      "{} changes of one endpoint; CPU, the API server's CPU and bytes received are those until ready\n\n"
      "| N      | proxy               | ready    | change p50 | change p99 | RSS      | peak     | CPU      | API's    "
      "| received  | idle    |\n"
      "|--------|---------------------|----------|------------|------------|----------|----------|----------|----------"
      "|-----------|---------|\n",
      changes);
  for (const std::size_t services : sizes) {
    plane.grow(services);
    std::this_thread::sleep_for(std::chrono::seconds(options.quick ? 1 : 5));  // the API server is quiet again
    rows.emplace_back();
    for (const Proxy& proxy : proxies) {
      rows.back().push_back(measure(plane, proxy, programs, services, changes));
      print(services, proxy, rows.back().back());
    }
  }
  fmt::print(
      "\nkube-proxy : kubenatd\n\n"
      "| N      | mode     | ready  | change p50 | change p99 | RSS    | CPU    | API's  | received |\n"
      "|--------|----------|--------|------------|------------|--------|--------|--------|----------|\n");
  for (std::size_t size = 0; size < sizes.size(); ++size) {
    for (std::size_t i = 0; i + 1 < proxies.size(); i += 2) {
      if (!rows[size][i] || !rows[size][i + 1]) continue;
      const Row& own = *rows[size][i];
      const Row& peer = *rows[size][i + 1];
      fmt::print("| {:>6} | {:<8} | {:>6.2f} | {:>10.2f} | {:>10.2f} | {:>6.2f} | {:>6.2f} | {:>6.2f} | {:>8.2f} |\n",
                 sizes[size], proxies[i].mode, peer.ready / own.ready, peer.p50 / own.p50, peer.p99 / own.p99,
                 peer.steady / own.steady, peer.cpu / own.cpu, peer.api_cpu / own.api_cpu,
                 peer.received / own.received);
    }
  }
  fmt::print(
      "\n{} proxies that start together, {} Services\n\n"
      "| proxy               | all ready | API's CPU | CPU of all |\n"
      "|---------------------|-----------|-----------|------------|\n",
      kTogether, sizes.back());
  for (const Proxy& proxy : proxies) {
    if (proxy.mode != "nftables") continue;
    if (const auto result = measure_together(plane, proxy, programs, sizes.back())) {
      fmt::print("| {:<19} | {:>7.2f} s | {:>7.2f} s | {:>8.2f} s |\n", proxy.name(), result->ready, result->api_cpu,
                 result->cpu);
    } else {
      fmt::print("| {:<19} | not within {} s |\n", proxy.name(), kReadyLimit.count());
    }
    std::fflush(stdout);
  }
}

void print_storm(ControlPlane& plane, const Programs& programs, const PeerOptions& options) {
  const Storm storm{.services = options.quick ? std::size_t{200} : std::size_t{10'000},
                    .rate = options.quick ? 200.0 : 1000.0,
                    .length = std::chrono::seconds(options.quick ? 5 : 60)};
  plane.grow(storm.services);
  fmt::print(
      "a storm: {} changed slices a second for {} s, {} Services; latency of some of them\n\n"
      "| proxy               | reached | followed | p50         | p99         | API's p50 | API's p99 | "
      "CPU    | API's  | RSS      | peak     |\n"
      "|---------------------|---------|----------|-------------|-------------|-----------|-----------|"
      "--------|--------|----------|----------|\n",
      storm.rate, storm.length.count(), storm.services);
  std::fflush(stdout);
  for (const Proxy& proxy : proxies_of(options)) {
    PeerNode node(plane, 0);
    node.start(proxy, programs);
    if (!becomes_ready(node, storm.services)) {
      fmt::print("| {:<19} | not ready within {} s |\n", proxy.name(), kReadyLimit.count());
      continue;
    }
    std::this_thread::sleep_for(std::chrono::seconds(3));
    const StormFigures figures = measure_storm(plane, node, storm);
    fmt::print(
        "| {:<19} | {:>5.0f}/s | {:>6.1f} % | {:>8.1f} ms | {:>8.1f} ms | {:>6.1f} ms | {:>6.1f} ms | "
        "{:>6.2f} | {:>6.2f} | {:>5.1f} MB | {:>5.1f} MB |\n",
        proxy.name(), figures.rate, figures.followed * 100, figures.p50 * 1e3, figures.p99 * 1e3,
        figures.answer_p50 * 1e3, figures.answer_p99 * 1e3, figures.cpu, figures.api_cpu, figures.steady, figures.peak);
    std::fflush(stdout);
    node.must_run();
  }
  fmt::print(
      "\nCPU: processors during the storm; followed: changes whose new endpoint answered at all; API's p50, p99: how "
      "long "
      "the API server took over the same changes\n");
}

}  // namespace

void measure_peers(const Programs& programs, const PeerOptions& options) {
  ControlPlane plane(programs.peers);
  if (options.storm) {
    print_storm(plane, programs, options);
  } else if (options.packets) {
    PacketPlan plan;
    if (options.quick) plan = {.services = 100, .rounds = 5, .slice = std::chrono::milliseconds(50)};
    measure_packets(plane, programs, proxies_of(options), plan);
  } else {
    print_tables(plane, programs, options);
  }
}

}  // namespace kubenatd::bench
