#include "test/bench/peer_node.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <deque>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "test/bench/cluster_state.h"
#include "test/bench/sockets.h"

namespace kubenatd::bench {

std::string Proxy::name() const {
  return fmt::format("{} {}", program == Program::kKubenatd ? "kubenatd" : "kube-proxy", mode);
}

test::Child start_proxy(const ControlPlane& plane, const test::Namespace& node, const Proxy& proxy,
                        const Programs& programs) {
  test::ProcessOptions here;
  here.namespace_fd = node.fd();
  std::vector<std::string> command;
  if (proxy.program == Proxy::Program::kKubenatd) {
    command = {programs.kubenatd,          "run",    "--kubeconfig", plane.kubeconfig(),
               "--hostname-override",      "node-1", "--proxy-mode", std::string(proxy.mode),
               "--conntrack-max-per-core", "0"};
  } else {
    const auto file = plane.folder() / fmt::format("kube-proxy-{}.yaml", proxy.mode);
    // Those that start together read the same file.
    if (!std::filesystem::exists(file))
      std::ofstream(file) << fmt::format(R"(apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: {}
hostnameOverride: node-1
clientConnection: {{kubeconfig: {}}}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}
)",
                                         proxy.mode, plane.kubeconfig().string());
    command = {programs.peers / "kube-proxy", "--config", file};
  }
  return test::Child(command, here);
}

/// Tells each client at which address it has come in.
class PeerNode::Answers {
 public:
  explicit Answers(const test::Namespace& network) {
    const test::Inside inside(network);
    listener_ = listen_at(kEndpointPort);
    thread_ = std::thread([this] { serve(); });
  }
  Answers(const Answers&) = delete;
  Answers& operator=(const Answers&) = delete;
  ~Answers() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

 private:
  void serve() const {
    // Closed late: a reset that overtakes the answer would look like a refusal.
    constexpr std::size_t kKept = 64;
    std::deque<test::Descriptor> open;
    for (;;) {
      test::Descriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (client.get() < 0) return;
      sockaddr_in own{};
      socklen_t size = sizeof own;
      (void)::getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &size);
      (void)::send(client.get(), &own.sin_addr, sizeof own.sin_addr, MSG_NOSIGNAL);
      reset_at_close(client.get());
      open.push_back(std::move(client));
      if (open.size() > kKept) open.pop_front();
    }
  }

  test::Descriptor listener_;
  std::thread thread_;
};

PeerNode::PeerNode(const ControlPlane& plane, std::size_t number) : plane_(plane) {
  plane.link(network_, number);
  // Services and endpoints are reached by lo.
  for (const auto& command : std::vector<std::vector<std::string>>{
           {"ip", "address", "add", "10.0.0.1/32", "dev", "lo"},
           {"ip", "route", "add", "local", "10.128.0.0/9", "dev", "lo", "src", "10.0.0.1"},
           {"ip", "route", "add", "10.96.0.0/12", "dev", "lo", "src", "10.0.0.1"},
       })
    (void)test::must_run_in(network_, command);
  answers_ = std::make_unique<Answers>(network_);
}

PeerNode::~PeerNode() {
  if (!proxy_) return;
  proxy_->signal(SIGTERM);
  (void)proxy_->wait(std::chrono::seconds(10));
}

void PeerNode::start(const Proxy& proxy, const Programs& programs) {
  proxy_.emplace(start_proxy(plane_, network_, proxy, programs));
}

void PeerNode::must_run() {
  if (proxy_->running()) return;
  throw std::runtime_error("the proxy ended: " + proxy_->err());
}

std::optional<rules::Address> PeerNode::who_answers(const rules::Address& cluster_ip,
                                                    std::chrono::milliseconds patience) const {
  const test::Inside inside(network_);
  const test::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  reset_at_close(socket.get());
  const sockaddr_in to = socket_address(cluster_ip, kServicePort);
  (void)::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to);
  pollfd answered{.fd = socket.get(), .events = POLLIN, .revents = 0};
  if (::poll(&answered, 1, static_cast<int>(patience.count())) <= 0) return std::nullopt;
  rules::Address address;
  if (::recv(socket.get(), address.bytes.data(), 4, MSG_WAITALL) != 4) return std::nullopt;
  return address;
}

double PeerNode::received() const {
  std::ifstream file(fmt::format("/proc/{}/net/dev", proxy()));
  for (std::string line; std::getline(file, line);)
    if (const auto at = line.find("eth0:"); at != std::string::npos) return std::stod(line.substr(at + 5));
  return 0;
}

}  // namespace kubenatd::bench
