#include "rules/nftables/desired.h"

#include <algorithm>
#include <utility>

#include "rules/nftables/emit.h"

namespace kubenatd::rules::nftables {
namespace {

std::vector<Backend> backends(const ServicePortView& view, bool local) {
  std::vector<Backend> chosen;
  for (const Endpoint& endpoint : view.endpoints)
    if (local ? endpoint.for_local : endpoint.for_cluster) chosen.push_back({endpoint.address, endpoint.port});
  const std::size_t most = local ? kMaxLocalEndpoints : kMaxEndpoints;
  if (chosen.size() > most) chosen.resize(most);
  return chosen;
}

/// Numbers that have different endpoints in the two lists.
std::vector<std::uint32_t> differing(const std::vector<Backend>& one, const std::vector<Backend>& other) {
  std::vector<std::uint32_t> numbers;
  const std::size_t common = std::min(one.size(), other.size());
  const std::size_t all = std::max(one.size(), other.size());
  for (std::size_t i = 0; i < all; ++i)
    if (i >= common || one[i] != other[i]) numbers.push_back(static_cast<std::uint32_t>(i));
  return numbers;
}

/// Endpoints of this node that may reach themselves.
std::vector<Address> hairpins(const ServicePortView& view) {
  std::vector<Address> addresses;
  for (const Endpoint& endpoint : view.endpoints)
    if (endpoint.is_local && (endpoint.reachable || endpoint.for_cluster || endpoint.for_local))
      addresses.push_back(endpoint.address);
  return addresses;
}

/// Everything but the endpoints is the same.
bool same_shape(const ServicePortView& one, const ServicePortView& other) {
  return one.cluster_ip == other.cluster_ip && one.has_endpoints == other.has_endpoints && one.port == other.port &&
         one.node_port == other.node_port && one.internal_policy_local == other.internal_policy_local &&
         one.external_policy_local == other.external_policy_local && one.affinity_seconds == other.affinity_seconds &&
         one.external_ips == other.external_ips && one.load_balancer_ips == other.load_balancer_ips &&
         one.source_ranges == other.source_ranges;
}

std::uint32_t hash_of(std::string_view text) {
  std::uint32_t hash = 2166136261U;  // FNV-1a: the same in every run
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return hash;
}

}  // namespace

DesiredElements::DesiredElements(RulesetOptions options) : options_(std::move(options)) {
  node_port_addresses(1);
}

void DesiredElements::set_options(RulesetOptions options) {
  if (options == options_) return;
  const bool ranges = options.node.node_address != options_.node.node_address;
  if (ranges)
    for (const PortEntry& entry : ports_)
      for (const Frontend& frontend : frontends_of(entry.second.view)) retract_frontend(entry, frontend, nullptr);
  node_port_addresses(-1);
  options_ = std::move(options);
  node_port_addresses(1);
  if (ranges)
    for (const PortEntry& entry : ports_)
      for (const Frontend& frontend : frontends_of(entry.second.view)) assert_frontend(entry, frontend, nullptr);
  ruleset_changed_ = true;
}

void DesiredElements::node_port_addresses(int by) {
  if (!options_.node.node_port_addresses) return;
  for (const Address& address : *options_.node.node_port_addresses) {
    if (address.family != options_.node.family || address.is_loopback()) continue;
    ElementKey key{{SetId::kNodePortAddresses}, {}, 0};
    key.key.address(address);
    count(key, by);
  }
}

void DesiredElements::upsert(ServicePortView view) {
  PortKey key{view.name, view.protocol};
  const auto [found, fresh] = ports_.try_emplace(std::move(key));
  PortEntry& entry = *found;
  if (!fresh && !entry.second.refused && entry.second.view == view) return;
  Port next;
  next.comment = entry.second.comment;
  if (!next.comment) next.comment = std::make_shared<const std::string>(view.name.substr(0, kMaxComment));
  next.cluster = keep_places(entry.second.cluster, backends(view, false));
  next.local = keep_places(entry.second.local, backends(view, true));
  next.view = std::move(view);
  if (fresh) entry.second.refused = true;  // nothing of it is there
  replace(entry, std::move(next));
}

void DesiredElements::erase(const PortKey& key) {
  refuse(key);
  ports_.erase(key);
}

void DesiredElements::refuse(const PortKey& key) {
  const auto found = ports_.find(key);
  if (found == ports_.end() || found->second.refused) return;
  Port next = found->second;
  next.refused = true;
  replace(*found, std::move(next));
}

void DesiredElements::set_host_ports(const std::vector<hostport::PodPorts>& pods) {
  HostPortElements next = emit_host_ports(pods);
  for (const auto& [key, forward] : host_ports_.forwards) retract(key, forward.value);
  for (const auto& [key, forward] : next.forwards) assert_element(key, forward.value);
  // What stays is counted twice for a moment, so that it does not go and come.
  for (const ElementKey& pair : next.masqueraded) count(pair, 1);
  for (const ElementKey& pair : host_ports_.masqueraded) count(pair, -1);
  host_ports_ = std::move(next);
}

std::optional<std::string> DesiredElements::host_port_owner_of(const ElementKey& element) const {
  const auto found = host_ports_.forwards.find(element);
  if (found == host_ports_.forwards.end()) return std::nullopt;
  return found->second.pod;
}

void DesiredElements::replace(PortEntry& entry, Port next) {
  Port& present = entry.second;
  const bool was = !present.refused;
  const bool is = !next.refused;
  if (was && present.view.affinity_seconds && !(is && next.cluster == present.cluster && next.local == present.local))
    forgotten_ = true;

  if (was && is && same_shape(present.view, next.view)) {
    const Touched touched{differing(present.cluster, next.cluster), differing(present.local, next.local)};
    const std::vector<Frontend> frontends = frontends_of(present.view);
    for (const Frontend& frontend : frontends) retract_frontend(entry, frontend, &touched);
    const std::vector<Address> before = hairpins(present.view), after = hairpins(next.view);
    next.cluster_id = present.cluster_id;
    next.local_id = present.local_id;
    present = std::move(next);
    for (const Frontend& frontend : frontends) assert_frontend(entry, frontend, &touched);
    if (before != after) {
      for (const Address& address : after) count(hairpin(address), 1);
      for (const Address& address : before) count(hairpin(address), -1);
    }
    return;
  }
  if (was) {
    for (const Frontend& frontend : frontends_of(present.view)) release(entry, frontend);
    count_port(entry, -1);
    give_ids(entry);
  }
  present = std::move(next);
  if (is) {
    take_ids(entry);
    count_port(entry, 1);
    for (const Frontend& frontend : frontends_of(present.view)) claim(entry, frontend);
  }
}

void DesiredElements::claim(PortEntry& entry, const Frontend& frontend) {
  std::vector<PortEntry*>& claims = claims_[frontend];
  const auto place = std::ranges::find_if(claims, [&](const PortEntry* other) { return entry.first < other->first; });
  const bool first = place == claims.begin();
  if (first && !claims.empty()) retract_frontend(*claims.front(), frontend, nullptr);
  claims.insert(place, &entry);
  if (first) assert_frontend(entry, frontend, nullptr);
}

void DesiredElements::release(PortEntry& entry, const Frontend& frontend) {
  const auto found = claims_.find(frontend);
  if (found == claims_.end()) return;
  const bool first = found->second.front() == &entry;
  if (first) retract_frontend(entry, frontend, nullptr);
  std::erase(found->second, &entry);
  if (found->second.empty()) {
    claims_.erase(found);
  } else if (first) {
    assert_frontend(*found->second.front(), frontend, nullptr);
  }
}

void DesiredElements::emit_frontend(const PortEntry& entry, const Frontend& frontend, const Touched* touched,
                                    const ElementVisitor& visit) const {
  const Port& port = entry.second;
  const FrontendInput input{
      .view = port.view,
      .options = options_,
      .frontend = frontend,
      .comment = port.comment,
      .cluster = {port.cluster, touched != nullptr ? &touched->cluster : nullptr, port.cluster_id},
      .local = {port.local, touched != nullptr ? &touched->local : nullptr, port.local_id}};
  emit(input, visit);
}

void DesiredElements::retract_frontend(const PortEntry& entry, const Frontend& frontend, const Touched* touched) {
  const auto claims = claims_.find(frontend);
  if (claims == claims_.end() || claims->second.front() != &entry) return;
  emit_frontend(entry, frontend, touched,
                [this](const ElementKey& key, const ElementValue& value) { retract(key, value); });
}

void DesiredElements::assert_frontend(const PortEntry& entry, const Frontend& frontend, const Touched* touched) {
  const auto claims = claims_.find(frontend);
  if (claims == claims_.end() || claims->second.front() != &entry) return;
  emit_frontend(entry, frontend, touched,
                [this](const ElementKey& key, const ElementValue& value) { assert_element(key, value); });
}

void DesiredElements::retract(const ElementKey& key, const ElementValue& value) {
  if (!follows_) return;
  const auto [change, fresh] = changes_.try_emplace(key);
  if (fresh) change->second.before = value;
  change->second.after.reset();
  if (!change->second.before) changes_.erase(change);
}

void DesiredElements::assert_element(const ElementKey& key, const ElementValue& value) {
  if (!follows_) return;
  const auto [change, fresh] = changes_.try_emplace(key);
  change->second.after = value;
  if (change->second.before == change->second.after) changes_.erase(change);
}

void DesiredElements::count(const ElementKey& key, int by) {
  if (by > 0) {
    if (counts_[key]++ == 0) assert_element(key, {});
    return;
  }
  const auto found = counts_.find(key);
  if (found == counts_.end() || --found->second != 0) return;
  counts_.erase(found);
  retract(key, {});
}

void DesiredElements::count_port(const PortEntry& entry, int by) {
  const Port& port = entry.second;
  ElementKey cluster_ip{{SetId::kClusterIps}, {}, 0};
  cluster_ip.key.address(port.view.cluster_ip);
  count(cluster_ip, by);
  for (const Address& address : hairpins(port.view)) count(hairpin(address), by);
  if (!port.view.affinity_seconds) return;
  for (const std::uint32_t id : {port.cluster_id, port.local_id}) {
    ElementKey key{{SetId::kTimeout, *port.view.affinity_seconds}, {}, 0};
    key.key.number(id);
    count(key, by);
  }
  std::uint32_t& users = timeouts_[*port.view.affinity_seconds];
  users += static_cast<std::uint32_t>(by);
  if (users == 0 || (users == 1 && by > 0)) ruleset_changed_ = true;
  if (users == 0) timeouts_.erase(*port.view.affinity_seconds);
}

std::uint32_t DesiredElements::take_id(PortEntry& entry, bool local) {
  const std::string text =
      entry.first.first + '/' + std::string(rules::name_of(entry.first.second)) + (local ? "/local" : "");
  std::uint32_t id = hash_of(text);
  // 0 and 0xffffffff are "none" and "root" to the kernel's packet schedulers.
  while (id == 0 || id == 0xffffffffU || ids_.contains(id)) ++id;
  ids_[id] = {&entry, local};
  return id;
}

void DesiredElements::take_ids(PortEntry& entry) {
  if (!entry.second.view.affinity_seconds) return;
  entry.second.cluster_id = take_id(entry, false);
  entry.second.local_id = take_id(entry, true);
}

void DesiredElements::give_ids(PortEntry& entry) {
  ids_.erase(std::exchange(entry.second.cluster_id, 0));
  ids_.erase(std::exchange(entry.second.local_id, 0));
}

Ruleset DesiredElements::ruleset() const {
  std::vector<std::uint32_t> timeouts;
  for (const auto& [timeout, users] : timeouts_) timeouts.push_back(timeout);
  return compile_ruleset(options_, timeouts);
}

void DesiredElements::for_each_element(const std::function<bool(const SetRef&)>& wanted,
                                       const ElementVisitor& visit) const {
  for (const auto& [key, users] : counts_)
    if (wanted(key.set)) visit(key, {});
  for (const auto& [key, forward] : host_ports_.forwards)
    if (wanted(key.set)) visit(key, forward.value);
  for (const auto& [frontend, claims] : claims_)
    emit_frontend(*claims.front(), frontend, nullptr, [&](const ElementKey& key, const ElementValue& value) {
      if (wanted(key.set)) visit(key, value);
    });
}

void DesiredElements::committed() {
  changes_.clear();
  follows_ = true;
  ruleset_changed_ = false;
}

void DesiredElements::adopt_order(const std::function<std::optional<Bytes<kDataCapacity>>(const ElementKey&)>& live) {
  for (PortEntry& entry : ports_) {
    Port& port = entry.second;
    if (port.refused) continue;
    for (const bool local : {false, true}) {
      std::vector<Backend>& list = local ? port.local : port.cluster;
      const auto endpoints = endpoint_element(port.view, local);
      if (list.size() < 2 || !endpoints) continue;
      std::map<Bytes<kDataCapacity>, Backend> by_value;
      for (const Backend& backend : list) by_value.emplace(endpoint_value(backend), backend);
      std::vector<Backend> order;
      for (std::uint32_t i = 0; i < list.size(); ++i) {
        ElementKey key = *endpoints;
        key.key.number(i);
        const auto value = live(key);
        const auto known = value ? by_value.find(*value) : by_value.end();
        if (known == by_value.end()) continue;
        order.push_back(known->second);
        by_value.erase(known);
      }
      list = keep_places(std::move(order), list);
    }
  }
}

bool DesiredElements::is_sticky_backend(std::uint32_t sticky_id, const Backend& backend) const {
  const auto found = ids_.find(sticky_id);
  if (found == ids_.end()) return false;
  const Port& port = found->second.entry->second;
  const std::vector<Backend>& list = found->second.local ? port.local : port.cluster;
  return std::ranges::find(list, backend) != list.end();
}

std::optional<DesiredElements::PortKey> DesiredElements::owner_of(const ElementKey& element) const {
  for (const auto& [frontend, claims] : claims_) {
    bool found = false;
    emit_frontend(*claims.front(), frontend, nullptr,
                  [&](const ElementKey& key, const ElementValue& /*value*/) { found = found || key == element; });
    if (found) return claims.front()->first;
  }
  return std::nullopt;
}

void DesiredElements::for_each_view(const std::function<void(const ServicePortView&)>& visit) const {
  for (const auto& [key, port] : ports_) visit(port.view);
}

}  // namespace kubenatd::rules::nftables
