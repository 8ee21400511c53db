#include "test/bench/control_plane.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include "test/bench/cluster_text.h"

namespace kubenatd::bench {
namespace {

constexpr std::string_view kAddress = "172.30.0.1";
constexpr std::uint16_t kPort = 6443;
constexpr std::string_view kToken = "bench-token";
constexpr std::string_view kSlices = "/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices";

struct Usage {
  pid_t parent = 0;
  double seconds = 0;  ///< with those of children that have ended
};

/// From /proc/PID/stat; none: the process is gone.
std::optional<Usage> usage_of(const std::filesystem::path& stat) {
  std::ifstream file(stat);
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  Usage usage;
  fields >> skipped >> usage.parent;
  for (int field = 5; field < 14; ++field) fields >> skipped;
  long user = 0, system = 0, user_of_children = 0, system_of_children = 0;
  fields >> user >> system >> user_of_children >> system_of_children;
  usage.seconds = static_cast<double>(user + system + user_of_children + system_of_children) /
                  static_cast<double>(::sysconf(_SC_CLK_TCK));
  return usage;
}

}  // namespace

double cpu_seconds_of(pid_t process) {
  std::multimap<pid_t, pid_t> children;
  std::map<pid_t, double> seconds;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto used = usage_of(entry.path() / "stat");
    if (!used) continue;
    const pid_t id = std::stoi(name);
    children.emplace(used->parent, id);
    seconds[id] = used->seconds;
  }
  double sum = 0;
  std::vector<pid_t> open{process};
  while (!open.empty()) {
    const pid_t next = open.back();
    open.pop_back();
    sum += seconds[next];
    const auto [first, last] = children.equal_range(next);
    for (auto child = first; child != last; ++child) open.push_back(child->second);
  }
  return sum;
}

double memory_of(pid_t process, std::string_view field) {
  std::ifstream status(fmt::format("/proc/{}/status", process));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stod(line.substr(field.size())) / 1e3;
  return 0;
}

ControlPlane::ControlPlane(const std::filesystem::path& programs) {
  for (const auto& command : std::vector<std::vector<std::string>>{
           {"ip", "link", "add", "nodes", "type", "bridge"},
           {"ip", "address", "add", fmt::format("{}/16", kAddress), "dev", "nodes"},
           {"ip", "link", "set", "nodes", "up"},
           {"openssl", "genrsa", "-out", folder_.path() / "sa.key", "2048"},
       })
    (void)test::must_run_in(network_, command);
  (void)folder_.write("tokens.csv", fmt::format("{},admin,admin,system:masters\n", kToken));
  (void)folder_.write("kubeconfig", fmt::format(R"(apiVersion: v1
kind: Config
clusters: [{{name: bench, cluster: {{server: "https://{}:{}", insecure-skip-tls-verify: true}}}}]
users: [{{name: node, user: {{token: {}}}}}]
contexts: [{{name: bench, context: {{cluster: bench, user: node}}}}]
current-context: bench
)",
                                                kAddress, kPort, kToken));
  test::ProcessOptions here;
  here.namespace_fd = network_.fd();
  const std::string etcd = "http://127.0.0.1:2379";
  const std::string peer = "http://127.0.0.1:2380";
  // The disk is not what is measured.
  etcd_.emplace(std::vector<std::string>{"etcd", "--name=bench", "--data-dir=" + (folder_.path() / "etcd").string(),
                                         "--listen-client-urls=" + etcd, "--advertise-client-urls=" + etcd,
                                         "--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
                                         "--initial-cluster=bench=" + peer, "--unsafe-no-fsync", "--log-level=error"},
                here);
  const std::string key = folder_.path() / "sa.key";
  server_.emplace(
      std::vector<std::string>{
          programs / "kube-apiserver", "--etcd-servers=" + etcd, "--service-cluster-ip-range=10.96.0.0/12",
          "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + key,
          "--service-account-signing-key-file=" + key, "--token-auth-file=" + (folder_.path() / "tokens.csv").string(),
          "--authorization-mode=Node,RBAC", "--cert-dir=" + (folder_.path() / "certs").string(),
          "--bind-address=0.0.0.0", fmt::format("--secure-port={}", kPort),
          fmt::format("--advertise-address={}", kAddress), "--endpoint-reconciler-type=none",
          "--enable-priority-and-fairness=false", "--disable-admission-plugins=ServiceAccount"},
      here);
  wait_until_ready();
}

// The API server first: without its etcd it waits for a minute.
ControlPlane::~ControlPlane() {
  server_.reset();
}

ApiConnection ControlPlane::connect() const {
  const test::Inside inside(network_);
  return {std::string(kAddress), kPort, std::string(kToken)};
}

void ControlPlane::wait_until_ready() {
  const auto ready = [&] {
    for (auto* program : {&*etcd_, &*server_})
      if (!program->running()) throw std::runtime_error("the control plane ended: " + program->err());
    try {
      return connect().ask("GET", "/readyz").status == 200;
    } catch (const std::runtime_error&) {
      return false;
    }
  };
  if (!test::eventually(ready, std::chrono::seconds(120)))
    throw std::runtime_error("the API server does not become ready: " + server_->err());
  ApiConnection connection = connect();
  connection.must("POST", "/api/v1/namespaces",
                  R"({"kind":"Namespace","apiVersion":"v1","metadata":{"name":"bench"}})");
  connection.must("POST", "/api/v1/nodes", R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"node-1"}})");
  connection.must("PUT", "/api/v1/nodes/node-1/status",
                  R"({"kind":"Node","apiVersion":"v1","metadata":{"name":"node-1"},)"
                  R"("status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"}]}})");
  // Addresses are given away once the default ServiceCIDR is ready.
  const auto first = [&] {
    return connection.ask("POST", "/api/v1/namespaces/bench/services", service_json(0, "")).status == 201;
  };
  if (!test::eventually(first, std::chrono::seconds(60)))
    throw std::runtime_error("the API server takes no Service: " +
                             connection.ask("POST", "/api/v1/namespaces/bench/services", service_json(0, "")).body);
  connection.must("POST", kSlices, slice_json(0, kEndpoints, 0, ""));
  services_ = 1;
}

void ControlPlane::grow(std::size_t services) {
  std::atomic<std::size_t> next = services_;
  std::mutex mutex;
  std::string failed;
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < 8; ++i)
      writers.emplace_back([&] {
        try {
          ApiConnection connection = connect();
          for (std::size_t at = next++; at < services; at = next++) {
            connection.must("POST", "/api/v1/namespaces/bench/services", service_json(at, ""));
            connection.must("POST", kSlices, slice_json(at, kEndpoints, 0, ""));
          }
        } catch (const std::runtime_error& error) {
          const std::lock_guard lock(mutex);
          failed = error.what();
        }
      });
  }
  if (!failed.empty()) throw std::runtime_error(failed);
  services_ = std::max(services_, services);
}

void ControlPlane::change(ApiConnection& connection, std::size_t service, std::size_t endpoints,
                          std::size_t variant) const {
  connection.must("PUT", fmt::format("{}/service-{:05}-slice", kSlices, service),
                  slice_json(service, endpoints, variant, ""));
}

void ControlPlane::link(const test::Namespace& node, std::size_t number) const {
  static int links = 0;  // the kernel takes away an earlier link some time after its namespace
  const std::string name = fmt::format("node{}", links++);
  (void)test::must_run_in(network_,
                          {"ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", node.path()});
  (void)test::must_run_in(network_, {"ip", "link", "set", name, "master", "nodes", "up"});
  (void)test::must_run_in(node, {"ip", "address", "add", fmt::format("172.30.1.{}/16", number + 1), "dev", "eth0"});
  (void)test::must_run_in(node, {"ip", "link", "set", "eth0", "up"});
}

}  // namespace kubenatd::bench
