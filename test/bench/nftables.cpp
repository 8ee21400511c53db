#include "test/bench/nftables.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/config/config.h"
#include "test/bench/cluster_state.h"
#include "test/bench/isolated.h"
#include "test/bench/latency.h"
#include "test/bench/node.h"
#include "test/bench/wire.h"

namespace kubenatd::bench {
namespace {

constexpr std::size_t kChanges = 21;

struct Size {
  std::size_t services;
  std::size_t endpoints;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

agent::config::Config nftables_config() {
  agent::config::Config config = agent::config::default_config();
  config.mode = agent::config::Config::Mode::kNftables;
  return config;
}

std::vector<agent::objects::ObjectEvent> one(agent::objects::ObjectEvent event) {
  std::vector<agent::objects::ObjectEvent> events;
  events.push_back(std::move(event));
  return events;
}

/// The slice without its last endpoints.
agent::objects::ObjectEvent shortened(const agent::objects::ObjectEvent& event, std::size_t by) {
  auto slice = std::get<agent::objects::EndpointSlice>(*event.object);
  slice.endpoints.resize(slice.endpoints.size() - by);
  return {event.kind, event.key, std::make_shared<const agent::objects::Object>(std::move(slice))};
}

struct Figures {
  double cold = 0, replaced = 0, scaled = 0, added = 0, restart = 0;
  double cold_floor = 0, replaced_floor = 0, nft = 0;
  bool restart_wrote = false;
  std::size_t bytes = 0;
};

double repeat(Node& node, const std::function<void(std::size_t)>& change) {
  std::vector<double> times;
  for (std::size_t i = 0; i < kChanges; ++i) {
    ::usleep(20'000);
    const auto start = std::chrono::steady_clock::now();
    change(i);
    times.push_back(seconds_since(start));
    node.listen();
  }
  return median(times);
}

Figures measure_sync(Size size, int cold_fd, int change_fd) {
  Figures figures;
  // One Service more than is loaded at first: it is added and removed.
  auto events = make_cluster(size.services + 1, size.endpoints);
  std::vector<agent::objects::ObjectEvent> last(events.end() - 2, events.end());
  events.resize(events.size() - 2);
  const std::size_t middle = size.services / 2;
  {
    start_recording();
    const auto start = std::chrono::steady_clock::now();
    Node node(nftables_config());
    node.apply(std::move(events));
    figures.cold = seconds_since(start);
    const auto sent = stop_recording();
    for (const std::string& transaction : sent) figures.bytes += transaction.size();
    save(cold_fd, sent);

    node.serve();
    start_recording();
    figures.replaced = repeat(node, [&](std::size_t i) { node.apply(one(make_slice(middle, size.endpoints, i + 1))); });
    save(change_fd, stop_recording());
    const agent::objects::ObjectEvent whole = make_slice(middle, size.endpoints, kChanges);
    figures.scaled = repeat(node, [&](std::size_t i) { node.apply(one(shortened(whole, (i + 1) % 2))); });
    figures.added = repeat(node, [&](std::size_t i) {
      auto change = last;
      if (i % 2 == 1)
        for (agent::objects::ObjectEvent& event : change) event.object.reset();
      node.apply(std::move(change));
    });
  }
  auto again = make_cluster(size.services + 1, size.endpoints);
  again.push_back(shortened(make_slice(middle, size.endpoints, kChanges), kChanges % 2));
  const auto start = std::chrono::steady_clock::now();
  Node node(nftables_config());
  figures.restart_wrote = node.apply(std::move(again));
  figures.restart = seconds_since(start);
  return figures;
}

/// The same state as kube-proxy v1.36 writes it: a chain and an anonymous map a Service, through nft.
double measure_nft(Size size) {
  std::string text =
      "table ip kube-proxy {\n set cluster-ips { type ipv4_addr; }\n"
      " map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; }\n";
  std::string elements, ips;
  for (std::size_t i = 0; i < size.services; ++i) {
    const auto event = make_slice(i, size.endpoints, 0);
    const auto& slice = std::get<agent::objects::EndpointSlice>(*event.object);
    const std::string chain = fmt::format("service-{:08X}-bench/{}/tcp/http", i * 0x9e3779b1U, slice.service);
    std::string map;
    for (std::size_t j = 0; j < slice.endpoints.size(); ++j)
      map +=
          fmt::format("{}{} : {} . {}", j == 0 ? "" : ", ", j, slice.endpoints[j].address.to_string(), kEndpointPort);
    text += fmt::format(" chain {} {{ meta l4proto tcp dnat ip to numgen random mod {} map {{ {} }} ; }}\n", chain,
                        size.endpoints, map);
    elements +=
        fmt::format("{}{} . tcp . {} : goto {}", i == 0 ? "" : ", ", cluster_ip(i).to_string(), kServicePort, chain);
    ips += fmt::format("{}{}", i == 0 ? "" : ", ", cluster_ip(i).to_string());
  }
  text +=
      " chain services { ip daddr . meta l4proto . th dport vmap @service-ips\n }\n"
      " chain nat-prerouting { type nat hook prerouting priority -100; jump services\n }\n}\n";
  text += fmt::format("add element ip kube-proxy cluster-ips {{ {} }}\n", ips);
  text += fmt::format("add element ip kube-proxy service-ips {{ {} }}\n", elements);
  const int fd = ::memfd_create("ruleset", 0);
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(fd, text.data() + at, text.size() - at);
    if (written <= 0) std::exit(1);
    at += static_cast<std::size_t>(written);
  }
  const std::string command = fmt::format("nft -f /proc/{}/fd/{}", ::getpid(), fd);
  const auto start = std::chrono::steady_clock::now();
  if (std::system(command.c_str()) != 0) std::exit(1);
  return seconds_since(start);
}

Figures measure(Size size, bool with_nft) {
  const int cold_fd = ::memfd_create("cold", 0);
  const int change_fd = ::memfd_create("change", 0);
  auto figures = isolated<Figures>([&] { return measure_sync(size, cold_fd, change_fd); });
  struct Floor {
    double cold, change;
  };
  const auto floor = isolated<Floor>([&] {
    const double cold = replay(restore(cold_fd));
    std::vector<double> times;
    for (const std::string& transaction : restore(change_fd)) {
      ::usleep(20'000);
      times.push_back(replay({transaction}));
    }
    return Floor{cold, median(times)};
  });
  figures.cold_floor = floor.cold;
  figures.replaced_floor = floor.change;
  ::close(cold_fd);
  ::close(change_fd);
  if (with_nft) figures.nft = isolated<double>([&] { return measure_nft(size); });
  return figures;
}

void print(Size size, const Figures& figures) {
  fmt::print(
      "| {:>6} x {:<2} | {:>7.0f} ms | {:>7.0f} ms | {:>5.2f} | {:>8} | {:>7.0f} us | {:>7.0f} us | {:>7.0f} us "
      "| {:>7.0f} us | {:>6.0f} ms{} | {:>7.1f} MB |\n",
      size.services, size.endpoints, figures.cold * 1e3, figures.cold_floor * 1e3, figures.cold / figures.cold_floor,
      figures.nft > 0 ? fmt::format("{:.2f} s", figures.nft) : "-", figures.replaced * 1e6,
      figures.replaced_floor * 1e6, figures.scaled * 1e6, figures.added * 1e6, figures.restart * 1e3,
      figures.restart_wrote ? " (wrote!)" : "", static_cast<double>(figures.bytes) / 1e6);
  std::fflush(stdout);
}

}  // namespace

int run_nftables(bool quick) {
  fmt::print(
      "nftables mode; a change is the median of {}\n\n"
      "| N x endp.   | cold sync  | floor      | ratio | nft -f   | replace 1  | floor      | scale by 1 "
      "| Service +-1 | restart   | netlink    |\n"
      "|-------------|------------|------------|-------|----------|------------|------------|------------"
      "|------------|-----------|------------|\n",
      kChanges);
  std::vector<Size> sizes{{1000, 4}, {10000, 4}, {30000, 4}, {5000, 50}};
  if (quick) sizes.resize(1);
  for (const Size size : sizes) print(size, measure(size, size.services <= 10000));
  fmt::print(
      "\n| N      | p50       | p95       | p99       | p99/100 |\n"
      "|--------|-----------|-----------|-----------|---------|\n");
  double base = 0;
  std::vector<std::size_t> latencies{100, 30000};
  if (quick) latencies = {100, 1000};
  for (const std::size_t services : latencies) {
    const auto latency = isolated<Latency>([&] {
      Node node(nftables_config());
      node.apply(make_cluster(services, 4));
      return measure_latency(services, 20000);
    });
    if (base == 0) base = latency.p99;
    fmt::print("| {:>6} | {:>6.0f} us | {:>6.0f} us | {:>6.0f} us | {:>5.2f} |\n", services, latency.p50, latency.p95,
               latency.p99, latency.p99 / base);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace kubenatd::bench
