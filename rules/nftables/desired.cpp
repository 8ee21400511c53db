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
  const auto all = [&](const ElementVisitor& visit) {
    claims_.for_each_owner([&](const Frontend& frontend, const PortEntry& owner) {
      emit_frontend(owner, frontend, owner.second.state.lists, nullptr, visit);
    });
  };
  if (ranges) all(retracting());
  node_port_addresses(-1);
  options_ = std::move(options);
  node_port_addresses(1);
  if (ranges) all(asserting());
  options_changed_ = true;
}

void DesiredElements::node_port_addresses(int by) {
  if (!options_.node.node_port_addresses) return;
  for (const Address& address : *options_.node.node_port_addresses) {
    if (address.family != options_.node.family || (address.is_loopback() && !options_.node.localhost_node_ports))
      continue;
    ElementKey key{{SetId::kNodePortAddresses}, {}, 0};
    key.key.address(address);
    count(key, by);
  }
}

void DesiredElements::upsert(ServicePortView view) {
  const auto [entry, is_new] = ports_.place_for(view);
  if (entry == nullptr) return;
  const PortState& present = entry->second.state;
  Port next;
  next.state.lists.cluster = keep_places(present.lists.cluster, backends(view, false));
  next.state.lists.local = keep_places(present.lists.local, backends(view, true));
  next.view = std::move(view);
  if (is_new) entry->second.refused = true;  // nothing of it is there
  replace(*entry, std::move(next));
}

void DesiredElements::erase(const PortKey& key) {
  refuse(key);
  const PortEntry* entry = ports_.find(key);
  if (entry == nullptr) return;
  for (const Frontend& frontend : frontends_of(entry->second.view)) claims_.remove(frontend, *entry);
  ports_.erase(key);
}

void DesiredElements::refuse(const PortKey& key) {
  PortEntry* entry = ports_.find(key);
  if (entry == nullptr || entry->second.refused) return;
  Port next = entry->second;
  next.refused = true;
  replace(*entry, std::move(next));
}

void DesiredElements::readmit(const PortKey& key) {
  PortEntry* entry = ports_.find(key);
  if (entry == nullptr || !entry->second.refused) return;
  Port next = entry->second;
  next.refused = false;
  replace(*entry, std::move(next));
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

std::vector<DesiredElements::Handover> DesiredElements::move_claims(PortEntry& entry, const Port& next) {
  const std::vector<Frontend> wanted = frontends_of(next.view);
  std::vector<Handover> handovers;
  const auto concern = [&](const Frontend& frontend) -> Handover& {
    return handovers.emplace_back(frontend, claims_.owner_of(frontend));
  };
  for (const Frontend& frontend : frontends_of(entry.second.view)) {
    if (std::ranges::find(wanted, frontend) != wanted.end()) continue;
    Handover& handover = concern(frontend);
    claims_.remove(frontend, entry);
    handover.to = claims_.owner_of(frontend);
  }
  const Reach reach{.cluster = !next.state.lists.cluster.empty(), .local = !next.state.lists.local.empty()};
  for (const Frontend& frontend : wanted) {
    Handover& handover = concern(frontend);
    claims_.put(frontend, entry, next.refused ? Usability::kRefused : usability_of(next.view, frontend, reach));
    handover.to = claims_.owner_of(frontend);
  }
  return handovers;
}

void DesiredElements::replace(PortEntry& entry, Port next) {
  Port& present = entry.second;
  const bool was = !present.refused;
  const bool is = !next.refused;
  const Lists& before = present.state.lists;
  const Lists& after = next.state.lists;
  const bool endpoints_alone = was && is && same_shape(present.view, next.view);
  Touched touched;
  if (endpoints_alone) touched = {differing(before.cluster, after.cluster), differing(before.local, after.local)};
  const std::vector<Handover> handovers = move_claims(entry, next);
  const auto touched_of = [&](const Handover& handover) {
    return endpoints_alone && handover.from == handover.to ? &touched : nullptr;
  };
  for (const Handover& handover : handovers)
    if (handover.from != nullptr && (handover.from != handover.to || handover.from == &entry))
      emit_frontend(*handover.from, handover.frontend, handover.from->second.state.lists, touched_of(handover),
                    retracting());
  if (endpoints_alone) {
    const std::vector<Address> old_pairs = hairpins(present.view), new_pairs = hairpins(next.view);
    if (old_pairs != new_pairs) {
      for (const Address& address : new_pairs) count(hairpin(address), 1);
      for (const Address& address : old_pairs) count(hairpin(address), -1);
    }
    next.state.cluster_id = present.state.cluster_id;
    next.state.local_id = present.state.local_id;
    present = std::move(next);
  } else {
    if (was) {
      count_port(entry, -1);
      release_ids(entry);
    }
    present = std::move(next);
    if (is) {
      take_ids(entry);
      count_port(entry, 1);
    }
  }
  for (const Handover& handover : handovers)
    if (handover.to != nullptr && (handover.from != handover.to || handover.to == &entry))
      emit_frontend(*handover.to, handover.frontend, handover.to->second.state.lists, touched_of(handover),
                    asserting());
}

void DesiredElements::emit_frontend(const PortEntry& entry, const Frontend& frontend, const Lists& lists,
                                    const Touched* touched, const ElementVisitor& visit) const {
  const PortState& state = entry.second.state;
  const FrontendInput input{
      .view = entry.second.view,
      .options = options_,
      .frontend = frontend,
      .comment = std::make_shared<const std::string>(entry.second.view.name.substr(0, kMaxComment)),
      .cluster = {lists.cluster, touched != nullptr ? &touched->cluster : nullptr, state.cluster_id},
      .local = {lists.local, touched != nullptr ? &touched->local : nullptr, state.local_id}};
  emit(input, visit);
}

void DesiredElements::count_use(const ElementKey& key, int by) {
  if (key.set.id == SetId::kFirewalled) firewalled_ += static_cast<std::uint32_t>(by);
  const auto way = way_of(key.set.id, SetId::kLarger);
  if (!way) return;
  const auto size = std::ranges::find(kSizes, key.set.number) - kSizes.begin();
  larger_[*way][static_cast<std::size_t>(size)] += static_cast<std::uint32_t>(by);
}

void DesiredElements::retract(const ElementKey& key, const ElementValue& value) {
  count_use(key, -1);
  if (!follows_) return;
  const auto [change, fresh] = changes_.try_emplace(key);
  if (fresh) change->second.before = value;
  change->second.after.reset();
  if (!change->second.before) changes_.erase(change);
}

void DesiredElements::assert_element(const ElementKey& key, const ElementValue& value) {
  count_use(key, 1);
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
  const PortState& state = port.state;
  if (has_cluster_ip(port.view)) {
    ElementKey cluster_ip{{SetId::kClusterIps}, {}, 0};
    cluster_ip.key.address(port.view.cluster_ip);
    count(cluster_ip, by);
  }
  for (const Address& address : hairpins(port.view)) count(hairpin(address), by);
  if (!port.view.affinity_seconds) return;
  for (const std::uint32_t id : {state.cluster_id, state.local_id}) {
    ElementKey key{{SetId::kTimeout, *port.view.affinity_seconds}, {}, 0};
    key.key.number(id);
    count(key, by);
  }
  std::uint32_t& users = timeouts_[*port.view.affinity_seconds];
  users += static_cast<std::uint32_t>(by);
  if (users == 0) timeouts_.erase(*port.view.affinity_seconds);
}

std::uint32_t DesiredElements::take_id(const PortEntry& entry, bool local) {
  const std::string text =
      entry.first.first + '/' + std::string(rules::name_of(entry.first.second)) + (local ? "/local" : "");
  // Below kOwn, and no 0, which is "none".
  std::uint32_t id = hash_of(text) % kOwn;
  while (id == 0 || ids_.contains(id)) id = (id + 1) % kOwn;
  ids_.insert(id);
  return id;
}

void DesiredElements::take_ids(PortEntry& entry) {
  if (!entry.second.view.affinity_seconds) return;
  entry.second.state.cluster_id = take_id(entry, false);
  entry.second.state.local_id = take_id(entry, true);
}

void DesiredElements::release_ids(PortEntry& entry) {
  ids_.erase(std::exchange(entry.second.state.cluster_id, 0));
  ids_.erase(std::exchange(entry.second.state.local_id, 0));
}

InUse DesiredElements::in_use() const {
  InUse in_use;
  for (const auto& [timeout, users] : timeouts_) in_use.timeouts.push_back(timeout);
  for (std::size_t way = 0; way < kWayCount; ++way)
    while (in_use.sizes[way] < kAllSizes[way] && larger_[way][in_use.sizes[way] - 1] != 0) ++in_use.sizes[way];
  in_use.source_ranges = firewalled_ != 0;
  return in_use;
}

void DesiredElements::for_each_element(const SetFilter& wanted, const ElementVisitor& visit) const {
  for_each_element(wanted, visit, {});
}

void DesiredElements::for_each_element(const SetFilter& wanted, const ElementVisitor& visit, const AsIf& as_if) const {
  const HostPortElements& host_ports = as_if.host_ports != nullptr ? *as_if.host_ports : host_ports_;
  for (const auto& [key, users] : counts_) {
    // Host ports count, too: without those that are not looked at.
    const std::uint32_t others = as_if.host_ports != nullptr && host_ports_.masqueraded.contains(key) ? 1 : 0;
    if (users > others && wanted(key.set)) visit(key, {});
  }
  if (as_if.host_ports != nullptr)
    for (const ElementKey& pair : host_ports.masqueraded) {
      const auto counted = counts_.find(pair);
      const bool told =
          counted != counts_.end() && counted->second > (host_ports_.masqueraded.contains(pair) ? 1U : 0U);
      if (!told && wanted(pair.set)) visit(pair, {});
    }
  for (const auto& [key, forward] : host_ports.forwards)
    if (wanted(key.set)) visit(key, forward.value);
  const auto filtered = [&](const ElementKey& key, const ElementValue& value) {
    if (wanted(key.set)) visit(key, value);
  };
  claims_.for_each_owner([&](const Frontend& frontend, const PortEntry& entry) {
    if (as_if.order) {
      emit_frontend(entry, frontend, in_live_order(entry, as_if.order), nullptr, filtered);
    } else {
      emit_frontend(entry, frontend, entry.second.state.lists, nullptr, filtered);
    }
  });
}

void DesiredElements::committed() {
  changes_.clear();
  follows_ = true;
  options_changed_ = false;
  committed_ = in_use();
}

DesiredElements::Lists DesiredElements::in_live_order(const PortEntry& entry, const LiveData& live) const {
  const Port& port = entry.second;
  Lists lists = port.state.lists;
  // What is there of the other frontends tells of others' endpoints.
  const auto has = [&](const Frontend& frontend) { return claims_.owner_of(frontend) == &entry; };
  for (const bool local : {false, true}) {
    std::vector<Backend>& list = local ? lists.local : lists.cluster;
    const auto endpoints = list.size() < 2 ? std::nullopt : endpoint_element(port.view, local, has);
    if (!endpoints) continue;
    std::map<Bytes<kDataCapacity>, Backend> by_value;
    for (const Backend& backend : list) by_value.emplace(endpoint_value(backend), backend);
    std::vector<Backend> order;
    for (std::uint32_t i = 0; i < list.size(); ++i) {
      ElementKey key = *endpoints;
      key.key.number(first_number(key.set.id) + i);
      const auto value = live(key);
      const auto known = value ? by_value.find(*value) : by_value.end();
      if (known == by_value.end()) continue;
      order.push_back(known->second);
      by_value.erase(known);
    }
    list = keep_places(std::move(order), list);
  }
  return lists;
}

void DesiredElements::adopt_order(const LiveData& live) {
  for (PortEntry& entry : ports_)
    if (!entry.second.refused) entry.second.state.lists = in_live_order(entry, live);
}

std::optional<DesiredElements::PortKey> DesiredElements::owner_of(const ElementKey& element) const {
  std::optional<PortKey> owner;
  claims_.for_each_owner([&](const Frontend& frontend, const PortEntry& entry) {
    if (owner) return;
    emit_frontend(entry, frontend, entry.second.state.lists, nullptr,
                  [&](const ElementKey& key, const ElementValue& /*value*/) {
                    if (key == element) owner = entry.first;
                  });
  });
  return owner;
}

const ServicePortView* DesiredElements::view_of(const PortKey& key) const {
  const PortEntry* entry = ports_.find(key);
  return entry == nullptr ? nullptr : &entry->second.view;
}

void DesiredElements::for_each_view(const std::function<void(const ServicePortView&)>& visit) const {
  for (const PortEntry& entry : ports_)
    if (!entry.second.refused) visit(entry.second.view);
}

}  // namespace kubenatd::rules::nftables
