#include "agent/daemon/rival_watch.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/base/descriptor.h"
#include "agent/config/bind_address.h"

namespace kubenatd::agent::daemon {
namespace {

constexpr auto kTellAgain = std::chrono::minutes(10);
constexpr auto kPatience = std::chrono::milliseconds(500);
constexpr std::array<std::string_view, 3> kModes{"iptables", "nftables", "ipvs"};

bool wait_for(int fd, short events, RivalWatch::Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - RivalWatch::Clock::now());
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  return left.count() > 0 && ::poll(&waiting, 1, static_cast<int>(left.count())) == 1;
}

base::Descriptor connect_to(const config::BindAddress& server, RivalWatch::Clock::time_point until) {
  const bool ipv6 = server.address.family == rules::Family::kIpv6;
  base::Descriptor socket(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_storage address{};
  socklen_t size = 0;
  // Whoever listens on every address is met on loopback.
  const bool any = std::ranges::all_of(server.address.bytes, [](std::uint8_t byte) { return byte == 0; });
  if (ipv6) {
    auto& typed = reinterpret_cast<sockaddr_in6&>(address);
    typed.sin6_family = AF_INET6;
    typed.sin6_port = htons(server.port);
    typed.sin6_addr = in6addr_loopback;
    if (!any) std::memcpy(&typed.sin6_addr, server.address.bytes.data(), sizeof(typed.sin6_addr));
    size = sizeof(typed);
  } else {
    auto& typed = reinterpret_cast<sockaddr_in&>(address);
    typed.sin_family = AF_INET;
    typed.sin_port = htons(server.port);
    typed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!any) std::memcpy(&typed.sin_addr, server.address.bytes.data(), sizeof(typed.sin_addr));
    size = sizeof(typed);
  }
  if (!socket) return socket;
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0) return socket;
  if (errno != EINPROGRESS || !wait_for(socket.get(), POLLOUT, until)) return base::Descriptor(-1);
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? std::move(socket) : base::Descriptor(-1);
}

/// The body of /proxyMode, when it is one that kube-proxy gives.
std::optional<std::string_view> ask_mode(const config::BindAddress& server) {
  const auto until = RivalWatch::Clock::now() + kPatience;
  const base::Descriptor socket = connect_to(server, until);
  constexpr std::string_view kRequest = "GET /proxyMode HTTP/1.0\r\nHost: localhost\r\n\r\n";
  if (!socket || ::send(socket.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0) return std::nullopt;
  constexpr std::size_t kLongest = 4096;
  std::string text;
  std::array<char, 1024> block{};
  while (text.size() < kLongest && wait_for(socket.get(), POLLIN, until)) {
    const auto size = ::recv(socket.get(), block.data(), block.size(), 0);
    if (size <= 0) break;
    text.append(block.data(), static_cast<std::size_t>(size));
  }
  const auto body = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/1.") || text.find(" 200 ") != std::strlen("HTTP/1.1") || body == std::string::npos)
    return std::nullopt;
  const auto found = std::ranges::find(kModes, std::string_view(text).substr(body + 4));
  return found == kModes.end() ? std::nullopt : std::optional(*found);
}

}  // namespace

void RivalWatch::look(const config::Config& config) {
  const auto server = config::parse_bind_address(config.metrics_bind_address);
  if (!server || server->port == 0) return;
  if (const auto mode = ask_mode(*server))
    finding_ = fmt::format("it answers at {} and its mode is {}", config.metrics_bind_address, *mode);
}

void RivalWatch::canary_made_by(const std::string& writer) {
  finding_ = "KUBE-PROXY-CANARY chains were made again, by " + writer;
}

std::optional<std::string> RivalWatch::take(Clock::time_point now) {
  if (finding_.empty()) return std::nullopt;
  std::string finding = std::exchange(finding_, {});
  if (told_ && now - *told_ < kTellAgain) return std::nullopt;
  told_ = now;
  return finding;
}

}  // namespace kubenatd::agent::daemon
