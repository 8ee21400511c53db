#include "test/bench/road.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "test/bench/cluster_state.h"
#include "test/bench/sockets.h"

namespace kubenatd::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kStream = 's';  ///< the first byte of a connection whose bytes are not answered
constexpr char kEcho = 'e';

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

void at_once(int socket) {
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// From the calling thread's namespace.
test::Descriptor connect_to(const Target& to) {
  test::Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  reset_at_close(socket.get());
  at_once(socket.get());
  const timeval patience{.tv_sec = 5, .tv_usec = 0};
  for (const int which : {SO_RCVTIMEO, SO_SNDTIMEO})
    (void)::setsockopt(socket.get(), SOL_SOCKET, which, &patience, sizeof patience);
  const sockaddr_in address = socket_address(to.address, to.port);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail("connecting along the road");
  return socket;
}

void ask(int socket) {
  char byte = kEcho;
  if (::send(socket, &byte, 1, MSG_NOSIGNAL) != 1) fail("sending a byte");
  if (::recv(socket, &byte, 1, 0) != 1) fail("waiting for a byte");
}

}  // namespace

void stay_on_a_processor() {
  cpu_set_t last;
  CPU_ZERO(&last);
  CPU_SET(::sysconf(_SC_NPROCESSORS_ONLN) - 1, &last);
  if (::sched_setaffinity(0, sizeof last, &last) != 0) fail("staying on a processor");
}

/// Sends back what comes in, or takes it, as the first byte of a connection says.
class Road::Server {
 public:
  explicit Server(const test::Namespace& network) {
    const test::Inside inside(network);
    listener_ = listen_at(kEndpointPort);
    epoll_ = test::Descriptor(::epoll_create1(EPOLL_CLOEXEC));
    stop_ = test::Descriptor(::eventfd(0, EFD_CLOEXEC));
    follow(listener_.get());
    follow(stop_.get());
    thread_ = std::thread([this] {
      stay_on_a_processor();
      serve();
    });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    const std::uint64_t one = 1;
    (void)!::write(stop_.get(), &one, sizeof one);
    thread_.join();
  }

 private:
  struct Client {
    test::Descriptor socket;
    char kind = 0;
  };

  void follow(int fd) const {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  }

  void serve() {
    std::array<epoll_event, 16> events{};
    for (;;) {
      const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == stop_.get()) return;
        if (fd == listener_.get()) {
          accept();
        } else if (!take(clients_[fd])) {
          clients_.erase(fd);
        }
      }
    }
  }

  void accept() {
    test::Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket.get() < 0) return;
    at_once(socket.get());
    follow(socket.get());
    const int fd = socket.get();
    clients_.insert_or_assign(fd, Client{.socket = std::move(socket)});
  }

  bool take(Client& client) {
    const ssize_t size = ::recv(client.socket.get(), buffer_.data(), buffer_.size(), 0);
    if (size <= 0) return false;
    if (client.kind == 0) client.kind = buffer_.front();
    if (client.kind == kStream) return true;
    return ::send(client.socket.get(), buffer_.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
  }

  test::Descriptor listener_, epoll_, stop_;
  std::map<int, Client> clients_;
  std::array<char, 1U << 17> buffer_{};
  std::thread thread_;
};

Road::Road(const ControlPlane& plane, std::size_t number) : plane_(plane) {
  plane.link(node_, number);
  plane.link(other_node_, number + 1);
  const auto in = [](const test::Namespace& where, std::vector<std::string> command) {
    command.insert(command.begin(), "ip");
    (void)test::must_run_in(where, command);
  };
  const auto veth = [&in](const test::Namespace& one, const std::string& name, const std::string& address,
                          const test::Namespace& other, const std::string& other_name,
                          const std::string& other_address) {
    in(one, {"link", "add", name, "type", "veth", "peer", "name", other_name, "netns", other.path()});
    in(one, {"address", "add", address, "dev", name});
    in(one, {"link", "set", name, "up"});
    in(other, {"address", "add", other_address, "dev", other_name});
    in(other, {"link", "set", other_name, "up"});
  };
  veth(pod_, "eth0", "192.168.97.2/24", node_, "pod", "192.168.97.1/24");
  veth(node_, "eth1", "192.168.99.1/24", other_node_, "eth1", "192.168.99.2/24");
  veth(other_pod_, "eth0", "192.168.98.2/24", other_node_, "pod", "192.168.98.1/24");
  for (const test::Namespace* node : {&node_, &other_node_}) {
    in(*node, {"address", "add", "10.0.0.1/32", "dev", "lo"});  // what the API server says of the node
    test::set_sysctl(*node, "net/ipv4/ip_forward", "1");
  }
  in(pod_, {"route", "add", "default", "via", "192.168.97.1"});
  in(node_, {"route", "add", "10.128.0.0/9", "via", "192.168.99.2"});
  in(other_node_, {"route", "add", "10.128.0.0/9", "via", "192.168.98.2"});
  in(other_node_, {"route", "add", "192.168.97.0/24", "via", "192.168.99.1"});
  in(other_pod_, {"route", "add", "default", "via", "192.168.98.1"});
  in(other_pod_, {"route", "add", "local", "10.128.0.0/9", "dev", "lo"});
  server_ = std::make_unique<Server>(other_pod_);
}

Road::~Road() {
  for (test::Child& proxy : proxies_) proxy.signal(SIGTERM);
  for (test::Child& proxy : proxies_) (void)proxy.wait(std::chrono::seconds(10));
}

void Road::start(const Proxy& proxy, const Programs& programs) {
  for (const test::Namespace* node : {&node_, &other_node_})
    proxies_.push_back(start_proxy(plane_, *node, proxy, programs));
}

void Road::track_connections() {
  for (const test::Namespace* node : {&node_, &other_node_})
    (void)test::must_run_in(*node, {"nft", "-f", "-"},
                            "table ip track { chain each { type filter hook prerouting priority 0; ct state new; }; }");
}

bool Road::answers(const Target& to) const {
  const test::Inside inside(pod_);
  try {
    ask(connect_to(to).get());
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

double Road::stream(const Target& to, std::chrono::milliseconds length) const {
  static const std::array<char, 1U << 17> bytes = [] {
    std::array<char, 1U << 17> made{};
    made.front() = kStream;
    return made;
  }();
  const test::Inside inside(pod_);
  const test::Descriptor socket = connect_to(to);
  double sent = 0;
  const auto start = Clock::now();
  while (Clock::now() - start < length) {
    const ssize_t size = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) fail("a stream");
    sent += static_cast<double>(size);
  }
  return seconds_since(start) / sent;
}

double Road::request(const Target& to, std::chrono::milliseconds length) const {
  const test::Inside inside(pod_);
  const test::Descriptor socket = connect_to(to);
  std::size_t times = 0;
  const auto start = Clock::now();
  for (; Clock::now() - start < length; ++times) ask(socket.get());
  return seconds_since(start) / static_cast<double>(times);
}

double Road::connection(const Target& to, std::chrono::milliseconds length) const {
  const test::Inside inside(pod_);
  std::size_t times = 0;
  const auto start = Clock::now();
  for (; Clock::now() - start < length; ++times) ask(connect_to(to).get());
  return seconds_since(start) / static_cast<double>(times);
}

}  // namespace kubenatd::bench
