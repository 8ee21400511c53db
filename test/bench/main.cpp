#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "test/bench/api_load.h"
#include "test/bench/cluster_state.h"
#include "test/bench/isolated.h"
#include "test/bench/latency.h"
#include "test/bench/nftables.h"
#include "test/bench/node.h"
#include "test/bench/peers.h"
#include "test/bench/wire.h"

namespace {

using namespace kubenatd;
using namespace kubenatd::bench;
using agent::config::Config;

constexpr std::size_t kEndpoints = 4;
constexpr std::size_t kChanges = 21;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// A change in a quiet cluster finds the kernel done with the one before: until then (an RCU grace period, some 10 ms
/// on 6.18) adding a rule with an xt match waits, in nf_tables_trans_destroy_flush_work.
void let_the_kernel_settle() {
  ::usleep(50'000);
}

double cpu_seconds() {
  rusage usage{};
  (void)::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Config config_of(Config::Dispatch form) {
  Config config = agent::config::default_config();
  config.dispatch = form;
  return config;
}

struct Figures {
  double cold = 0, cold_floor = 0, cold_cpu = 0, change = 0, change_floor = 0, restart = 0;
  double restore = 0;
  bool restart_wrote = false;
  std::size_t bytes = 0, messages = 0;
};

Figures measure_sync(std::size_t services, Config::Dispatch form, int cold_fd, int change_fd) {
  Figures figures;
  auto events = make_cluster(services, kEndpoints);
  start_recording();
  {
    const double cpu = cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    Node node(config_of(form));
    node.apply(std::move(events));
    figures.cold = seconds_since(start);
    figures.cold_cpu = cpu_seconds() - cpu;
    const auto sent = stop_recording();
    for (const std::string& one : sent) figures.bytes += one.size();
    save(cold_fd, sent);

    node.serve();
    start_recording();
    std::vector<double> times;
    for (std::size_t i = 0; i < kChanges; ++i) {
      std::vector<agent::objects::ObjectEvent> change;
      change.push_back(make_slice(services / 2, kEndpoints, i + 1));
      let_the_kernel_settle();
      const auto begin = std::chrono::steady_clock::now();
      node.apply(std::move(change));
      times.push_back(seconds_since(begin));
      node.listen();
    }
    figures.change = median(times);
    save(change_fd, stop_recording());
  }
  auto again = make_cluster(services, kEndpoints);
  again.push_back(make_slice(services / 2, kEndpoints, kChanges));
  const auto start = std::chrono::steady_clock::now();
  Node node(config_of(form));
  figures.restart_wrote = node.apply(std::move(again));
  figures.restart = seconds_since(start);
  return figures;
}

double measure_restore(std::size_t services) {
  auto model = make_model(config_of(Config::Dispatch::kLinear));
  (void)model->apply(make_cluster(services, kEndpoints));
  const std::string text = model->dataplane(rules::Family::kIpv4).render();
  const int fd = ::memfd_create("rules", 0);
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = ::write(fd, text.data() + at, text.size() - at);
    if (written <= 0) std::exit(1);
    at += static_cast<std::size_t>(written);
  }
  const std::string command = fmt::format("iptables-restore --noflush < /proc/{}/fd/{}", ::getpid(), fd);
  const auto start = std::chrono::steady_clock::now();
  if (std::system(command.c_str()) != 0) std::exit(1);
  return seconds_since(start);
}

Figures measure(std::size_t services, Config::Dispatch form, bool with_restore) {
  const int cold_fd = ::memfd_create("cold", 0);
  const int change_fd = ::memfd_create("change", 0);
  auto figures = isolated<Figures>([&] { return measure_sync(services, form, cold_fd, change_fd); });
  struct Floor {
    double cold, change;
  };
  const auto floor = isolated<Floor>([&] {
    Floor result{};
    result.cold = replay(restore(cold_fd));
    std::vector<double> times;
    for (const std::string& one : restore(change_fd)) {
      let_the_kernel_settle();
      times.push_back(replay({one}));
    }
    result.change = median(times);
    return result;
  });
  figures.cold_floor = floor.cold;
  figures.change_floor = floor.change;
  ::close(cold_fd);
  ::close(change_fd);
  if (with_restore) figures.restore = isolated<double>([&] { return measure_restore(services); });
  return figures;
}

void print_sync(std::size_t services, const char* form, const Figures& figures) {
  fmt::print(
      "| {:>6} | {:<6} | {:>7.0f} ms | {:>7.0f} ms | {:>5.2f} | {:>6.2f} s | {:>6.1f} ms | {:>6.1f} ms | {:>5.2f} "
      "| {:>6.0f} ms{} | {:>7.1f} MB | ",
      services, form, figures.cold * 1e3, figures.cold_floor * 1e3, figures.cold / figures.cold_floor, figures.cold_cpu,
      figures.change * 1e3, figures.change_floor * 1e3, figures.change / figures.change_floor, figures.restart * 1e3,
      figures.restart_wrote ? " (wrote!)" : "", static_cast<double>(figures.bytes) / 1e6);
  if (figures.restore > 0) {
    fmt::print("{:>7.2f} s | {:>5.0f} x |\n", figures.restore, figures.restore / figures.cold);
  } else {
    fmt::print("        - |       - |\n");
  }
  std::fflush(stdout);
}

Latency latency_of(std::size_t services, Config::Dispatch form) {
  return isolated<Latency>([&] {
    Node node(config_of(form));
    node.apply(make_cluster(services, kEndpoints));
    return measure_latency(services, 20000);
  });
}

void print_latency(std::size_t services, const char* form, const Latency& latency, double base) {
  fmt::print("| {:>6} | {:<6} | {:>6.0f} us | {:>6.0f} us | {:>6.0f} us | {:>5.2f} |\n", services, form, latency.p50,
             latency.p95, latency.p99, latency.p99 / base);
  std::fflush(stdout);
}

/// Objects of a cluster as manifests, for measuring the program itself: bench --manifests N FILE.
int write_manifests(std::size_t services, const char* path) {
  std::ofstream out(path);
  for (std::size_t i = 0; i < services; ++i) {
    const auto slice = make_slice(i, kEndpoints, 0);
    const auto& object = std::get<agent::objects::EndpointSlice>(*slice.object);
    out << fmt::format(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {}, namespace: bench}}\nspec:\n"
        "  clusterIP: {}\n  ports: [{{name: http, port: 80}}]\n",
        object.service, cluster_ip(i).to_string());
    out << fmt::format(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata:\n"
        "  name: {}\n  namespace: bench\n  labels: {{kubernetes.io/service-name: {}}}\n"
        "ports: [{{name: http, port: {}, protocol: TCP}}]\nendpoints:\n",
        object.key.name, object.service, kEndpointPort);
    for (const auto& endpoint : object.endpoints)
      out << fmt::format("- {{addresses: [{}], nodeName: {}}}\n", endpoint.address.to_string(),
                         endpoint.place->node_name);
  }
  return out.good() ? 0 : 1;
}

/// One endpoint change after another, for a profiler: bench --changes N COUNT.
int repeat_changes(std::size_t services, std::size_t count) {
  const auto took = isolated<double>([&] {
    Node node(config_of(Config::Dispatch::kLinear));
    node.apply(make_cluster(services, kEndpoints));
    node.serve();
    const double cpu = cpu_seconds();
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      std::vector<agent::objects::ObjectEvent> change;
      change.push_back(make_slice(services / 2, kEndpoints, i + 1));
      node.apply(std::move(change));
    }
    fmt::print("CPU {:.2f} ms a change\n", (cpu_seconds() - cpu) * 1e3 / static_cast<double>(count));
    std::fflush(stdout);
    return seconds_since(start);
  });
  fmt::print("{:.2f} ms a change\n", took * 1e3 / static_cast<double>(count));
  return 0;
}

/// bench --peer KUBENATD FOLDER [--storm|--packets|--services N] [--quick] [--nftables].
int compare_peers(const std::vector<std::string>& arguments) {
  PeerOptions options;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    if (arguments[i] == "--quick") options.quick = true;
    if (arguments[i] == "--storm") options.storm = true;
    if (arguments[i] == "--packets") options.packets = true;
    if (arguments[i] == "--nftables") options.nftables = true;
    if (arguments[i] == "--services" && i + 1 < arguments.size()) options.services = std::stoul(arguments[++i]);
  }
  try {
    measure_peers({.kubenatd = arguments[0], .peers = arguments[1]}, options);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 4 && std::strcmp(argv[1], "--peer") == 0) return compare_peers({argv + 2, argv + argc});
  if (argc == 4 && std::strcmp(argv[1], "--manifests") == 0) return write_manifests(std::stoul(argv[2]), argv[3]);
  if (argc == 4 && std::strcmp(argv[1], "--changes") == 0)
    return repeat_changes(std::stoul(argv[2]), std::stoul(argv[3]));
  if (argc > 1 && std::strcmp(argv[1], "--nftables") == 0)
    return run_nftables(argc > 2 && std::strcmp(argv[2], "--quick") == 0);
  if (argc == 4 && std::strcmp(argv[1], "--api") == 0) {
    measure_api_load(std::stoul(argv[2]), argv[3]);
    return 0;
  }
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;

  utsname system{};
  (void)::uname(&system);
  fmt::print("kernel {} on {} processors; {} endpoints a service; one change is the median of {}\n\n", system.release,
             ::sysconf(_SC_NPROCESSORS_ONLN), kEndpoints, kChanges);
  fmt::print(
      "| N      | form   | cold sync  | floor      | ratio | CPU      | 1 change  | floor     | ratio | restart   | "
      "netlink    | restore   | faster  |\n"
      "|--------|--------|------------|------------|-------|----------|-----------|-----------|-------|-----------|-"
      "-----------|-----------|---------|\n");
  const std::vector<std::size_t> sizes =
      quick ? std::vector<std::size_t>{1000} : std::vector<std::size_t>{1000, 5000, 10000};
  for (const std::size_t services : sizes) {
    print_sync(services, "linear", measure(services, Config::Dispatch::kLinear, !quick));
    print_sync(services, "tree", measure(services, Config::Dispatch::kTree, false));
  }
  fmt::print(
      "\n| N      | form   | p50       | p95       | p99       | p99/100 |\n"
      "|--------|--------|-----------|-----------|-----------|---------|\n");
  const Latency base = latency_of(100, Config::Dispatch::kLinear);
  print_latency(100, "linear", base, base.p99);
  for (const std::size_t services : sizes) {
    print_latency(services, "linear", latency_of(services, Config::Dispatch::kLinear), base.p99);
    print_latency(services, "tree", latency_of(services, Config::Dispatch::kTree), base.p99);
  }
  return 0;
}
