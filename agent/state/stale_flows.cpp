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
    node_ports_[port.node_port].push_back(&port);
    removed_node_ports_.erase(port.node_port);
  }
}

void UdpFrontends::unlink(const Port& port) {
  for (const SocketAddress& frontend : port.frontends) remove_owner(frontends_, frontend, &port);
  if (port.node_port != 0) remove_owner(node_ports_, port.node_port, &port);
}

void UdpFrontends::remember_removed(const Port& port) {
  for (const SocketAddress& frontend : port.frontends) add_removed(frontend.address, frontend.port);
  if (port.node_port != 0) add_removed_node_port(port.node_port);
}

void UdpFrontends::upsert(const rules::ServicePortView& view) {
  if (view.protocol != rules::Protocol::kUdp || view.cluster_ip.family != family_) {
    erase(view.name);
    return;
  }
  Port wanted = port_of(view);
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
  if (port == 0 || node_ports_.contains(port)) return;
  if (removed_node_ports_.insert(port).second) changed_ = true;
}

void UdpFrontends::set_node_addresses(std::span<const rules::Address> addresses) {
  std::unordered_set<rules::Address> wanted;
  bool loopback = false;
  for (const rules::Address& address : addresses) {
    if (address.family != family_) continue;
    wanted.insert(address);
    // Every address of 127.0.0.0/8 is local (RFC 1122); of IPv6 only ::1 is, and that is in the list itself.
    loopback = loopback || (family_ == rules::Family::kIpv4 && address.is_loopback());
  }
  if (wanted == node_addresses_) return;
  node_addresses_ = std::move(wanted);
  node_loopback_ = loopback;
  if (!node_ports_.empty() || !removed_node_ports_.empty()) changed_ = true;
}

bool UdpFrontends::is_node_address(const rules::Address& address) const {
  return node_addresses_.contains(address) || (node_loopback_ && address.is_loopback());
}

bool UdpFrontends::needs_sweep() const {
  return changed_ && !(ports_.empty() && removed_.empty() && removed_node_ports_.empty());
}

void UdpFrontends::swept() {
  changed_ = false;
  removed_.clear();
  removed_node_ports_.clear();
}

bool UdpFrontends::is_stale(const FlowView& flow) const {
  const SocketAddress addressed{flow.original_destination, flow.original_destination_port};
  const SocketAddress answerer{flow.reply_source, flow.reply_source_port};
  bool in_force = false;
  bool served = false;
  const auto ask = [&](const Owners& owners) {
    in_force = true;
    const auto serves = [&](const Port* port) { return std::ranges::binary_search(port->serving, answerer); };
    served = served || std::ranges::any_of(owners, serves);
  };
  if (const auto found = frontends_.find(addressed); found != frontends_.end()) ask(found->second);
  if (const auto found = node_ports_.find(addressed.port);
      found != node_ports_.end() && is_node_address(addressed.address))
    ask(found->second);
  if (in_force) return !served;

  const bool removed = removed_.contains(addressed) ||
                       (removed_node_ports_.contains(addressed.port) && is_node_address(addressed.address));
  return removed && answerer != addressed;
}

}  // namespace kubenatd::agent::state
