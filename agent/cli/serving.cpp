#include "agent/cli/serving.h"

#include <algorithm>
#include <utility>

#include "agent/cli/log.h"
#include "agent/config/bind_address.h"
#include "agent/serve/pages.h"

namespace kubenatd::agent {
namespace {

/// kube-proxy's healthTimeout: two sync periods without a successful sync.
constexpr int kHealthPeriods = 2;

void report_server(const std::string& what, const std::optional<rules::Error>& error) {
  if (error) {
    log_error("a server could not be opened and is tried again", {{"server", what}, {"error", error->to_string()}});
  } else {
    log_info("a server is open now", {{"server", what}});
  }
}

}  // namespace

Serving::Serving(const Model& model, std::unique_ptr<HttpTransport> transport)
    : model_(model),
      health_(model.config().sync_period * kHealthPeriods),
      transport_(std::move(transport)),
      keeper_(*transport_, report_server),
      health_checks_(keeper_, health_) {}

rules::Result<std::unique_ptr<Serving>> Serving::open(const Model& model) {
  auto transport = HttpTransport::start();
  if (!transport) return std::unexpected(transport.error());
  std::unique_ptr<Serving> serving(new Serving(model, std::move(*transport)));
  const Config& config = model.config();
  const rules::Status health = serving->keep("healthz " + config.healthz_bind_address, config.healthz_bind_address,
                                             healthz_pages(serving->health_, serving->metrics_));
  const rules::Status metrics = serving->keep("metrics " + config.metrics_bind_address, config.metrics_bind_address,
                                              metrics_pages(serving->metrics_, config));
  if (config.bind_address_hard_fail) {
    if (!health) return std::unexpected(health.error());
    if (!metrics) return std::unexpected(metrics.error());
  }
  return serving;
}

rules::Status Serving::keep(const std::string& what, const std::string& address, HttpHandler handler) {
  if (address.empty()) return {};  // an empty address is how a server is switched off
  const auto bind = parse_bind_address(address);
  if (!bind) return rules::fail(what, "open", "the address is not IP:port");
  return keeper_.keep(what, *bind, std::move(handler));
}

void Serving::note(const std::vector<ObjectEvent>& events) {
  if (events.empty()) return;
  objects_changed_ = true;
  const auto services = static_cast<std::size_t>(
      std::ranges::count(events, Kind::kService, [](const ObjectEvent& event) { return event.kind; }));
  const auto slices = static_cast<std::size_t>(
      std::ranges::count(events, Kind::kEndpointSlice, [](const ObjectEvent& event) { return event.kind; }));
  metrics_.service_changes(services);
  metrics_.endpoint_changes(slices);
  metrics_.pending(waiting_services_ += services, waiting_endpoints_ += slices);
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && !model_.environment().ipv6) continue;
    health_.queued(family, Moment::now());
    metrics_.queued(family);
  }
}

void Serving::note(const RoundReport& report) {
  metrics_.round(report);
  for (const RoundReport::Family& family : report.families)
    if (!family.error) health_.updated(family.family, Moment::now());
  if (!report.families.empty() && !report.failed()) {
    metrics_.pending(waiting_services_ = 0, waiting_endpoints_ = 0);
    metrics_.objects(Kind::kService, model_.state().services());
    metrics_.objects(Kind::kEndpointSlice, model_.state().endpoint_slices());
    if (std::exchange(objects_changed_, false)) update_health_checks();
  }
}

void Serving::update_health_checks() {
  std::map<ObjectKey, HealthCheckPorts::Service> services;
  for (auto& [key, health] : model_.state().health_checks()) services[key] = {health.port, health.local_endpoints};
  const auto& config = model_.config();
  if (!config.node_port_addresses.empty() || config.node_port_addresses_primary) {
    std::vector<rules::Address> addresses;
    for (const rules::Family family : rules::kFamilies) {
      const auto& chosen = model_.desired(family).options().node_port_addresses;
      if (chosen) addresses.insert(addresses.end(), chosen->begin(), chosen->end());
    }
    health_checks_.set_addresses(addresses);
  }
  health_checks_.sync(services);
}

}  // namespace kubenatd::agent
