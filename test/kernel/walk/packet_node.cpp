#include "test/kernel/walk/packet_node.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <stdexcept>

#include "test/kernel/walk/raw_packet.h"

namespace kubenatd::test {
namespace {

using rules::Address;
using rules::Family;

constexpr const char* kDevice = "/dev/net/tun";

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + std::strerror(errno));
}

Descriptor open_tunnel(const char* name) {
  Descriptor tunnel(::open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (tunnel.get() < 0) fail(kDevice);
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(tunnel.get(), TUNSETIFF, &request) != 0) fail(name);
  return tunnel;
}

bool write_sysctl(const std::string& name, const std::string& value) {
  std::ofstream file("/proc/sys/net/" + name);
  file << value << std::flush;
  return static_cast<bool>(file);
}

/// Both families by one socket: IPv4 as mapped addresses.
sockaddr_in6 socket_address(const Address& address, std::uint16_t port) {
  sockaddr_in6 result{};
  result.sin6_family = AF_INET6;
  result.sin6_port = htons(port);
  auto* bytes = reinterpret_cast<std::uint8_t*>(&result.sin6_addr);
  const auto octets = address.octets();
  if (address.family == Family::kIpv4) {
    bytes[10] = bytes[11] = 0xff;
    std::memcpy(bytes + 12, octets.data(), octets.size());
  } else {
    std::memcpy(bytes, octets.data(), octets.size());
  }
  return result;
}

Address address_of(const sockaddr_in6& from) {
  Address address;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&from.sin6_addr);
  if (IN6_IS_ADDR_V4MAPPED(&from.sin6_addr)) {
    std::memcpy(address.bytes.data(), bytes + 12, 4);
  } else {
    address.family = Family::kIpv6;
    std::memcpy(address.bytes.data(), bytes, 16);
  }
  return address;
}

Descriptor udp_socket(const Address& address, std::uint16_t port) {
  Descriptor socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int off = 0;
  ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 own = socket_address(address, port);
  if (address.is_unspecified()) own.sin6_addr = in6addr_any;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
    fail("bind " + rules::join_host_port(address, port));
  return socket;
}

std::optional<std::vector<std::uint8_t>> read_one(int fd) {
  std::vector<std::uint8_t> bytes(2048);
  const auto size = ::read(fd, bytes.data(), bytes.size());
  if (size <= 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(size));
  return bytes;
}

}  // namespace

std::optional<std::string> tunnels_missing() {
  const Descriptor device(::open(kDevice, O_RDWR | O_CLOEXEC));
  if (device.get() >= 0) return std::nullopt;
  const bool refused = errno == EPERM || errno == EACCES;
  return std::string(refused ? "no rights: " : "") + kDevice + ": " + std::strerror(errno);
}

PacketNode::PacketNode() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(::sched_getcpu(), &cpus);
  ::sched_setaffinity(0, sizeof cpus, &cpus);

  for (const char* name :
       {"ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter", "ipv4/conf/all/send_redirects",
        "ipv4/conf/default/send_redirects", "ipv4/icmp_ratemask", "ipv4/icmp_ratelimit", "ipv6/conf/default/accept_dad",
        "ipv6/conf/default/router_solicitations", "ipv6/icmp/ratelimit"})
    if (!write_sysctl(name, "0")) throw std::runtime_error(std::string("cannot set ") + name);
  for (const char* name : {"ipv4/ip_forward", "ipv4/conf/all/route_localnet", "ipv6/conf/all/forwarding"})
    if (!write_sysctl(name, "1")) throw std::runtime_error(std::string("cannot set ") + name);
  // Per namespace only in newer kernels; the IPv6 answers of older ones stay under their limit.
  static_cast<void>(write_sysctl("ipv4/icmp_msgs_per_sec", "1000000"));
  static_cast<void>(write_sysctl("ipv4/icmp_msgs_burst", "1000000"));

  external_ = open_tunnel(kExternal);
  pods_ = open_tunnel(kPods);
  ProcessOptions options;
  options.input =
      "link set ext0 addrgenmode none\nlink set pod0 addrgenmode none\n"
      "link set ext0 up\nlink set pod0 up\n"
      "addr add 192.168.77.2/24 dev ext0\naddr add fd00:77::2/64 dev ext0 nodad\n"
      "addr add 10.244.1.1/32 dev pod0\naddr add fd00:10:244:1::1/128 dev pod0 nodad\n"
      "route add 10.244.1.0/24 dev pod0 src 10.244.1.1\nroute add fd00:10:244:1::/64 dev pod0\n"
      "route add default dev ext0 src 192.168.77.2\n";
  const auto done = run({"ip", "-batch", "-"}, options);
  if (!done.ok()) throw std::runtime_error(done.describe());
  ProcessOptions more;
  more.input = "route add default dev ext0 src fd00:77::2\n";
  if (const auto route = run({"ip", "-6", "-batch", "-"}, more); !route.ok())
    throw std::runtime_error(route.describe());

  for (const char* text : {"192.168.77.2", "fd00:77::2", "10.244.1.1", "fd00:10:244:1::1"})
    surroundings_.local.push_back(Address::parse(text).value());
  surroundings_.now = std::time(nullptr);
  surroundings_.ip_forward = true;
  surroundings_.interface_facts = [](const std::string& name) -> std::optional<rules::walk::Surroundings::Interface> {
    const unsigned index = ::if_nametoindex(name.c_str());
    if (index == 0) return std::nullopt;
    rules::walk::Surroundings::Interface facts;
    facts.index = index;
    facts.type = name == "lo" ? ARPHRD_LOOPBACK : ARPHRD_NONE;
    return facts;
  };
  surroundings_.route_localnet = [](const std::string&) { return true; };
  surroundings_.ask_route = [local = surroundings_.local](const rules::walk::RouteQuestion& question) {
    using Kind = rules::walk::RouteAnswer::Kind;
    const bool ipv6 = question.destination.family == Family::kIpv6;
    const auto address = [&](const char* four, const char* six) { return Address::parse(ipv6 ? six : four); };
    rules::walk::RouteAnswer answer;
    if (question.destination.is_loopback() || std::ranges::find(local, question.destination) != local.end()) {
      answer.kind = Kind::kLocal;
      answer.interface = "lo";
      return answer;
    }
    const auto pods = rules::Prefix::parse(ipv6 ? "fd00:10:244:1::/64" : "10.244.1.0/24");
    const bool to_pod = pods->contains(question.destination);
    answer.kind = Kind::kForward;
    answer.interface = to_pod ? kPods : kExternal;
    // Of a route without "src", IPv6 has no one address to tell.
    if (!ipv6 || !to_pod) answer.source = to_pod ? address("10.244.1.1", "") : address("192.168.77.2", "fd00:77::2");
    return answer;
  };
  sentinel_ = udp_socket(Address::parse("127.0.0.1").value(), kSentinelPort);
}

void PacketNode::listen(std::uint16_t port) {
  if (!sockets_.contains(port)) sockets_.emplace(port, udp_socket(Address{Family::kIpv6, {}}, port));
}

/// Waits until what has been sent so far has gone its way: a packet through lo comes out after all before it.
void PacketNode::settle() {
  const sockaddr_in6 to = socket_address(Address::parse("127.0.0.1").value(), kSentinelPort);
  if (::sendto(sentinel_.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 1)
    fail("send the sentinel");
  pollfd waiting{sentinel_.get(), POLLIN, 0};
  constexpr int kPatience = 20'000;
  if (::poll(&waiting, 1, kPatience) != 1) throw std::runtime_error("the sentinel did not come back");
  static_cast<void>(read_one(sentinel_.get()));
}

void PacketNode::discard() {
  for (const Descriptor* tunnel : {&external_, &pods_})
    while (read_one(tunnel->get())) continue;
  for (const auto& [port, socket] : sockets_)
    while (read_one(socket.get())) continue;
}

std::optional<Fate> PacketNode::heard_in_tunnels(const rules::walk::Packet& packet) const {
  std::optional<Fate> fate;
  for (const auto& [tunnel, name] : {std::pair(&external_, kExternal), std::pair(&pods_, kPods)}) {
    while (const auto bytes = read_one(tunnel->get())) {
      const auto seen = read_packet(*bytes);
      if (!seen) continue;
      using Kind = SeenPacket::Kind;
      if (seen->kind == Kind::kFirst)
        fate = Fate{Fate::Kind::kForwarded, name, seen->source, seen->destination, seen->destination_port};
      if (seen->kind == Kind::kReset && seen->destination_port == packet.source_port)
        fate = Fate{.kind = Fate::Kind::kLocal};
      if (seen->kind == Kind::kUnreachable) fate = Fate{.kind = Fate::Kind::kRejected};
    }
  }
  return fate;
}

std::optional<Fate> PacketNode::heard_in_sockets() const {
  std::optional<Fate> fate;
  for (const auto& [port, socket] : sockets_) {
    std::array<char, 64> text{};
    sockaddr_in6 from{};
    socklen_t size = sizeof from;
    while (::recvfrom(socket.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&from), &size) >= 0)
      fate = Fate{.kind = Fate::Kind::kLocal, .source = address_of(from), .destination_port = port};
  }
  return fate;
}

Fate PacketNode::send(const rules::walk::Packet& packet) {
  const bool udp = packet.protocol == rules::Protocol::kUdp;
  if (udp) {
    listen(packet.destination_port);
    for (std::uint16_t port = 8080; port <= 8081; ++port) listen(port);
  }
  discard();
  Fate dropped;
  if (packet.origin == rules::walk::Packet::Origin::kArriving) {
    const auto bytes = first_packet(packet);
    const int tunnel = packet.in_interface == kPods ? pods_.get() : external_.get();
    if (::write(tunnel, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) fail("write a packet");
    settle();
  } else {
    const Descriptor socket = udp_socket(packet.source, packet.source_port);
    const sockaddr_in6 to = socket_address(packet.destination, packet.destination_port);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
    const bool sent = ::send(socket.get(), "walk", 4, 0) == 4;
    const auto refuses = [](int error) {
      return error == ECONNREFUSED || error == EHOSTUNREACH || error == EACCES || error == ENETUNREACH;
    };
    if (!sent && errno != EPERM && !refuses(errno))
      fail("send to " + rules::join_host_port(packet.destination, packet.destination_port));
    const bool refused = !sent && refuses(errno);
    settle();
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (refused || refuses(error)) return Fate{.kind = Fate::Kind::kRejected};
  }
  if (const auto fate = heard_in_sockets()) return *fate;
  return heard_in_tunnels(packet).value_or(dropped);
}

}  // namespace kubenatd::test
