#include "test/support/traffic.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace kubenatd::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kUdpRepeat{400};
/// Failures that SteadyTraffic tells: a port that refuses makes thousands.
constexpr std::size_t kMostTold = 20;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
};

SocketAddress socket_address(const std::string& address, std::uint16_t port) {
  SocketAddress result;
  if (address.find(':') == std::string::npos) {
    auto* in = reinterpret_cast<sockaddr_in*>(&result.storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    if (::inet_pton(AF_INET, address.c_str(), &in->sin_addr) != 1) throw std::runtime_error("not an IP: " + address);
    result.size = sizeof(*in);
  } else {
    auto* in = reinterpret_cast<sockaddr_in6*>(&result.storage);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    if (::inet_pton(AF_INET6, address.c_str(), &in->sin6_addr) != 1) throw std::runtime_error("not an IP: " + address);
    result.size = sizeof(*in);
  }
  return result;
}

std::string address_text(const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.family() == AF_INET) {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr, text.data(), text.size());
  } else {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr, text.data(),
                text.size());
  }
  return text.data();
}

int port_of(const SocketAddress& address) {
  return ntohs(address.family() == AF_INET ? reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port
                                           : reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_port);
}

Descriptor open_socket(int family, Transport transport) {
  const int type = transport == Transport::kUdp ? SOCK_DGRAM : SOCK_STREAM;
  return Descriptor(
      ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, transport == Transport::kSctp ? IPPROTO_SCTP : 0));
}

Outcome outcome_of(int error) {
  if (error == ECONNREFUSED || error == ECONNRESET) return {.kind = Outcome::Kind::kRefused};
  if (error == ETIMEDOUT) return {.kind = Outcome::Kind::kDropped};
  return {.kind = Outcome::Kind::kUnreachable, .by = std::strerror(error)};
}

Outcome answer_of(const std::string& text) {
  Outcome outcome{.kind = Outcome::Kind::kAnswered};
  std::istringstream(text) >> outcome.by >> outcome.at >> outcome.source >> outcome.source_port;
  return outcome;
}

/// Waits for `events` until `limit`; false when it came first.
bool wait_for(int socket, short events, Clock::time_point limit) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(limit - Clock::now()).count();
    pollfd waiting{socket, events, 0};
    const int ready = ::poll(&waiting, 1, left > 0 ? static_cast<int>(left) : 0);
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

Outcome hear_stream(int socket, Clock::time_point limit) {
  std::string text;
  std::array<char, 256> part{};
  while (text.find('\n') == std::string::npos) {
    if (!wait_for(socket, POLLIN, limit)) return {};
    const auto size = ::recv(socket, part.data(), part.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size < 0) return outcome_of(errno);
    if (size == 0) return {.kind = Outcome::Kind::kUnreachable, .by = "closed without an answer"};
    text.append(part.data(), static_cast<std::size_t>(size));
  }
  return answer_of(text);
}

Outcome ask_datagram(int socket, Clock::time_point limit) {
  std::array<char, 256> text{};
  while (true) {  // answers and errors of earlier questions
    const auto size = ::recv(socket, text.data(), text.size(), 0);
    if (size < 0 && errno != ECONNREFUSED && errno != EINTR) break;
  }
  do {
    // EPERM: a rule in OUTPUT dropped or rejected it; only in the second case an ICMP error follows.
    if (::send(socket, "?", 1, MSG_NOSIGNAL) < 0 && errno != EPERM) return outcome_of(errno);
    if (!wait_for(socket, POLLIN, std::min(limit, Clock::now() + kUdpRepeat))) continue;
    const auto size = ::recv(socket, text.data(), text.size(), 0);
    if (size < 0 && errno != EAGAIN) return outcome_of(errno);
    if (size >= 0) return answer_of(std::string(text.data(), static_cast<std::size_t>(size)));
  } while (Clock::now() < limit);
  return {};
}

}  // namespace

bool has_transport(Transport transport) {
  return open_socket(AF_INET, transport).get() >= 0;
}

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::kAnswered:
      return stream << "answered by " << outcome.by << " on port " << outcome.at << ", which saw " << outcome.source
                    << " port " << outcome.source_port;
    case Outcome::Kind::kRefused: return stream << "refused";
    case Outcome::Kind::kDropped: return stream << "no answer";
    case Outcome::Kind::kUnreachable: return stream << "error: " << outcome.by;
  }
  return stream;
}

Conversation::Conversation(const Namespace& from, Transport transport, const std::string& address, std::uint16_t port,
                           std::uint16_t source_port)
    : transport_(transport) {
  const Inside inside(from);
  auto target = socket_address(address, port);
  socket_ = open_socket(target.family(), transport);
  if (socket_.get() < 0) throw std::runtime_error("socket: " + std::string(std::strerror(errno)));
  if (source_port != 0) {
    auto source = socket_address(target.family() == AF_INET ? "0.0.0.0" : "::", source_port);
    const int yes = 1;  // over a connection of before that is in TIME_WAIT
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (::bind(socket_.get(), source.get(), source.size) != 0) {
      failed_ = outcome_of(errno);
      return;
    }
  }
  if (::connect(socket_.get(), target.get(), target.size) != 0 && errno != EINPROGRESS) failed_ = outcome_of(errno);
}

Outcome Conversation::ask(milliseconds timeout) {
  if (failed_) return *failed_;
  // Silence is not waited for longer.
  const auto limit = Clock::now() + (timeout < kAnswerTime ? timeout : timeout * patience());
  if (transport_ == Transport::kUdp) return ask_datagram(socket_.get(), limit);
  if (!wait_for(socket_.get(), POLLOUT, limit)) return {};
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return outcome_of(error);
  if (::send(socket_.get(), "?", 1, MSG_NOSIGNAL) < 0) return outcome_of(errno);
  return hear_stream(socket_.get(), limit);
}

Outcome ask(const Namespace& from, Transport transport, const std::string& address, std::uint16_t port,
            milliseconds timeout) {
  return Conversation(from, transport, address, port).ask(timeout);
}

bool is_silent(const Namespace& from, Transport transport, const std::string& address, std::uint16_t port) {
  return ask(from, transport, address, port, kSilenceTime).dropped();
}

/// What crosses threads while it runs are the atomics alone.
struct SteadyTraffic::Worker {
  std::atomic<bool> stop{false};
  std::atomic<int> asked{0};
  std::vector<std::string> failed;
  std::thread thread;
};

SteadyTraffic::SteadyTraffic(std::vector<Question> questions) : worker_(std::make_unique<Worker>()) {
  worker_->thread = std::thread([worker = worker_.get(), questions = std::move(questions)] {
    for (std::size_t next = 0; !worker->stop; next = (next + 1) % questions.size(), ++worker->asked) {
      const Question& question = questions[next];
      const Outcome outcome = ask(question.from, question.transport, question.address, question.port);
      if (!outcome.answered() && worker->failed.size() < kMostTold)
        worker->failed.push_back((std::ostringstream() << outcome).str());
    }
  });
}

SteadyTraffic::~SteadyTraffic() {
  (void)stop();
}

int SteadyTraffic::asked() const {
  return worker_->asked;
}

std::vector<std::string> SteadyTraffic::stop() {
  worker_->stop = true;
  if (worker_->thread.joinable()) worker_->thread.join();
  return worker_->failed;
}

/// The thread of a server. `stop` is the only thing that crosses threads.
struct EchoServer::Worker {
  struct Listener {
    Descriptor socket;
    Transport transport;
    std::uint16_t port;
  };

  std::string name;
  std::vector<Listener> listeners;
  std::map<int, std::pair<Descriptor, int>> connections;  ///< by descriptor: itself and the port it came to
  Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  Descriptor stop{::eventfd(0, EFD_CLOEXEC)};
  std::thread thread;

  void watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw std::runtime_error("epoll_ctl failed");
  }

  void listen(const std::string& address, Transport transport, std::uint16_t port) {
    auto where = socket_address(address, port);
    Descriptor socket = open_socket(where.family(), transport);
    const int yes = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (where.family() == AF_INET6) ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
    if (::bind(socket.get(), where.get(), where.size) != 0 ||
        (transport != Transport::kUdp && ::listen(socket.get(), 1024) != 0)) {
      throw std::runtime_error(
          fmt::format("{} cannot listen on {} port {}: {}", name, address, port, std::strerror(errno)));
    }
    watch(socket.get());
    listeners.push_back({std::move(socket), transport, port});
  }

  [[nodiscard]] std::string answer(int port, const SocketAddress& peer) const {
    return fmt::format("{} {} {} {}\n", name, port, address_text(peer), port_of(peer));
  }

  void serve_datagram(const Listener& listener) const {
    SocketAddress peer;
    std::array<char, 64> question{};
    peer.size = sizeof(peer.storage);
    if (::recvfrom(listener.socket.get(), question.data(), question.size(), 0, peer.get(), &peer.size) < 0) return;
    const std::string text = answer(listener.port, peer);
    ::sendto(listener.socket.get(), text.data(), text.size(), MSG_NOSIGNAL, peer.get(), peer.size);
  }

  void accept(const Listener& listener) {
    while (true) {
      Descriptor accepted(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (accepted.get() < 0) return;
      const int fd = accepted.get();
      watch(fd);
      connections.emplace(fd, std::pair{std::move(accepted), int{listener.port}});
    }
  }

  void serve_connection(int fd) {
    const auto found = connections.find(fd);
    if (found == connections.end()) return;
    std::array<char, 64> question{};
    const auto size = ::recv(fd, question.data(), question.size(), 0);
    SocketAddress peer;
    peer.size = sizeof(peer.storage);
    if (size <= 0 || ::getpeername(fd, peer.get(), &peer.size) != 0) {
      if (size < 0 && errno == EAGAIN) return;
      connections.erase(found);
      return;
    }
    const std::string text = answer(found->second.second, peer);
    if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) connections.erase(found);
  }

  void serve() {
    std::array<epoll_event, 32> events{};
    while (true) {
      const int count = ::epoll_wait(epoll.get(), events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        if (fd == stop.get()) return;
        const Listener* listener = nullptr;
        for (const auto& candidate : listeners) {
          if (candidate.socket.get() == fd) listener = &candidate;
        }
        if (!listener) {
          serve_connection(fd);
        } else if (listener->transport == Transport::kUdp) {
          serve_datagram(*listener);
        } else {
          accept(*listener);
        }
      }
    }
  }
};

EchoServer::EchoServer(const Namespace& where, std::string name, const std::vector<std::uint16_t>& ports,
                       const std::string& address)
    : worker_(std::make_unique<Worker>()) {
  worker_->name = std::move(name);
  worker_->watch(worker_->stop.get());
  const Inside inside(where);
  std::vector<Transport> transports{Transport::kTcp, Transport::kUdp};
  if (has_transport(Transport::kSctp)) transports.push_back(Transport::kSctp);
  const std::vector<std::string> addresses =
      address.empty() ? std::vector<std::string>{"0.0.0.0", "::"} : std::vector<std::string>{address};
  for (const auto port : ports) {
    for (const auto transport : transports) {
      for (const auto& one : addresses) worker_->listen(one, transport, port);
    }
  }
  // Sockets keep the namespace they were made in, so the thread need not enter it.
  worker_->thread = std::thread([worker = worker_.get()] { worker->serve(); });
}

EchoServer::EchoServer(EchoServer&&) noexcept = default;

EchoServer::~EchoServer() {
  if (!worker_) return;
  const std::uint64_t one = 1;
  if (::write(worker_->stop.get(), &one, sizeof(one)) != sizeof(one)) std::terminate();
  worker_->thread.join();
}

}  // namespace kubenatd::test
