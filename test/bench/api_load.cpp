#include "test/bench/api_load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <string_view>
#include <vector>

#include "test/bench/cluster_text.h"
#include "test/bench/isolated.h"
#include "test/server/scripted_server.h"

namespace kubenatd::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kEndpoints = 4;
constexpr std::size_t kChanges = 11;
constexpr int kPatience = 120'000;  ///< ms for a line of the program

constexpr std::string_view kManaged =
    R"("managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1",)"
    R"("time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},)"
    R"("f:endpoints.kubernetes.io/last-change-trigger-time":{}},"f:generateName":{},"f:labels":{".":{},)"
    R"("f:app":{},"f:endpointslice.kubernetes.io/managed-by":{},"f:kubernetes.io/service-name":{}},)"
    R"("f:ownerReferences":{".":{},"k:{\"uid\":\"00000000-0000-0000-0000-000000000000\"}":{}}},"f:ports":{},)"
    R"("f:addressType":{},"f:endpoints":{}}}],"uid":"00000000-0000-0000-0000-000000000000",)"
    R"("creationTimestamp":"2026-01-01T00:00:00Z",)";

std::string event(std::string_view type, const std::string& object) {
  return fmt::format(R"({{"type":"{}","object":{}}})", type, object) + "\n";
}

/// What a real server's objects carry beside what is used.
std::string metadata(std::size_t version) {
  return fmt::format(R"("resourceVersion":"{}",{})", version, kManaged);
}

std::string list_end(std::string_view kind, std::string_view api_version) {
  return event("BOOKMARK", fmt::format(R"({{"kind":"{}","apiVersion":"{}","metadata":{{"resourceVersion":"100000",)"
                                       R"("annotations":{{"k8s.io/initial-events-end":"true"}}}}}})",
                                       kind, api_version));
}

std::string node_list() {
  return event("ADDED", R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"node-1","resourceVersion":"9"},)"
                        R"("status":{"addresses":[{"type":"InternalIP","address":"192.168.77.2"}]}})") +
         list_end("Node", "v1");
}

/// What the server sends, in pieces as a real one flushes them, made before anything is measured.
struct Cluster {
  std::vector<std::string> services, slices;
  std::vector<std::string> changes;
};

std::vector<std::string> in_pieces(std::size_t count, const std::function<std::string(std::size_t)>& one,
                                   std::string end) {
  constexpr std::size_t kPiece = 100;
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % kPiece == 0) pieces.emplace_back();
    pieces.back() += event("ADDED", one(i));
  }
  pieces.push_back(std::move(end));
  return pieces;
}

Cluster make_answers(std::size_t services) {
  Cluster cluster;
  cluster.services = in_pieces(
      services, [](std::size_t i) { return service_json(i, metadata(i + 10)); }, list_end("Service", "v1"));
  cluster.slices = in_pieces(
      services, [](std::size_t i) { return slice_json(i, kEndpoints, 0, metadata(i + 10)); },
      list_end("EndpointSlice", "discovery.k8s.io/v1"));
  for (std::size_t i = 0; i < kChanges; ++i)
    cluster.changes.push_back(event("MODIFIED", slice_json(services / 2, kEndpoints, i + 1, metadata(100'001 + i))));
  return cluster;
}

/// The program's log, line by line.
class Lines {
 public:
  explicit Lines(int fd) : fd_(fd) {}
  /// Reads until a line has `text` in it; the time is that of reading.
  Clock::time_point until(std::string_view text) {
    while (true) {
      const std::size_t end = kept_.find('\n');
      if (end != std::string::npos) {
        const std::string line = kept_.substr(0, end);
        kept_.erase(0, end + 1);
        if (line.find(text) != std::string::npos) return Clock::now();
        continue;
      }
      pollfd readable{.fd = fd_, .events = POLLIN, .revents = 0};
      std::array<char, 4096> block{};
      ssize_t got = 0;
      if (::poll(&readable, 1, kPatience) > 0) got = ::read(fd_, block.data(), block.size());
      if (got <= 0) {
        std::fprintf(stderr, "the program did not say \"%.*s\": %s\n", static_cast<int>(text.size()), text.data(),
                     kept_.c_str());
        std::exit(1);
      }
      kept_.append(block.data(), static_cast<std::size_t>(got));
    }
  }

 private:
  int fd_;
  std::string kept_;
};

void raise_loopback() {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(socket, SIOCSIFFLAGS, &request) != 0) std::exit(1);
  ::close(socket);
}

double memory_of(pid_t program, std::string_view field) {
  std::ifstream status(fmt::format("/proc/{}/status", program));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stod(line.substr(field.size() + 1)) / 1e3;
  return 0;
}

double cpu_of(pid_t program) {
  std::ifstream stat(fmt::format("/proc/{}/stat", program));
  std::string word;
  double ticks = 0;
  for (int i = 1; i <= 15 && stat >> word; ++i)
    if (i >= 14) ticks += std::stod(word);
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

struct Load {
  double lists, commit, change, steady, peak, cpu;
};

Load measure(const Cluster& cluster, const std::string& program) {
  raise_loopback();
  std::mutex mutex;
  std::condition_variable changed;
  Clock::time_point ended;
  std::size_t changes_due = 0;
  test::ScriptedServer server;
  server.always([&](test::Reply& reply) {
    const bool slices = reply.ask.path.ends_with("endpointslices");
    reply.begin();
    if (reply.ask.path.ends_with("nodes")) {
      reply.chunk(node_list());
      return reply.hang();
    }
    for (const std::string& piece : slices ? cluster.slices : cluster.services) reply.chunk(piece);
    std::unique_lock lock(mutex);
    ended = Clock::now();
    if (!slices) {
      lock.unlock();
      return reply.hang();
    }
    for (std::size_t sent = 0; sent < cluster.changes.size(); ++sent) {
      changed.wait(lock, [&] { return changes_due > sent; });
      reply.chunk(cluster.changes[sent]);
    }
    lock.unlock();
    reply.hang();
  });

  int log[2];
  if (::pipe2(log, O_CLOEXEC) != 0) std::exit(1);
  const std::string master = fmt::format("http://127.0.0.1:{}", server.port());
  const auto start = Clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(log[1], STDERR_FILENO);
    ::execl(program.c_str(), "kubenatd", "run", "--master", master.c_str(), "--hostname-override", "node-1",
            "--conntrack-max-per-core", "0", static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(log[1]);
  Lines lines(log[0]);
  const Clock::time_point ready = lines.until("ready");
  Load load{};
  {
    const std::lock_guard lock(mutex);
    load.lists = seconds(ended - start);
    load.commit = seconds(ready - ended);
  }
  std::vector<double> times;
  for (std::size_t i = 0; i < kChanges; ++i) {
    ::usleep(1'200'000);  // quiet again
    const auto begin = Clock::now();
    {
      const std::lock_guard lock(mutex);
      changes_due = i + 1;
    }
    changed.notify_all();
    times.push_back(seconds(lines.until("synced") - begin));
  }
  std::ranges::sort(times);
  load.change = times[times.size() / 2];
  load.steady = memory_of(child, "VmRSS:");
  load.peak = memory_of(child, "VmHWM:");
  load.cpu = cpu_of(child);
  (void)::kill(child, SIGTERM);
  (void)::waitpid(child, nullptr, 0);
  return load;
}

}  // namespace

void measure_api_load(std::size_t services, const std::string& program) {
  const Cluster cluster = make_answers(services);
  const Load load = isolated<Load>([&] { return measure(cluster, program); });
  fmt::print("| {:>6} | {:>6.2f} s | {:>6.2f} s | {:>6.1f} ms | {:>7.1f} MB | {:>7.1f} MB | {:>5.2f} s |\n", services,
             load.lists, load.commit, load.change * 1e3, load.steady, load.peak, load.cpu);
  std::fflush(stdout);
}

}  // namespace kubenatd::bench
