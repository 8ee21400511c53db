#include "agent/state/stale_flows.h"

#include <algorithm>
#include <utility>

namespace kubenatd::agent::state {
namespace {

template <class T>
void sort_unique(std::vector<T>& values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  values.shrink_to_fit();
}

template <class Map, class Key, class Owner>
void remove_owner(Map& map, const Key& key, const Owner* owner) {
  const auto found = map.find(key);
  if (found == map.end()) return;
  std::erase(found->second, owner);
  if (found->second.empty()) map.erase(found);
}

}  // namespace

NodeAddresses::NodeAddresses(rules::Family family, std::span<const rules::Address> addresses,
                             std::span<const rules::Prefix> prefixes) {
  for (const rules::Address& address : addresses) {
    if (address.family != family) continue;
    addresses_.insert(address);
    // Every address of 127.0.0.0/8 is local (RFC 1122); of IPv6 only ::1 is, and that is in the list itself.
    loopback_ = loopback_ || (family == rules::Family::kIpv4 && address.is_loopback());
  }
  for (const rules::Prefix& prefix : prefixes) {
    if (prefix.address.family != family) continue;
    if (prefix.length == rules::bits_of(family)) {
      addresses_.insert(prefix.address);
    } else {
      prefixes_.push_back(prefix);
    }
  }
  sort_unique(prefixes_);
}

NodeAddresses::Has NodeAddresses::has(const rules::Address& address) const {
  if (addresses_.contains(address) || (loopback_ && address.is_loopback())) return Has::kYes;
  const bool in_prefix =
      std::ranges::any_of(prefixes_, [&](const rules::Prefix& prefix) { return prefix.contains(address); });
  return in_prefix ? Has::kByPrefix : Has::kNo;
}

UdpFrontends::Port UdpFrontends::port_of(const rules::ServicePortView& view) const {
  Port port;
  port.node_port = view.node_port;
  port.is_filtered = !view.source_ranges.empty();
  const rules::Reach reach = rules::reach_of(view);
  port.external = rules::usability_of(view, {std::nullopt, view.protocol, view.node_port}, reach);
  if (has_cluster_ip(view)) {
    port.cluster_ip = SocketAddress{view.cluster_ip, view.port};
    port.internal = rules::usability_of(view, {view.cluster_ip, view.protocol, view.port}, reach);
  }
  const auto add_frontend = [&](const rules::Address& address) {
    if (address.family == family_) port.frontends.push_back({address, view.port});
  };
  if (has_cluster_ip(view)) add_frontend(view.cluster_ip);
  std::ranges::for_each(view.external_ips, add_frontend);
  std::ranges::for_each(view.load_balancer_ips, add_frontend);
  for (const rules::Endpoint& endpoint : view.endpoints)
    if (endpoint.is_serving) port.serving.push_back({endpoint.address, endpoint.port});
  sort_unique(port.frontends);
  sort_unique(port.serving);
  return port;
}

void UdpFrontends::link(const Port& port) {
  for (const SocketAddress& frontend : port.frontends) {
    frontends_[frontend].push_back(&port);
    removed_.erase(frontend);
  }
  if (port.node_port != 0) {
    ManyAddresses& many = many_of(port);
    many.ports[port.node_port].push_back(&port);
    many.removed.erase(port.node_port);
  }
}

void UdpFrontends::unlink(const Port& port) {
  for (const SocketAddress& frontend : port.frontends) remove_owner(frontends_, frontend, &port);
  if (port.node_port != 0) remove_owner(many_of(port).ports, port.node_port, &port);
}

void UdpFrontends::remember_removed(const Port& port) {
  for (const SocketAddress& frontend : port.frontends) add_removed(frontend.address, frontend.port);
  add_removed(many_of(port), port.node_port);
}

bool UdpFrontends::is_contested(const Port& port) const {
  const auto shared = [](const auto& map, const auto& key) {
    const auto found = map.find(key);
    return found != map.end() && found->second.size() > 1;
  };
  return shared(port.is_host_port ? host_ports_.ports : node_ports_.ports, port.node_port) ||
         std::ranges::any_of(port.frontends, [&](const SocketAddress& one) { return shared(frontends_, one); });
}

void UdpFrontends::upsert(const rules::ServicePortView& view, Claimant claimant) {
  if (view.protocol != rules::Protocol::kUdp || view.cluster_ip.family != family_) {
    erase(view.name);
    return;
  }
  Port wanted = port_of(view);
  wanted.is_host_port = claimant == Claimant::kHostPort;
  const auto [place, added] = ports_.try_emplace(view.name);
  wanted.name = place->first;
  Port& port = place->second;
  if (!added && port == wanted) return;
  const bool same_flows = !added && port.frontends == wanted.frontends && port.serving == wanted.serving &&
                          port.node_port == wanted.node_port;
  unlink(port);
  const Port before = std::exchange(port, std::move(wanted));
  link(port);
  // What only decides between several claimants makes no flow stale where there is one.
  changed_ = changed_ || !same_flows || is_contested(port);
  remember_removed(before);
}

void UdpFrontends::erase(std::string_view name) {
  const auto found = ports_.find(name);
  if (found == ports_.end()) return;
  changed_ = true;
  unlink(found->second);
  const Port before = std::move(found->second);
  ports_.erase(found);
  remember_removed(before);
}

void UdpFrontends::add_removed(const rules::Address& address, std::uint16_t port) {
  if (address.family != family_ || removed_.size() >= kMostRemoved) return;
  const SocketAddress frontend{address, port};
  if (!frontends_.contains(frontend) && removed_.insert(frontend).second) changed_ = true;
}

void UdpFrontends::add_removed_node_port(std::uint16_t port) {
  add_removed(node_ports_, port);
}

void UdpFrontends::add_removed_host_port(std::uint16_t port) {
  add_removed(host_ports_, port);
}

void UdpFrontends::add_removed(ManyAddresses& many, std::uint16_t port) {
  if (port == 0 || many.ports.contains(port)) return;
  if (many.removed.insert(port).second) changed_ = true;
}

void UdpFrontends::set_node_addresses(NodeAddresses addresses) {
  set_addresses(node_ports_, std::move(addresses));
}

void UdpFrontends::set_local(NodeAddresses local) {
  set_addresses(host_ports_, std::move(local));
}

void UdpFrontends::set_addresses(ManyAddresses& many, NodeAddresses addresses) {
  if (addresses == many.addresses) return;
  many.addresses = std::move(addresses);
  if (!many.ports.empty() || !many.removed.empty()) changed_ = true;
}

bool UdpFrontends::needs_sweep() const {
  return changed_ &&
         !(ports_.empty() && removed_.empty() && node_ports_.removed.empty() && host_ports_.removed.empty());
}

void UdpFrontends::swept() {
  changed_ = false;
  removed_.clear();
  node_ports_.removed.clear();
  host_ports_.removed.clear();
}

bool UdpFrontends::may_lead_to(const SocketAddress& endpoint, const Owners& claimants,
                               const SocketAddress* frontend) const {
  const auto serves = [&](const Port* port) { return std::ranges::binary_search(port->serving, endpoint); };
  if (claimants.size() == 1) return serves(claimants.front());
  const auto usability = [&](const Port* port) {
    return frontend != nullptr && port->cluster_ip == *frontend ? port->internal : port->external;
  };
  Owners services;
  for (const Port* port : claimants) {
    if (!port->is_host_port) {
      services.push_back(port);
    } else if (serves(port)) {
      return true;  // no Service may have had an endpoint for it
    }
  }
  if (services.empty()) return false;
  if (precedence_ == Precedence::kOneOwner)
    return serves(*std::ranges::min_element(services, {},
                                            [&](const Port* port) { return std::pair(usability(port), port->name); }));
  std::ranges::sort(services, {}, &Port::name);
  for (const Port* port : services) {
    if (serves(port)) return true;
    if (usability(port) == rules::Usability::kUsable && !port->is_filtered) return false;
  }
  return false;
}

bool UdpFrontends::is_stale(const FlowView& flow, const IsLocal& is_local) const {
  const SocketAddress addressed{flow.original_destination, flow.original_destination_port};
  const SocketAddress answerer{flow.reply_source, flow.reply_source_port};
  bool in_force = false;
  bool served = false;
  bool removed = removed_.contains(addressed);
  if (const auto found = frontends_.find(addressed); found != frontends_.end()) {
    in_force = true;
    served = may_lead_to(answerer, found->second, &addressed);
  }
  for (const ManyAddresses* many : {&node_ports_, &host_ports_}) {
    const auto found = many->ports.find(addressed.port);
    const bool was = many->removed.contains(addressed.port);
    if (found == many->ports.end() && !was) continue;
    const NodeAddresses::Has has = many->addresses.has(addressed.address);
    if (has == NodeAddresses::Has::kNo) continue;
    if (has == NodeAddresses::Has::kByPrefix && is_local && !is_local(addressed.address)) continue;
    if (found != many->ports.end()) {
      in_force = true;
      served = served || may_lead_to(answerer, found->second, nullptr);
    }
    removed = removed || was;
  }
  if (in_force) return !served;
  return removed && answerer != addressed;
}

}  // namespace kubenatd::agent::state
