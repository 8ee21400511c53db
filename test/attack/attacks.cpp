#include "test/attack/attacks.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>

#include "test/support/process.h"

namespace kubenatd::test {
namespace {

using Clock = std::chrono::steady_clock;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
};

SocketAddress to_socket_address(const std::string& address, std::uint16_t port) {
  SocketAddress to;
  auto& ipv6 = reinterpret_cast<sockaddr_in6&>(to.storage);
  auto& ipv4 = reinterpret_cast<sockaddr_in&>(to.storage);
  if (::inet_pton(AF_INET6, address.c_str(), &ipv6.sin6_addr) == 1) {
    ipv6.sin6_family = AF_INET6;
    ipv6.sin6_port = htons(port);
    to.length = sizeof ipv6;
    return to;
  }
  if (::inet_pton(AF_INET, address.c_str(), &ipv4.sin_addr) != 1) throw std::runtime_error("no address: " + address);
  ipv4.sin_family = AF_INET;
  ipv4.sin_port = htons(port);
  to.length = sizeof ipv4;
  return to;
}

/// A socket whose connection is under way; -1 with errno.
int start_connection(const std::string& from, const SocketAddress& to, int receive_buffer) {
  const int fd = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int on = 1;
  // Addresses of a whole network are bound to; and thousands of connections must not leave a port each in TIME_WAIT.
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (receive_buffer != 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  if (!from.empty()) {
    const SocketAddress source = to_socket_address(from, 0);
    if (::bind(fd, source.get(), source.length) != 0) {
      ::close(fd);
      return -1;
    }
  }
  if (::connect(fd, to.get(), to.length) != 0 && errno != EINPROGRESS) {
    ::close(fd);
    return -1;
  }
  return fd;
}

/// One of a crowd.
struct Member {
  int fd = -1;
  std::size_t sent = 0;     ///< of `opening`
  std::size_t dripped = 0;  ///< of the present `drip`
  Clock::time_point next_drip;
};

constexpr std::uint32_t kEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

/// The crowd at work. Each member is opened again when it has ended.
class CrowdAtWork {
 public:
  CrowdAtWork(const Crowd& crowd, SocketAddress target, bool ipv6, std::atomic<std::uint64_t>& opened)
      : crowd_(crowd), target_(target), ipv6_(ipv6), opened_(opened), members_(crowd.connections) {}
  CrowdAtWork(const CrowdAtWork&) = delete;
  CrowdAtWork& operator=(const CrowdAtWork&) = delete;
  ~CrowdAtWork() {
    for (const Member& member : members_)
      if (member.fd >= 0) ::close(member.fd);
  }

  /// One turn: opens what has ended, takes what has come, sends what is due.
  void turn() {
    for (std::size_t i = 0; i < members_.size(); ++i)
      if (members_[i].fd < 0) open(i);
    std::array<epoll_event, 256> events{};
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), crowd_.leaves ? 0 : 1);
    for (int i = 0; i < count; ++i) take(members_[events[i].data.u64], events[i].events);
    if (crowd_.drip.empty()) return;
    const auto now = Clock::now();
    for (Member& member : members_) {
      if (member.fd < 0 || member.sent < crowd_.opening.size() || member.next_drip > now) continue;
      const ssize_t count = ::send(member.fd, crowd_.drip.data() + member.dripped, crowd_.drip.size() - member.dripped,
                                   MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count > 0) member.dripped += static_cast<std::size_t>(count);
      if (member.dripped < crowd_.drip.size()) continue;
      member.dripped = 0;
      member.next_drip = now + crowd_.pause;
    }
  }

 private:
  void open(std::size_t number) {
    Member& member = members_[number];
    const std::string from = FoeNetwork::address(number % crowd_.addresses, ipv6_);
    member = {.fd = start_connection(from, target_, crowd_.receive_buffer),
              .sent = 0,
              .dripped = 0,
              .next_drip = Clock::now()};
    if (member.fd < 0) return;
    ++opened_;
    epoll_event event{.events = kEvents, .data = {.u64 = number}};
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, member.fd, &event);
  }

  void take(Member& member, std::uint32_t events) {
    if (member.fd < 0) return;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) return end(member);
    if (crowd_.reads && (events & EPOLLIN) != 0)
      while (::recv(member.fd, waste_.data(), waste_.size(), MSG_DONTWAIT) > 0) continue;
    if ((events & EPOLLOUT) == 0) return;
    while (member.sent < crowd_.opening.size()) {
      const ssize_t count = ::send(member.fd, crowd_.opening.data() + member.sent, crowd_.opening.size() - member.sent,
                                   MSG_NOSIGNAL | MSG_DONTWAIT);
      if (count <= 0) return;
      member.sent += static_cast<std::size_t>(count);
    }
    if (crowd_.leaves) end(member);
  }

  static void end(Member& member) {
    ::close(member.fd);
    member.fd = -1;
  }

  const Crowd& crowd_;
  const SocketAddress target_;
  const bool ipv6_;
  std::atomic<std::uint64_t>& opened_;
  std::vector<Member> members_;
  Descriptor epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::array<char, 64 << 10> waste_{};
};

std::uint16_t checksum(const std::vector<std::uint16_t>& words) {
  std::uint32_t sum = std::accumulate(words.begin(), words.end(), std::uint32_t{0});
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

template <class T>
void append_words(std::vector<std::uint16_t>& words, const T& from) {
  std::array<std::uint16_t, sizeof(T) / 2> part{};
  std::memcpy(part.data(), &from, sizeof(T));
  words.insert(words.end(), part.begin(), part.end());
}

}  // namespace

FoeNetwork::FoeNetwork() {
  for (const Namespace* host : {&node, &foes}) set_sysctl(*host, "net/ipv6/conf/default/accept_dad", "0");
  must_run_in(node, {"ip", "-batch", "-"},
              fmt::format("link add eth0 type veth peer name eth0 netns {}\n"
                          "link set eth0 up\n"
                          "addr add {}/24 dev eth0\n"
                          "addr add {}/64 dev eth0 nodad\n",
                          foes.path(), kNode, kNode6));
  must_run_in(foes, {"ip", "-batch", "-"},
              fmt::format("link set eth0 up\n"
                          "addr add {}/24 dev eth0\n"
                          "addr add fd00:77::9/64 dev eth0 nodad\n"
                          "route add local 10.99.0.0/16 dev lo\n"
                          "route add local fd00:99::/64 dev lo\n"
                          "route add blackhole 10.98.0.0/16\n",
                          kFriend));
  must_run_in(node, {"ip", "-batch", "-"},
              fmt::format("route add 10.98.0.0/15 via {}\nroute add fd00:99::/64 via fd00:77::9\n", kFriend));
  for (const char* name : {"all", "eth0"}) set_sysctl(foes, fmt::format("net/ipv4/conf/{}/rp_filter", name), "0");
}

std::string FoeNetwork::address(std::size_t number, bool ipv6) {
  return ipv6 ? fmt::format("fd00:99::{:x}", number + 1)
              : fmt::format("10.99.{}.{}", (number + 1) / 256, (number + 1) % 256);
}

Attack::Attack(const FoeNetwork& network, Crowd crowd, std::uint16_t port, bool ipv6)
    : thread_([this, &network, crowd = std::move(crowd), port, ipv6](const std::stop_token& stop) {
        run(stop, network, crowd, port, ipv6);
      }) {}

void Attack::run(const std::stop_token& stop, const FoeNetwork& network, const Crowd& crowd, std::uint16_t port,
                 bool ipv6) {
  const Inside inside(network.foes);
  CrowdAtWork work(crowd, to_socket_address(ipv6 ? FoeNetwork::kNode6 : FoeNetwork::kNode, port), ipv6, opened_);
  while (!stop.stop_requested()) work.turn();
}

void send_syns(const FoeNetwork& network, std::uint16_t port, std::size_t count) {
  const Inside inside(network.foes);
  const Descriptor raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (raw.get() < 0) throw std::runtime_error(std::string("raw socket: ") + std::strerror(errno));
  const SocketAddress target = to_socket_address(FoeNetwork::kNode, port);
  std::mt19937 random(7);
  for (std::size_t i = 0; i < count; ++i) {
    const SocketAddress source = to_socket_address(fmt::format("10.98.{}.{}", random() % 256, random() % 254 + 1), 0);
    struct {
      iphdr ip{};
      tcphdr tcp{};
    } packet;
    packet.ip.version = 4;
    packet.ip.ihl = 5;
    packet.ip.ttl = 64;
    packet.ip.protocol = IPPROTO_TCP;
    packet.ip.saddr = reinterpret_cast<const sockaddr_in&>(source.storage).sin_addr.s_addr;
    packet.ip.daddr = reinterpret_cast<const sockaddr_in&>(target.storage).sin_addr.s_addr;
    packet.tcp.source = htons(static_cast<std::uint16_t>(random() % 60000 + 1024));
    packet.tcp.dest = htons(port);
    packet.tcp.seq = htonl(random());
    packet.tcp.doff = 5;
    packet.tcp.syn = 1;
    packet.tcp.window = htons(64000);
    std::vector<std::uint16_t> words;
    append_words(words, packet.ip.saddr);
    append_words(words, packet.ip.daddr);
    words.push_back(htons(IPPROTO_TCP));
    words.push_back(htons(sizeof packet.tcp));
    append_words(words, packet.tcp);
    packet.tcp.check = checksum(words);
    ::sendto(raw.get(), &packet, sizeof packet, 0, target.get(), target.length);
  }
}

Probe probe(const std::string& from, const std::string& to, std::uint16_t port, const std::string& path,
            std::chrono::milliseconds way) {
  constexpr int kPatience = 10'000;  // milliseconds
  const auto start = Clock::now();
  const auto done = [&](int status, std::string trouble) {
    return Probe{status, std::move(trouble),
                 std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start)};
  };
  const Descriptor fd(start_connection(from, to_socket_address(to, port), 0));
  if (fd.get() < 0) return done(0, std::string("connect: ") + std::strerror(errno));
  const auto wait_for = [&](short events) {
    pollfd waiting{.fd = fd.get(), .events = events, .revents = 0};
    return ::poll(&waiting, 1, kPatience * patience()) > 0;
  };
  if (!wait_for(POLLOUT)) return done(0, "no connection");
  std::this_thread::sleep_for(way);
  const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n", path);
  if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return done(0, std::string("send: ") + std::strerror(errno));
  std::string text;
  std::array<char, 64 << 10> buffer{};
  for (;;) {
    if (!wait_for(POLLIN)) return done(0, "nothing came, after: " + text.substr(0, 100));
    const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (count < 0) return done(0, std::string("receive: ") + std::strerror(errno));
    if (count == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  if (!text.starts_with("HTTP/1.1 ") || text.find("\r\n\r\n") == std::string::npos)
    return done(0, "no answer: \"" + text.substr(0, 100) + "\"");
  return done(std::atoi(text.c_str() + 9), {});
}

}  // namespace kubenatd::test
