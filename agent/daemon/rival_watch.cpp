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
#include <vector>

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

/// The body of a page that is answered with 200.
std::optional<std::string> ask(const config::BindAddress& server, std::string_view page) {
  const auto until = RivalWatch::Clock::now() + kPatience;
  const base::Descriptor socket = connect_to(server, until);
  const std::string request = fmt::format("GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", page);
  if (!socket || ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return std::nullopt;
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
  return text.substr(body + 4);
}

/// The mode that somebody serves, when it is one of kube-proxy's.
std::optional<std::string_view> ask_mode(const config::BindAddress& server) {
  const auto body = ask(server, "/proxyMode");
  if (!body) return std::nullopt;
  const auto found = std::ranges::find(kModes, std::string_view(*body));
  return found == kModes.end() ? std::nullopt : std::optional(*found);
}

/// Somebody serves what only kube-proxy and kubenatd do: Cilium, which answers there too, knows no nodeEligible.
bool has_health(const config::BindAddress& server) {
  const auto body = ask(server, "/healthz");
  return body && body->find("\"nodeEligible\"") != std::string::npos;
}

/// Where to ask, without ports that are asked already.
std::vector<config::BindAddress> servers(const std::string& configured, std::uint16_t usual_port,
                                         const RivalWatch::IsOurs& is_ours) {
  std::vector<config::BindAddress> all;
  const auto add = [&](const std::optional<config::BindAddress>& server) {
    if (!server || server->port == 0 || (is_ours && is_ours(server->port))) return;
    if (std::ranges::find(all, server->port, &config::BindAddress::port) == all.end()) all.push_back(*server);
  };
  add(config::parse_bind_address(configured));
  add(config::BindAddress{*rules::Address::parse("127.0.0.1"), usual_port});
  return all;
}

std::string name_of(const config::BindAddress& server) {
  return rules::join_host_port(server.address, server.port);
}

bool makes(std::string_view mode, dataplane::LeftBehind what) {
  const bool of_iptables = what == dataplane::LeftBehind::kIptablesChains;
  return of_iptables ? mode != "nftables" : mode == "nftables";  // ipvs mode has chains of iptables, too
}

}  // namespace

void RivalWatch::look(const config::Config& config) {
  for (const config::BindAddress& server : servers(config.metrics_bind_address, config::kMetricsPort, {})) {
    const auto mode = ask_mode(server);
    if (!mode) continue;
    finding_ = fmt::format("it answers at {} and its mode is {}", name_of(server), *mode);
    return;
  }
}

std::optional<std::string> RivalWatch::find_maker(const config::Config& config, dataplane::LeftBehind what,
                                                  const IsOurs& is_ours) {
  bool mode_is_known = false;
  for (const config::BindAddress& server : servers(config.metrics_bind_address, config::kMetricsPort, is_ours)) {
    const auto mode = ask_mode(server);
    if (mode && makes(*mode, what)) return fmt::format("{}, its mode is {}", name_of(server), *mode);
    mode_is_known = mode_is_known || mode;
  }
  if (mode_is_known) return std::nullopt;
  for (const config::BindAddress& server : servers(config.healthz_bind_address, config::kHealthzPort, is_ours))
    if (has_health(server)) return name_of(server) + ", its mode is not known";
  return std::nullopt;
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
