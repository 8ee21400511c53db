#include "agent/daemon/serving.h"

#include <algorithm>
#include <utility>

#include "agent/base/descriptor_limit.h"
#include "agent/base/log.h"
#include "agent/config/bind_address.h"
#include "agent/daemon/advice.h"
#include "agent/daemon/cluster_events.h"
#include "agent/page/pages.h"
#include "agent/serve/conntrack_metrics.h"
#include "agent/serve/nfacct_counters.h"
#include "agent/serve/pages.h"
#include "agent/serve/seen_pages.h"

namespace kubenatd::agent::daemon {
namespace {

/// kube-proxy's healthTimeout: two sync periods without a successful sync.
constexpr int kHealthPeriods = 2;

void report_server(const std::string& what, const std::optional<rules::Error>& error) {
  if (error) {
    base::log_error("a server could not be opened and is tried again",
                    {{"server", what}, {"error", with_server_advice(what, *error).to_string()}});
  } else {
    base::log_info("a server is open now", {{"server", what}});
  }
}

/// Changes whose latency is told with one sync: more of them wait only while none succeeds.
constexpr std::size_t kMostTriggers = 100'000;

std::size_t count(const std::vector<objects::ObjectEvent>& events, objects::Kind kind) {
  return static_cast<std::size_t>(std::ranges::count(events, kind, &objects::ObjectEvent::kind));
}

std::string healthz_name(const config::Config& config) {
  return "healthz " + config.healthz_bind_address;
}

std::string metrics_name(const config::Config& config) {
  return "metrics " + config.metrics_bind_address;
}

}  // namespace

Serving::Serving(dataplane::Model& model, const ServingOptions& options, serve::DescriptorShares shares,
                 std::unique_ptr<serve::HttpTransport> transport, std::unique_ptr<seen::Inquiries> inquiries)
    : model_(model),
      events_(options.events),
      started_(serve::Moment::now().wall),
      health_(model.config().sync_period * kHealthPeriods),
      metrics_(model.config().mode),
      board_({.node = model.environment().node_name,
              .mode = model.config().mode,
              .objects_of = options.objects_of,
              .ipv6 = model.environment().ipv6}),
      inquiries_(std::move(inquiries)),
      transport_(std::move(transport)),
      keeper_(*transport_, shares, report_server),
      health_checks_(
          keeper_, health_, [this](const objects::ObjectKey& service, std::uint16_t port, const rules::Error& error) {
            if (events_ != nullptr)
              events_->record(
                  health_check_failed_event(model_.environment().node_name, service, port, error.to_string()));
          }) {}

Serving::~Serving() {
  inquiries_->close();  // or a handler that waits would be waited for
}

rules::Result<std::unique_ptr<Serving>> Serving::open(dataplane::Model& model, const ServingOptions& options) {
  const auto shares = serve::DescriptorShares::of(base::descriptor_limit());
  auto transport = serve::HttpTransport::start({.lane_connections = shares.connections});
  if (!transport) return std::unexpected(transport.error());
  auto inquiries = seen::Inquiries::open();
  if (!inquiries) return std::unexpected(inquiries.error());
  std::unique_ptr<Serving> serving(new Serving(model, options, shares, std::move(*transport), std::move(*inquiries)));
  if (model.environment().has_nfacct) serving->metrics_.add(std::make_shared<serve::NfacctCounters>());
  serving->metrics_.add(std::make_shared<serve::ConntrackMetrics>());
  if (options.request_metrics) serving->metrics_.add(options.request_metrics);
  if (options.counted_services != 0) {
    auto connections = serve::ServiceConnections::open(model.config().mode, options.counted_services);
    if (!connections) return std::unexpected(connections.error());
    serving->metrics_.add(*connections);
    serving->connections_ = std::move(*connections);
  }
  if (options.source_has_node) serving->health_.set_node_eligible(false);
  // As kube-proxy's sync loops do at their start, so that a first sync that never succeeds is noticed.
  for (const rules::Family family : rules::kFamilies)
    if (serving->uses(family)) serving->health_.updated(family, serve::Moment::now());

  const config::Config& config = model.config();
  const rules::Status health =
      serving->keep(healthz_name(config), config.healthz_bind_address,
                    serve::healthz_pages(serving->health_, serving->metrics_), serve::HttpLane::kProbes);
  auto pages = serve::seen_pages(serving->board_, *serving->inquiries_);
  if (config.page == config::Settings::Page::kOn)
    pages.merge(
        page::ui_pages(serving->board_, *serving->inquiries_,
                       {.node = model.environment().node_name,
                        .mode = config.mode,
                        // In iptables mode the kernel counts for every rule, asked or not.
                        .counts = config.mode == config::Config::Mode::kIptables || config.counted_services != 0,
                        .explain = options.explain,
                        .trace = config.page_trace == config::Settings::Page::kOn ? options.trace : nullptr}));
  const rules::Status metrics =
      serving->keep(metrics_name(config), config.metrics_bind_address,
                    serve::metrics_pages(serving->metrics_, config, std::move(pages),
                                         {.started = serving->started_, .paths = {}, .flags = options.flags}),
                    serve::HttpLane::kScrapes);
  if (options.events != nullptr) {
    const std::string& node = model.environment().node_name;
    if (!health) options.events->record(healthz_failed_event(node, health.error().to_string()));
    if (!metrics) options.events->record(metrics_failed_event(node, metrics.error().to_string()));
  }
  if (config.bind_address_hard_fail) {
    if (!health) return std::unexpected(with_server_advice("healthz", health.error()));
    if (!metrics) return std::unexpected(with_server_advice("metrics", metrics.error()));
  }
  return serving;
}

rules::Status Serving::keep(const std::string& what, const std::string& address, serve::HttpHandler handler,
                            serve::HttpLane lane) {
  if (address.empty()) return {};  // an empty address is how a server is switched off
  const auto bind = config::parse_bind_address(address);
  if (!bind) return rules::fail(what, "open", "the address is not IP:port");
  return keeper_.keep(what, *bind, std::move(handler), lane);
}

bool Serving::has_open(std::uint16_t port) const {
  const config::Config& config = model_.config();
  return keeper_.port(healthz_name(config)) == port || keeper_.port(metrics_name(config)) == port;
}

bool Serving::uses(rules::Family family) const {
  return family == rules::Family::kIpv4 || model_.environment().ipv6;
}

void Serving::note(const std::vector<objects::ObjectEvent>& events) {
  if (events.empty()) return;
  const std::size_t services = count(events, objects::Kind::kService);
  const std::size_t slices = count(events, objects::Kind::kEndpointSlice);
  metrics_.service_changes(services);
  metrics_.endpoint_changes(slices);
  metrics_.pending(waiting_services_ += services, waiting_endpoints_ += slices);
  for (const objects::ObjectEvent& event : events) {
    if (event.kind == objects::Kind::kNode) note_node(event);
    if (event.kind != objects::Kind::kEndpointSlice || !event.object) continue;
    const auto& slice = std::get<objects::EndpointSlice>(*event.object);
    auto& triggers = triggers_[static_cast<std::size_t>(slice.family)];
    // What happened before this process began says nothing about how fast it is.
    if (slice.change_triggered && *slice.change_triggered > started_ && triggers.size() < kMostTriggers)
      triggers.push_back(*slice.change_triggered);
  }
  if (connections_) connections_->note(events);
  board_.note_changes();
  for (const rules::Family family : rules::kFamilies) {
    if (!uses(family)) continue;
    health_.queued(family, serve::Moment::now());
    metrics_.queued(family);
  }
}

void Serving::note_node(const objects::ObjectEvent& event) {
  if (event.key.name != model_.environment().node_name) return;
  health_.set_node_eligible(event.object && !std::get<objects::Node>(*event.object).is_leaving);
}

void Serving::note(const dataplane::RoundReport& report) {
  metrics_.round(report);
  board_.note_round(report, model_);
  for (const dataplane::RoundReport::Family& family : report.families) {
    if (family.ownership) note_ownership(family.family, *family.ownership);
    if (family.fast_path) {
      metrics_.fast_path(family.family, *family.fast_path);
      board_.note_fast_path(family.family, *family.fast_path);
    }
    if (family.error) {
      health_.queued(family.family, serve::Moment::now());  // also drift that cannot be healed waits
      continue;
    }
    for (const dataplane::OwnedRules& owned : model_.dataplane(family.family).owned_rules())
      metrics_.rules(family.family, owned.table, owned.count, family.sync.rules[static_cast<std::size_t>(owned.table)]);
  }
  const bool left_out_changed =
      std::exchange(told_left_out_, model_.state().left_out().changes()) != model_.state().left_out().changes();
  if (!report.families.empty() || left_out_changed) note_refused();
  bool all_settled = true;
  for (const rules::Family family : rules::kFamilies) {
    if (!uses(family)) continue;
    const bool settled = report.settled[static_cast<std::size_t>(family)];
    if (settled) note_settled(family);
    all_settled = all_settled && settled;
  }
  if (!all_settled) return;
  metrics_.pending(waiting_services_ = 0, waiting_endpoints_ = 0);
  const std::array<std::size_t, 3> counts{model_.state().services(), model_.state().endpoint_slices(),
                                          model_.state().node() ? std::size_t{1} : std::size_t{0}};
  if (!told_counts_ || *told_counts_ != counts) {
    metrics_.objects(objects::Kind::kService, counts[0]);
    metrics_.objects(objects::Kind::kEndpointSlice, counts[1]);
    metrics_.objects(objects::Kind::kNode, counts[2]);
    told_counts_ = counts;
  }
  update_health_checks();
}

void Serving::note_ownership(rules::Family family, const dataplane::TableOwnership& ownership) {
  metrics_.table_ownership(family, ownership);
  const bool is_foreign = ownership.state == dataplane::TableOwnership::State::kForeign;
  health_.held_by(family, is_foreign ? ownership.owner : std::string());
  // Both families have one owner, or the second one cannot be told from it.
  using State = dataplane::TableOwnership::State;
  if (ownership.state == State::kUnknown) return;
  board_.note_owner(is_foreign ? ownership.owner : ownership.state == State::kOwned ? "this agent" : "none");
}

void Serving::note_source(const api::WatchState& state) {
  const bool up = state.synced && state.failure.empty();
  metrics_.source_up(state.resource, up);
  board_.note_source({.resource = state.resource,
                      .up = up && state.phase == api::WatchState::Phase::kWatching,
                      .objects = state.objects,
                      .failure = state.failure,
                      .absent = state.absent});
}

void Serving::answer() {
  const seen::ServiceRemarks remarks = board_.service_remarks();
  inquiries_->answer([&](const seen::ServicesQuery& query) { return list_services(model_, remarks, query); }, &model_);
}

void Serving::note_refused() {
  using Kind = dataplane::RefusedObject::Kind;
  using Counted = serve::Metrics::RefusedKind;
  std::vector<std::string> names;
  for (const rules::Family family : rules::kFamilies) {
    if (!uses(family)) continue;
    const std::vector<dataplane::RefusedObject> refused = model_.dataplane(family).refused();
    const auto pods =
        static_cast<std::size_t>(std::ranges::count(refused, Kind::kPod, &dataplane::RefusedObject::kind));
    metrics_.refused(family, Counted::kPod, pods);
    metrics_.refused(family, Counted::kServicePort, refused.size() - pods);
    for (const dataplane::RefusedObject& one : refused)
      if (std::ranges::find(names, one.name) == names.end()) names.push_back(one.name);
  }
  metrics_.restricted_services(model_.state().left_out().all().size());
  for (const auto& [service, left_out] : model_.state().left_out().all()) {
    if (names.size() > serve::HealthState::kMostRefused) break;
    names.push_back(service.to_string() + ": " + left_out.lines.front());
  }
  health_.refused(std::move(names));
}

void Serving::note_settled(rules::Family family) {
  const serve::Moment now = serve::Moment::now();
  health_.updated(family, now);
  metrics_.settled(family);
  for (const base::WallTime trigger : std::exchange(triggers_[static_cast<std::size_t>(family)], {}))
    metrics_.network_programming(family, std::max(now.wall - trigger, std::chrono::nanoseconds::zero()));
  const state::ServiceState::NoLocalEndpoints none = model_.state().no_local_endpoints(family);
  metrics_.no_local_endpoints(family, none.internal, none.external);
}

void Serving::update_health_checks() {
  const config::Config& config = model_.config();
  // Interfaces change without any object.
  if (!config.node_port_addresses.empty() || config.node_port_addresses_primary) {
    std::vector<rules::Address> addresses;
    for (const rules::Family family : rules::kFamilies) {
      const auto& chosen = model_.dataplane(family).node_options().node_port_addresses;
      if (uses(family) && chosen) addresses.insert(addresses.end(), chosen->begin(), chosen->end());
    }
    health_checks_.set_addresses(addresses);
  }
  health_checks_.apply(model_.take_health_checks());
}

}  // namespace kubenatd::agent::daemon
