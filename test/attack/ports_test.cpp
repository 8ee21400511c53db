#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "test/attack/attacks.h"
#include "test/support/cluster.h"

/// The ports on which the agent listens, under attack: health checks go on, from other addresses and from the foe's
/// own, and what clients can take of memory, descriptors and sockets stays bounded.
///
/// KUBENATD_ATTACK_FIGURES (a number of probes) prints a line of figures for each attack.
namespace kubenatd::test {
namespace {

constexpr std::uint16_t kHealthz = 10256;
constexpr std::uint16_t kMetrics = 10249;
constexpr std::uint16_t kHealthCheck = 32000;

/// What an attack may cost the agent.
constexpr std::size_t kMostGrowth = 20 << 20;
/// The defaults of HttpLimits.
constexpr std::size_t kMostOfClient = 256;
constexpr std::size_t kMostOfListener = 512;

std::size_t figures() {
  const char* text = std::getenv("KUBENATD_ATTACK_FIGURES");
  return text == nullptr ? 0 : std::strtoul(text, nullptr, 10);
}

/// An agent whose ports foes reach, with a Service that has a health check port.
class AttackedNode {
 public:
  AttackedNode() {
    ServiceSpec service{.name = "lb", .cluster_ips = {"10.96.0.10"}};
    service.type = "LoadBalancer";
    service.external_policy = "Local";
    service.health_check_node_port = kHealthCheck;
    manifests_.put(service, ready({"10.244.1.5"}));
    child_.emplace(agent_.start());
    const Inside inside(network.node);
    REQUIRE(eventually([] {
      return probe({}, "127.0.0.1", kHealthz, "/healthz").status == 200 &&
             probe({}, "127.0.0.1", kHealthCheck, "/").status == 200;
    }));
    // What the first requests set up is not the attack's.
    for (int i = 0; i < 20; ++i) CHECK(probe({}, "127.0.0.1", kMetrics, "/metrics").status == 200);
    // The peak: two seconds after its start the agent lets go of code that it may need again.
    start_memory_ = memory("VmHWM");
    start_descriptors_ = descriptors();
    // An agent that fails the test must not take the machine with it.
    const rlimit most{.rlim_cur = 3UL << 30, .rlim_max = 3UL << 30};
    REQUIRE(::prlimit(child_->pid(), RLIMIT_AS, &most, nullptr) == 0);
  }

  /// Before any attack.
  [[nodiscard]] std::size_t start_memory() const { return start_memory_; }

  [[nodiscard]] std::size_t memory(const char* what) const {
    std::istringstream lines(read_file(proc("status")));
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(what)) return std::strtoul(line.c_str() + line.find(':') + 1, nullptr, 10) << 10;
    return 0;
  }
  /// The next peak counts from here.
  void forget_peak() const { std::ofstream(proc("clear_refs")) << 5; }
  [[nodiscard]] std::size_t descriptors() const {
    const std::filesystem::directory_iterator entries(proc("fd"));
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
  }

  [[nodiscard]] std::chrono::milliseconds cpu_time() const { return child_->cpu_time(); }
  [[nodiscard]] std::size_t start_descriptors() const { return start_descriptors_; }

  FoeNetwork network;

 private:
  [[nodiscard]] std::string proc(const char* file) const { return fmt::format("/proc/{}/{}", child_->pid(), file); }

  Manifests manifests_;
  Agent agent_{network.node, manifests_,
               "healthzBindAddress: \"0.0.0.0:10256\"\nmetricsBindAddress: \"0.0.0.0:10249\"\n"};
  std::optional<Child> child_;
  std::size_t start_memory_ = 0;
  std::size_t start_descriptors_ = 0;
};

/// Bytes that the kernel keeps for clients of these ports that do not read.
std::size_t unsent_bytes(const Namespace& node) {
  std::size_t bytes = 0;
  for (const std::string& line : lines_of(must_run_in(node, {"cat", "/proc/net/tcp", "/proc/net/tcp6"}))) {
    std::istringstream words(line);
    std::string slot, local, remote, state, queues;
    if (!(words >> slot >> local >> remote >> state >> queues) || slot == "sl" || state == "0A") continue;  // listening
    const std::string port = local.substr(local.find(':') + 1);
    for (const std::uint16_t ours : {kHealthz, kMetrics, kHealthCheck})
      if (port == fmt::format("{:04X}", ours)) bytes += std::strtoul(queues.c_str(), nullptr, 16);
  }
  return bytes;
}

struct Target {
  std::uint16_t port;
  const char* path;
};

/// Asks from everywhere while the attack stands.
class Watch {
 public:
  explicit Watch(const AttackedNode& node) : node_(node), before_(node.start_memory()) { node.forget_peak(); }

  void ask(Target target, const std::string& foe_address) {
    const std::size_t rounds = figures() != 0 ? figures() / 3 : 8;
    for (std::size_t i = 0; i < rounds; ++i) {
      for (const std::string& from : {std::string(FoeNetwork::kFriend), foe_address}) {
        const Inside inside(node_.network.foes);
        note(probe(from, FoeNetwork::kNode, target.port, target.path), from);
      }
      {
        const Inside inside(node_.network.node);
        note(probe({}, "127.0.0.1", target.port, target.path), "127.0.0.1");
      }
      if (i % 8 == 0) look();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    // Foes come all the time; one from elsewhere whose request takes its time does not end for them.
    const Inside inside(node_.network.foes);
    const Probe far =
        probe(FoeNetwork::kFriend, FoeNetwork::kNode, target.port, target.path, std::chrono::milliseconds(100));
    if (far.status != 200 && trouble_.empty()) trouble_ = fmt::format("from far away: {} {}", far.status, far.trouble);
  }

  void look() {
    unsent_ = std::max(unsent_, unsent_bytes(node_.network.node));
    descriptors_ = std::max(descriptors_, node_.descriptors());
  }

  /// `most`: connections that the foes may hold.
  void finish(const std::string& name, std::uint64_t opened, std::size_t most) {
    const std::size_t peak = node_.memory("VmHWM");
    CHECK(trouble_ == "");
    CHECK(peak <= before_ + kMostGrowth);
    // One that comes is accepted before another ends; and those who ask here have some.
    constexpr std::size_t kComing = 16;
    CHECK(descriptors_ <= node_.start_descriptors() + most + kComing);
    if (figures() == 0) return;
    std::ranges::sort(took_);
    const auto at = [&](double part) {
      if (took_.empty()) return 0.0;
      return static_cast<double>(
                 took_[static_cast<std::size_t>(part * static_cast<double>(took_.size() - 1))].count()) /
             1000;
    };
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start_;
    fmt::print(
        "{:<48} failed {:3} of {:4}  ms p50 {:7.2f} p99 {:7.2f} max {:7.2f}  MB {:5.1f} -> {:5.1f}  fds {:4} "
        "unsent kB {:6}  connections/s {:6.0f}  CPU {:3.0f} %\n",
        name, failed_, took_.size(), at(0.5), at(0.99), at(1), static_cast<double>(before_) / (1 << 20),
        static_cast<double>(peak) / (1 << 20), descriptors_, unsent_ >> 10, static_cast<double>(opened) / time.count(),
        static_cast<double>((node_.cpu_time() - cpu_).count()) / time.count() / 10);
    std::fflush(stdout);
  }

 private:
  void note(const Probe& probe, const std::string& from) {
    took_.push_back(probe.took);
    if (probe.status == 200) return;
    ++failed_;
    if (trouble_.empty()) trouble_ = fmt::format("from {}: {} {}", from, probe.status, probe.trouble);
  }

  const AttackedNode& node_;
  const std::size_t before_;
  const std::chrono::milliseconds cpu_ = node_.cpu_time();
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<std::chrono::microseconds> took_;
  std::string trouble_;  ///< the first
  std::size_t failed_ = 0;
  std::size_t unsent_ = 0;
  std::size_t descriptors_ = 0;
};

std::string repeated(const std::string& text, std::size_t count) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

std::string get(const char* path, const char* more = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: node\r\n{}\r\n", path, more);
}

/// Crowds that hold connections.
std::vector<Crowd> holders(const char* path) {
  const std::string line = fmt::format("GET {} HTTP/1.1\r\nHost: node\r\n", path);
  return {
      {.name = "idle"},
      {.name = "idle, 500 addresses", .addresses = 500},
      {.name = "idle after a request", .opening = get(path), .reads = true},
      {.name = "slow header", .opening = line, .drip = "X: y\r\n"},
      {.name = "slow body", .opening = get(path, "Content-Length: 4000\r\n"), .drip = "x"},
      {.name = "slow chunks", .opening = get(path, "Transfer-Encoding: chunked\r\n"), .drip = "1;x=y\r\nx\r\n"},
      {.name = "slow second request", .opening = get(path) + line, .drip = "X: y\r\n", .reads = true},
      {.name = "does not read", .opening = repeated(get(path), 200), .drip = get(path), .receive_buffer = 1},
      {.name = "does not read, 500 addresses",
       .addresses = 500,
       .opening = repeated(get(path), 200),
       .drip = get(path),
       .receive_buffer = 1},
      {.name = "header of many small fields", .opening = line + repeated("a:\r\n", 3500)},
      {.name = "header of one large field", .opening = line + "X: " + std::string(15 << 10, 'x')},
      {.name = "header of one large field, 500 addresses",
       .addresses = 500,
       .opening = line + "X: " + std::string(15 << 10, 'x')},
  };
}

/// Crowds that never rest.
std::vector<Crowd> floods(const char* path) {
  return {
      {.name = "header without end",
       .connections = 20,
       .opening = "GET / HTTP/1.1\r\n",
       .drip = repeated("a:b\r\n", 1000),
       .pause = std::chrono::milliseconds(5)},
      {.name = "trailer without end",
       .connections = 20,
       .opening = get(path, "Transfer-Encoding: chunked\r\n") + "0\r\n",
       .drip = repeated("a:b\r\n", 1000),
       .pause = {}},
      {.name = "request line without end",
       .connections = 20,
       .opening = "GET /",
       .drip = std::string(8000, 'a'),
       .pause = {}},
      {.name = "huge headers", .connections = 100, .opening = "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x')},
      {.name = "pipelined",
       .connections = 100,
       .opening = get(path),
       .drip = repeated(get(path), 50),
       .pause = {},
       .reads = true},
      {.name = "garbage", .connections = 100, .opening = repeated("\x16\x03\x01\xff\x00", 200) + "\r\n\r\n"},
      {.name = "connects and leaves", .connections = 100, .leaves = true},
      {.name = "asks and leaves", .connections = 100, .opening = get(path), .leaves = true},
      {.name = "asks and leaves, 500 addresses",
       .connections = 500,
       .addresses = 500,
       .opening = get(path),
       .leaves = true},
  };
}

void stand(const AttackedNode& node, const Crowd& crowd, Target target) {
  const std::string name = fmt::format("{} {}", target.port, crowd.name);
  CAPTURE(name);
  // Those of the attack before have gone.
  CHECK(eventually([&] { return node.descriptors() <= node.start_descriptors(); }));
  Watch watch(node);
  std::uint64_t opened = 0;
  {
    const Attack attack(node.network, crowd, target.port);
    CHECK(eventually([&] { return attack.opened() >= crowd.connections; }));
    const Target probed = target.port == kMetrics ? Target{kHealthz, "/healthz"} : target;
    watch.ask(probed, FoeNetwork::address(0));
    opened = attack.opened();
  }
  watch.look();
  watch.finish(name, opened, std::min(crowd.addresses * kMostOfClient, kMostOfListener));
}

}  // namespace

TEST_CASE("healthz goes on while foes hold connections") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  for (const Crowd& crowd : holders("/healthz")) stand(node, crowd, {kHealthz, "/healthz"});
}

TEST_CASE("a health check port goes on while foes hold connections") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  for (const Crowd& crowd : holders("/")) stand(node, crowd, {kHealthCheck, "/"});
}

TEST_CASE("healthz goes on while foes hold connections to the metrics") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  for (const Crowd& crowd : holders("/metrics")) stand(node, crowd, {kMetrics, "/metrics"});
}

TEST_CASE("healthz goes on under floods") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  for (const Crowd& crowd : floods("/healthz")) stand(node, crowd, {kHealthz, "/healthz"});
}

TEST_CASE("a health check port goes on under floods") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  for (const Crowd& crowd : floods("/")) stand(node, crowd, {kHealthCheck, "/"});
}

TEST_CASE("healthz goes on while floods reach the metrics") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  for (const Crowd& crowd : floods("/metrics")) stand(node, crowd, {kMetrics, "/metrics"});
}

TEST_CASE("all ports are held at the same time by both families") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  Watch watch(node);
  std::uint64_t opened = 0;
  {
    const Crowd large{
        .name = "large", .addresses = 500, .opening = "GET /metrics HTTP/1.1\r\nX: " + std::string(15 << 10, 'x')};
    const Crowd deaf{.name = "deaf", .addresses = 500, .opening = repeated(get("/metrics"), 200), .receive_buffer = 1};
    const Attack one(node.network, large, kHealthz);
    const Attack two(node.network, large, kHealthCheck, true);
    const Attack three(node.network, deaf, kMetrics);
    CHECK(eventually([&] { return one.opened() >= 1000 && two.opened() >= 1000 && three.opened() >= 1000; }));
    watch.ask({kHealthz, "/healthz"}, FoeNetwork::address(0));
    watch.ask({kHealthCheck, "/"}, FoeNetwork::address(0));
    opened = one.opened() + two.opened() + three.opened();
  }
  // All addresses of a /64 are one client.
  watch.finish("all ports", opened, 2 * kMostOfListener + kMostOfClient);
}

TEST_CASE("first packets from addresses of nobody keep nobody out") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  for (const Target target : {Target{kHealthz, "/healthz"}, Target{kHealthCheck, "/"}}) {
    Watch watch(node);
    send_syns(node.network, target.port, 20'000);
    watch.ask(target, FoeNetwork::address(0));
    watch.finish(fmt::format("{} half-open", target.port), 20'000, 0);
  }
}

TEST_CASE("clients that have vanished keep nobody out and leave") {
  KUBENATD_NEEDS_NAMESPACES();
  const AttackedNode node;
  const Target target{kHealthCheck, "/"};
  Watch watch(node);
  const Attack attack(node.network, {.name = "vanished", .opening = get("/"), .receive_buffer = 1}, target.port);
  CHECK(eventually([&] { return attack.opened() >= 1000; }));
  must_run_in(node.network.foes, {"ip", "route", "del", "local", "10.99.0.0/16", "dev", "lo"});
  must_run_in(node.network.foes, {"ip", "route", "add", "blackhole", "10.99.0.0/16"});
  watch.ask(target, FoeNetwork::kFriend);
  watch.finish("32000 vanished", attack.opened(), kMostOfClient);
}

}  // namespace kubenatd::test
