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
  for (const auto& [key, served] : served_) close(key, served);
}

std::string HealthCheckPorts::name_of(const objects::ObjectKey& service, const std::optional<rules::Address>& address) {
  std::string name = fmt::format("health check of Service {}", service.to_string());
  return address ? fmt::format("{} on {}", name, address->to_string()) : name;
}

void HealthCheckPorts::set_addresses(const std::vector<rules::Address>& addresses) {
  addresses_.emplace(addresses.begin(), addresses.end());
}

void HealthCheckPorts::sync(const std::map<objects::ObjectKey, Service>& services) {
  const auto stays = [&](const objects::ObjectKey& key, const Served& served) {
    const auto wanted = services.find(key);
    return wanted != services.end() && wanted->second.port == served.port && served.addresses == addresses_;
  };
  // Closed first, so that a port may move from one Service to another.
  std::erase_if(served_, [&](const auto& entry) {
    if (stays(entry.first, entry.second)) return false;
    close(entry.first, entry.second);
    return true;
  });
  for (const auto& [key, service] : services) {
    if (const auto served = served_.find(key); served != served_.end()) {
      served->second.local_endpoints->store(service.local_endpoints);
      continue;
    }
    Served served{.port = service.port,
                  .addresses = addresses_,
                  .local_endpoints = std::make_shared<std::atomic<std::size_t>>(service.local_endpoints)};
    open(key, served);
    served_.emplace(key, std::move(served));
  }
}

void HealthCheckPorts::open(const objects::ObjectKey& key, const Served& served) {
  const HttpHandler handler = [key, count = served.local_endpoints, &health = health_](const HttpRequest&) {
    return health_check_page(key, count->load(), health.healthy(Moment::now()));
  };
  const auto keep = [&](const std::optional<rules::Address>& address) {
    const rules::Status kept =
        keeper_.keep(name_of(key, address), {address.value_or(rules::Address{}), served.port}, handler);
    if (!kept && refused_) refused_(key, served.port, kept.error());
  };
  if (!served.addresses) return keep(std::nullopt);
  for (const rules::Address& address : *served.addresses) keep(address);
}

void HealthCheckPorts::close(const objects::ObjectKey& key, const Served& served) {
  if (!served.addresses) return keeper_.drop(name_of(key, std::nullopt));
  for (const rules::Address& address : *served.addresses) keeper_.drop(name_of(key, address));
}

}  // namespace kubenatd::agent::serve
