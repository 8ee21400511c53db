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

void UdpFrontends::upsert(const rules::ServicePortView& view) {
  put(view, false);
}

void UdpFrontends::upsert_host_port(const rules::ServicePortView& view) {
  put(view, true);
}

void UdpFrontends::put(const rules::ServicePortView& view, bool is_host_port) {
  if (view.protocol != rules::Protocol::kUdp || view.cluster_ip.family != family_) {
    erase(view.name);
    return;
  }
  Port wanted = port_of(view);
  wanted.is_host_port = is_host_port;
  const auto [place, added] = ports_.try_emplace(view.name);
  Port& port = place->second;
  if (!added && port == wanted) return;
  changed_ = true;
  unlink(port);
  const Port before = std::exchange(port, std::move(wanted));
  link(port);
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

bool UdpFrontends::is_stale(const FlowView& flow, const IsLocal& is_local) const {
  const SocketAddress addressed{flow.original_destination, flow.original_destination_port};
  const SocketAddress answerer{flow.reply_source, flow.reply_source_port};
  bool in_force = false;
  bool served = false;
  bool removed = removed_.contains(addressed);
  const auto ask = [&](const Owners& owners) {
    in_force = true;
    const auto serves = [&](const Port* port) { return std::ranges::binary_search(port->serving, answerer); };
    served = served || std::ranges::any_of(owners, serves);
  };
  if (const auto found = frontends_.find(addressed); found != frontends_.end()) ask(found->second);
  for (const ManyAddresses* many : {&node_ports_, &host_ports_}) {
    const auto found = many->ports.find(addressed.port);
    const bool was = many->removed.contains(addressed.port);
    if (found == many->ports.end() && !was) continue;
    const NodeAddresses::Has has = many->addresses.has(addressed.address);
    if (has == NodeAddresses::Has::kNo) continue;
    if (has == NodeAddresses::Has::kByPrefix && is_local && !is_local(addressed.address)) continue;
    if (found != many->ports.end()) ask(found->second);
    removed = removed || was;
  }
  if (in_force) return !served;
  return removed && answerer != addressed;
}

}  // namespace kubenatd::agent::state
