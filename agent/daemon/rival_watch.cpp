#include "agent/daemon/rival_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "agent/config/bind_address.h"
#include "agent/daemon/http_question.h"

namespace kubenatd::agent::daemon {
namespace {

constexpr auto kTellAgain = std::chrono::minutes(10);
constexpr auto kPatience = std::chrono::milliseconds(500);
constexpr std::array<std::string_view, 3> kModes{"iptables", "nftables", "ipvs"};

/// The body of a page that is answered with 200.
std::optional<std::string> ask(const config::BindAddress& server, std::string_view page) {
  constexpr std::size_t kLongest = 4096;
  auto answer = ask_http(server, page, {.patience = kPatience, .longest = kLongest});
  return answer && answer->status == 200 ? std::optional(std::move(answer->body)) : std::nullopt;
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
