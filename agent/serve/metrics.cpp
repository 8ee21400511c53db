#include "agent/serve/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include "agent/serve/metric_series.h"
#include "agent/serve/process_metrics.h"
#include "rules/nftables/ruleset.h"

namespace kubenatd::agent::serve {
namespace {

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

double number(std::size_t value) {
  return static_cast<double>(value);
}

std::size_t index_of(rules::Family family) {
  return static_cast<std::size_t>(family);
}

std::string ip_family(rules::Family family) {
  return std::string(name_of(family));
}

/// Adds to a counter for each kind of object. A flush concerns thousands of chains, but only a few kinds.
void count_objects(prometheus::Family<prometheus::Counter>& counter, const std::vector<rules::ObjectRef>& objects) {
  std::map<std::pair<std::string_view, std::string_view>, std::size_t> by_kind;
  for (const rules::ObjectRef& object : objects) ++by_kind[{object.table, drift_kind(object)}];
  if (objects.empty()) return;
  const std::string family = ip_family(objects.front().family);
  for (const auto& [what, count] : by_kind)
    counter.Add({{"ip_family", family}, {"table", std::string(what.first)}, {"kind", std::string(what.second)}})
        .Increment(number(count));
}

}  // namespace

std::string_view drift_kind(const rules::ObjectRef& object) {
  if (object.table == rules::nftables::kTable) {
    switch (object.kind) {
      case rules::ObjectRef::Kind::kTable: return "table";
      case rules::ObjectRef::Kind::kChain:
      case rules::ObjectRef::Kind::kRule: return "chain";
      case rules::ObjectRef::Kind::kSet:
      case rules::ObjectRef::Kind::kElement: return "set";
      case rules::ObjectRef::Kind::kFlowtable: return "flowtable";
    }
  }
  const std::string_view chain = object.name;
  // The tree's chains lie inside the name space of the services' ("KUBE-SVC-IP-0A601000-20"); a service's has 16
  // characters of a hash there and no further "-".
  if (!chain.starts_with("KUBE-")) return "jump";
  if (chain.starts_with("KUBE-SVC-IP-")) return "dispatch";
  if (chain.starts_with("KUBE-SEP-")) return "endpoint";
  for (const std::string_view prefix : {"KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-"})
    if (chain.starts_with(prefix)) return "service";
  return "fixed";
}

Metrics::Metrics(config::Config::Mode mode) : series_(std::make_unique<Series>(mode)) {}
Metrics::~Metrics() = default;

void Metrics::round(const dataplane::RoundReport& report) {
  for (const dataplane::RoundReport::Family& family : report.families) {
    const std::size_t index = index_of(family.family);
    series_->syncs[index]->Increment();
    series_->sync_duration[index]->Observe(seconds(family.took));
    if (family.error) {
      series_->sync_failures[index]->Increment();
      continue;
    }
    const dataplane::SyncReport& sync = family.sync;
    (sync.audited ? series_->full_sync_duration : series_->partial_sync_duration)[index]->Observe(seconds(family.took));
    if (sync.audited) series_->audits[index]->Increment();
    series_->transactions[index]->Increment(number(sync.transactions));
    series_->messages[index]->Increment(number(sync.messages));
    series_->bytes[index]->Increment(number(sync.bytes));
    series_->chains_written[index]->Increment(number(sync.chains));
    if (series_->elements_written[index] != nullptr) series_->elements_written[index]->Increment(number(sync.elements));
    series_->generation_retries[index]->Increment(number(sync.retries));
    series_->problems[index]->Increment(number(sync.refused.size() + sync.emptied.size()));
    series_->disputes->Increment(number(sync.drift.disputes.size()));
    count_objects(*series_->drift_found, sync.drift.found);
    count_objects(*series_->drift_healed, sync.drift.healed);
    if (family.healed_after) series_->heal_duration[index]->Observe(seconds(*family.healed_after));
  }
  for (const dataplane::RoundReport::Sweep& sweep : report.sweeps) {
    series_->sweep_duration[index_of(sweep.family)]->Observe(seconds(sweep.took));
    series_->sweep_deleted[index_of(sweep.family)]->Increment(number(sweep.deleted));
  }
  series_->overruns->Increment(number(report.overruns));
  series_->kernel_seconds->Increment(seconds(report.kernel_time));
}

void Metrics::queued(rules::Family family) {
  series_->last_queued[index_of(family)]->SetToCurrentTime();
}

void Metrics::settled(rules::Family family) {
  series_->last_sync[index_of(family)]->SetToCurrentTime();
}

void Metrics::service_changes(std::size_t changes) {
  series_->service_changes->Increment(number(changes));
}

void Metrics::endpoint_changes(std::size_t changes) {
  series_->endpoint_changes->Increment(number(changes));
}

void Metrics::pending(std::size_t services, std::size_t endpoints) {
  series_->services_pending->Set(number(services));
  series_->endpoints_pending->Set(number(endpoints));
}

void Metrics::network_programming(rules::Family family, std::chrono::nanoseconds latency) {
  series_->network_programming[index_of(family)]->Observe(seconds(latency));
}

void Metrics::no_local_endpoints(rules::Family family, std::size_t internal, std::size_t external) {
  series_->no_internal_endpoints[index_of(family)]->Set(number(internal));
  series_->no_external_endpoints[index_of(family)]->Set(number(external));
}

void Metrics::left_behind(rules::Family family, std::size_t count) {
  series_->left_behind[index_of(family)]->Set(static_cast<double>(count));
}

void Metrics::table_ownership(rules::Family family, const dataplane::TableOwnership& ownership) {
  using State = dataplane::TableOwnership::State;
  if (series_->table_owned[index_of(family)] == nullptr) return;
  series_->table_owned[index_of(family)]->Set(ownership.state == State::kOwned ? 1 : 0);
  series_->table_owned_by_another[index_of(family)]->Set(ownership.state == State::kForeign ? 1 : 0);
}

void Metrics::fast_path(rules::Family family, const dataplane::FastPathState& fast_path) {
  if (series_->fast_path_devices[index_of(family)] == nullptr) return;
  series_->fast_path_devices[index_of(family)]->Set(number(fast_path.devices.size()));
}

void Metrics::refused(rules::Family family, RefusedKind kind, std::size_t count) {
  (kind == RefusedKind::kPod ? series_->refused_pods : series_->refused_service_ports)[index_of(family)]->Set(
      number(count));
}

void Metrics::restricted_services(std::size_t count) {
  series_->restricted_services->Set(number(count));
}

bool Metrics::tells_rules() const {
  return series_->rules_owned != nullptr;
}

void Metrics::rules(rules::Family family, rules::Table table, std::size_t owned, std::size_t written) {
  if (!tells_rules()) return;
  const prometheus::Labels labels{{"ip_family", ip_family(family)}, {"table", std::string(name_of(table))}};
  series_->rules_owned->Add(labels).Set(number(owned));
  series_->rules_written->Add(labels).Set(number(written));
}

void Metrics::objects(objects::Kind kind, std::size_t count) {
  series_->objects->Add({{"kind", std::string(name_of(kind))}}).Set(number(count));
}

void Metrics::source_up(std::string_view resource, bool up) {
  series_->source_up->Add({{"resource", std::string(resource)}}).Set(up ? 1 : 0);
}

void Metrics::add(std::shared_ptr<prometheus::Collectable> collector) {
  collectors_.push_back(std::move(collector));
}

void Metrics::answered_healthz(unsigned status) {
  series_->healthz->Add({{"code", std::to_string(status)}}).Increment();
}

void Metrics::answered_livez(unsigned status) {
  series_->livez->Add({{"code", std::to_string(status)}}).Increment();
}

std::string Metrics::text() const {
  std::vector<prometheus::MetricFamily> families = series_->registry.Collect();
  for (const auto& collector : collectors_) std::ranges::move(collector->Collect(), std::back_inserter(families));
  // A family without series has nothing to say, not even its type.
  std::erase_if(families, [](const prometheus::MetricFamily& family) { return family.metric.empty(); });
  std::ranges::move(process_metrics(), std::back_inserter(families));
  std::ranges::sort(families, {}, &prometheus::MetricFamily::name);
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace kubenatd::agent::serve
