#include "agent/dataplane/reconciler.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/dataplane/iptables/cleanup.h"
#include "agent/dataplane/iptables/sync.h"
#include "agent/dataplane/nftables/sync.h"
#include "netlink/host/conntrack.h"

namespace kubenatd::agent::dataplane {
namespace {

using rules::Family;

constexpr std::uint8_t kUdp = 17;
constexpr auto kFirstRetry = std::chrono::seconds(1);
constexpr auto kSecondSweep = std::chrono::seconds(1);
constexpr auto kLongestRetry = std::chrono::seconds(60);
/// Chains in dispute that a round names; a table that is flushed again and again has thousands.
constexpr std::size_t kNamedDisputes = 8;

std::size_t index_of(Family family) {
  return static_cast<std::size_t>(family);
}

/// Addresses on which NodePorts answer in this family.
std::vector<rules::Address> node_port_addresses(const Model& model, Family family,
                                                const rules::iptables::CompileOptions& options) {
  if (options.node.node_port_addresses) return *options.node.node_port_addresses;
  std::vector<rules::Address> all;
  for (const rules::Address& address : model.environment().local_addresses)
    if (address.family == family) all.push_back(address);
  return all;
}

}  // namespace

bool RoundReport::failed() const {
  if (!problems.empty()) return true;
  return std::ranges::any_of(families, [](const Family& one) { return one.error || !one.sync.problems.empty(); });
}

bool RoundReport::wrote() const {
  return std::ranges::any_of(families, [](const Family& one) { return one.sync.wrote; });
}

rules::Result<std::unique_ptr<Reconciler>> Reconciler::open(Model& model) {
  auto session = NfSession::open();
  if (!session) return std::unexpected(session.error());
  if (auto started = session->start(); !started) return std::unexpected(started.error());
  return std::unique_ptr<Reconciler>(new Reconciler(model, std::move(*session)));
}

Reconciler::Reconciler(Model& model, NfSession session)
    : model_(model),
      session_(std::move(session)),
      frontends_{state::UdpFrontends(Family::kIpv4), state::UdpFrontends(Family::kIpv6)},
      next_audit_(Clock::now() + model.config().audit_period) {
  for (const Family family : rules::kFamilies) {
    if (family == Family::kIpv6 && !model_.environment().ipv6) continue;
    if (model_.config().mode == config::Config::Mode::kNftables) {
      families_.push_back(std::make_unique<nftables::NftablesSync>(family, model_.elements(family),
                                                                   model_.desired(family).host_ports()));
    } else {
      families_.push_back(std::make_unique<iptables::FamilySync>(family, model_.desired(family)));
    }
    state::UdpFrontends& frontends = frontends_[index_of(family)];
    frontends.set_node_addresses(node_port_addresses(model_, family, model_.desired(family).options()));
    model_.for_each_view(family, [&](const rules::ServicePortView& view) {
      if (view.protocol == rules::Protocol::kUdp) frontends.upsert(view);
    });
  }
}

void Reconciler::apply(std::vector<objects::ObjectEvent> events) {
  asked_ = asked_ || !events.empty();
  for (const state::ViewChange& change : model_.apply(std::move(events))) {
    // A port of another protocol may have the same name, and its changes say nothing about the UDP one.
    if (change.protocol != rules::Protocol::kUdp) continue;
    state::UdpFrontends& frontends = frontends_[index_of(change.family)];
    sweeps_[index_of(change.family)].now = true;
    if (change.view) {
      frontends.upsert(*change.view);
    } else {
      frontends.erase(change.name);
    }
  }
}

void Reconciler::set_environment(config::Environment environment) {
  model_.set_environment(std::move(environment));
  for (const Family family : rules::kFamilies) {
    frontends_[index_of(family)].set_node_addresses(
        node_port_addresses(model_, family, model_.desired(family).options()));
    host_ports_[index_of(family)].version = 0;
    follow_host_ports(family);
    sweeps_[index_of(family)].now = true;
  }
}

void Reconciler::note(const netlink::TableEvent& event) {
  canary_.note(event);
  if (event.kind == netlink::TableEvent::Kind::kGeneration) {
    last_writer_ = fmt::format("{} ({})", event.process_name, event.process_id);
    return;
  }
  for (const auto& family : families_)
    if (family->note(event)) note_drift(family->family());
}

void Reconciler::note_drift(Family family) {
  std::optional<Clock::time_point>& since = drift_since_[index_of(family)];
  if (!since) since = Clock::now();
}

rules::Status Reconciler::handle_events() {
  auto drained = session_.drain([this](const netlink::TableEvent& event) { note(event); });
  if (!drained) return std::unexpected(drained.error());
  if (!drained->overrun) return {};
  for (const auto& family : families_) {
    family->require_audit(true);
    note_drift(family->family());
  }
  return {};
}

bool Reconciler::held(const Dataplane& family, Clock::time_point now) const {
  return family.only_drift() && held_until_[index_of(family.family())] > now;
}

bool Reconciler::due(Clock::time_point now) const {
  if (asked_ || now >= next_audit_) return true;
  return std::ranges::any_of(families_, [&](const auto& family) {
    if (sweep_due(*family, now)) return true;
    return family->has_work() && !held(*family, now) && retries_[index_of(family->family())].at <= now;
  });
}

Reconciler::Clock::time_point Reconciler::deadline() const {
  if (asked_) return {};  // long ago
  Clock::time_point earliest = next_audit_;
  for (const auto& family : families_) {
    const Sweep& sweep = sweeps_[index_of(family->family())];
    if (sweep.again && may_sweep(*family)) earliest = std::min(earliest, *sweep.again);
    if (!family->has_work()) continue;
    Clock::time_point at = retries_[index_of(family->family())].at;
    if (family->only_drift()) at = std::max(at, held_until_[index_of(family->family())]);
    earliest = std::min(earliest, at);
  }
  return earliest;
}

RoundReport Reconciler::reconcile(bool everything) {
  const Clock::time_point start = Clock::now();
  const std::chrono::nanoseconds kernel_before = session_.kernel_time();
  RoundReport report;
  asked_ = false;
  if (start >= next_audit_) {
    for (const auto& family : families_) family->require_audit(false);
    next_audit_ = start + model_.config().audit_period;
  }
  if (auto handled = handle_events(); !handled) report.problems.push_back(handled.error().to_string());
  for (const auto& family : families_) {
    const std::size_t index = index_of(family->family());
    const bool waits = held(*family, start) || retries_[index].at > start;
    if (family->has_work() && (everything || !waits)) reconcile_family(*family, report);
    report.settled[index] = may_sweep(*family);
    if (sweep_due(*family, start)) sweep_flows(family->family(), start, report);
  }
  report.took = Clock::now() - start;
  report.kernel_time = session_.kernel_time() - kernel_before;
  report.overruns = session_.overruns() - std::exchange(overruns_told_, session_.overruns());
  return report;
}

void Reconciler::reconcile_family(Dataplane& family, RoundReport& report) {
  const std::size_t index = index_of(family.family());
  const Clock::time_point start = Clock::now();
  auto done = family.sync(session_, [this](const netlink::TableEvent& event) { note(event); });
  const Clock::time_point now = Clock::now();
  if (!done) {
    Retry& retry = retries_[index];
    retry.delay = retry.delay == Clock::duration{} ? Clock::duration(kFirstRetry)
                                                   : std::min(Clock::duration(kLongestRetry), retry.delay * 2);
    retry.at = now + retry.delay;
    report.families.push_back({family.family(), {}, done.error(), now - start});
    return;
  }
  follow_host_ports(family.family());
  std::optional<std::chrono::nanoseconds> healed_after;
  if (const auto since = drift_since_[index]; since && !done->healed.empty()) healed_after = now - *since;
  if (!family.has_work()) drift_since_[index].reset();
  retries_[index] = {};
  std::size_t unnamed = 0;
  for (const std::string& chain : done->healed) {
    const std::string name = fmt::format("{} {}", name_of(family.family()), chain);
    if (const auto delay = backoff_.healed(name, now); delay && report.disputes.size() >= kNamedDisputes) {
      ++unnamed;
    } else if (delay) {
      report.disputes.push_back(
          fmt::format("{} is changed again and again, last by {}: healing it waits {} ms from now on", name,
                      last_writer_, std::chrono::duration_cast<std::chrono::milliseconds>(*delay).count()));
    }
    held_until_[index] = std::max(held_until_[index], backoff_.held_until(name));
  }
  if (unnamed != 0)
    report.disputes.push_back(
        fmt::format("{} more chains of {} are changed again and again", unnamed, name_of(family.family())));
  if (!std::exchange(left_over_known_[index], true)) forget_left_over(family);
  if (!alone_[index]) remove_other_mode(family, report);
  if (const auto taken = canary_.take_away(session_, family.family()); !taken)
    report.problems.push_back(taken.error().to_string());
  report.families.push_back({family.family(), std::move(*done), std::nullopt, now - start, healed_after});
}

void Reconciler::forget_left_over(Dataplane& family) {
  for (const iptables::LiveTables::UdpFrontend& frontend : family.found_at_start()) {
    state::UdpFrontends& frontends = frontends_[index_of(family.family())];
    if (frontend.address) {
      frontends.add_removed(*frontend.address, frontend.port);
    } else {
      frontends.add_removed_node_port(frontend.port);
    }
  }
}

void Reconciler::remove_other_mode(Dataplane& family, RoundReport& report) {
  const auto note = [&](const auto& removed) {
    alone_[index_of(family.family())] = removed.has_value();
    // With the next round it is tried again.
    if (!removed) report.problems.push_back(removed.error().to_string());
  };
  if (model_.config().mode == config::Config::Mode::kNftables) {
    note(iptables::remove_all(session_.kernel(), family.family()));
  } else {
    note(iptables::remove_nftables_table(session_.kernel(), family.family()));
  }
}

void Reconciler::follow_host_ports(Family family) {
  const auto& wanted = model_.desired(family).host_ports();
  FollowedHostPorts& followed = host_ports_[index_of(family)];
  if (std::exchange(followed.version, wanted.version()) == wanted.version()) return;
  state::UdpFrontends& frontends = frontends_[index_of(family)];
  std::set<std::string> names;
  for (const auto& [name, chain] : wanted.chains()) {
    for (const auto& mapping : chain.pod.mappings) {
      if (mapping.protocol != rules::Protocol::kUdp) continue;
      // A name that no service port has. To a UDP flow, a host port is a service on the node's addresses.
      rules::ServicePortView view;
      view.name = fmt::format("hostPort {}", to_text(mapping));
      view.protocol = rules::Protocol::kUdp;
      view.port = mapping.host_port;
      view.cluster_ip.family = family;
      if (mapping.host_ip) {
        view.external_ips = {*mapping.host_ip};
      } else {
        for (const rules::Address& address : model_.environment().local_addresses)
          if (address.family == family) view.external_ips.push_back(address);
      }
      rules::Endpoint pod;
      pod.address = chain.pod.address;
      pod.port = mapping.container_port;
      pod.is_serving = true;
      view.endpoints = {pod};
      frontends.upsert(view);
      names.insert(view.name);
    }
  }
  for (const std::string& name : followed.names)
    if (!names.contains(name)) frontends.erase(name);
  followed.names = std::move(names);
  sweeps_[index_of(family)].now = true;
}

bool Reconciler::may_sweep(const Dataplane& family) const {
  return !family.has_work() || family.only_drift();
}

bool Reconciler::sweep_due(const Dataplane& family, Clock::time_point now) const {
  const std::size_t index = index_of(family.family());
  const Sweep& sweep = sweeps_[index];
  const bool changed = sweep.now && frontends_[index].needs_sweep();
  return (changed || (sweep.again && *sweep.again <= now)) && may_sweep(family);
}

void Reconciler::sweep_flows(Family family, Clock::time_point now, RoundReport& report) {
  state::UdpFrontends& frontends = frontends_[index_of(family)];
  Sweep& sweep = sweeps_[index_of(family)];
  const Clock::time_point start = Clock::now();
  auto swept = netlink::host::sweep_conntrack(family, kUdp, [&](const netlink::host::ConntrackFlow& flow) {
    return frontends.is_stale({.original_destination = flow.original_destination,
                               .original_destination_port = flow.original_destination_port,
                               .reply_source = flow.reply_source,
                               .reply_source_port = flow.reply_source_port});
  });
  const bool last = !sweep.now;
  sweep.now = false;
  if (!swept) {
    sweep.again.reset();
    report.problems.push_back(swept.error().to_string());
    return;
  }
  report.conntrack_deleted += swept->deleted;
  report.sweeps.push_back({family, swept->deleted, Clock::now() - start});
  if (last && !swept->interrupted) {
    sweep.again.reset();
    frontends.swept();
  } else {
    sweep.again = now + kSecondSweep;
  }
}

}  // namespace kubenatd::agent::dataplane
