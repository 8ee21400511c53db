#include "agent/serve/health_check_ports.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace kubenatd::agent::serve {
namespace {

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

HttpResponse health_check_page(const objects::ObjectKey& service, std::size_t local_endpoints, bool proxy_healthy) {
  HttpResponse page = json_text(local_endpoints > 0 && proxy_healthy ? 200 : 503,
                                fmt::format("{{\n"
                                            "\t\"service\": {{\n"
                                            "\t\t\"namespace\": {},\n"
                                            "\t\t\"name\": {}\n"
                                            "\t}},\n"
                                            "\t\"localEndpoints\": {},\n"
                                            "\t\"serviceProxyHealthy\": {}\n"
                                            "}}",
                                            quoted(service.ns), quoted(service.name), local_endpoints, proxy_healthy));
  page.headers.emplace_back("X-Load-Balancing-Endpoint-Weight", std::to_string(local_endpoints));
  return page;
}

HealthCheckPorts::~HealthCheckPorts() {
  for (const auto& [key, served] : served_) close_all(key);
}

std::string HealthCheckPorts::name_of(const objects::ObjectKey& service, const std::optional<rules::Address>& address) {
  std::string name = fmt::format("health check of Service {}", service.to_string());
  return address ? fmt::format("{} on {}", name, address->to_string()) : name;
}

void HealthCheckPorts::set_addresses(const std::vector<rules::Address>& addresses) {
  const ListenOn before = std::exchange(listen_on_, ListenOn(addresses.begin(), addresses.end()));
  if (before == listen_on_) return;
  // Closed first: all addresses and one of them cannot be listened on at the same time.
  for (const auto& [key, served] : served_)
    for (const auto& address : before)
      if (!listen_on_.contains(address)) keeper_.drop(name_of(key, address));
  for (const auto& [key, served] : served_)
    for (const auto& address : listen_on_)
      if (!before.contains(address)) open(key, served, address);
}

void HealthCheckPorts::apply(const state::HealthCheckChanges& changes) {
  // Closed first, so that a port may move from one Service to another.
  for (const auto& [key, health] : changes) {
    const auto served = served_.find(key);
    if (served == served_.end()) continue;
    if (health && health->port == served->second.port && health->refusal == served->second.refusal) continue;
    close_all(key);
    served_.erase(served);
  }
  for (const auto& [key, health] : changes) {
    if (!health) continue;
    const auto [place, is_new] = served_.try_emplace(key);
    Served& served = place->second;
    if (!is_new) {
      served.local_endpoints->store(health->local_endpoints);
      continue;
    }
    served = {.port = health->port,
              .refusal = health->refusal,
              .local_endpoints = std::make_shared<std::atomic<std::size_t>>(health->local_endpoints)};
    if (served.refusal && refused_)
      refused_(key, served.port, {fmt::format("port {}", served.port), "listen", *served.refusal, 0});
    for (const auto& address : listen_on_) open(key, served, address);
  }
}

void HealthCheckPorts::open(const objects::ObjectKey& key, const Served& served,
                            const std::optional<rules::Address>& address) {
  if (served.refusal) return;
  const HttpHandler handler = [key, count = served.local_endpoints, &health = health_](const HttpRequest&) {
    return health_check_page(key, count->load(), health.healthy(Moment::now()));
  };
  const rules::Status kept = keeper_.keep(name_of(key, address), {address.value_or(rules::Address{}), served.port},
                                          handler, HttpLane::kProbes, ServerKeeper::Owner::kService);
  if (!kept && refused_) refused_(key, served.port, kept.error());
}

void HealthCheckPorts::close_all(const objects::ObjectKey& key) {
  for (const auto& address : listen_on_) keeper_.drop(name_of(key, address));
}

}  // namespace kubenatd::agent::serve
