#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::test {

/// Services and EndpointSlices of namespace demo that change at random, in the same way for the same seed, and the Node
/// node-1. Every kind of Service, slices that move to another Service, doubles, hints and terminating endpoints come
/// up.
class RandomCluster {
 public:
  RandomCluster(unsigned seed, unsigned services) : random_(seed), services_(services) {}

  /// One change. Most concern endpoints, as in a cluster.
  agent::objects::ObjectEvent next() {
    const unsigned kind = below(100);
    if (kind < 4) return keep(node());
    if (kind < 30) return keep(service(below(services_)));
    if (kind < 40) return drop(agent::objects::Kind::kService, service_name(below(services_)));
    if (kind < 90) return keep(slice(below(services_), below(2), below(2)));
    return drop(agent::objects::Kind::kEndpointSlice, slice_name(below(services_), below(2), below(2)));
  }

  /// What is there now.
  [[nodiscard]] std::vector<agent::objects::ObjectEvent> all() const {
    std::vector<agent::objects::ObjectEvent> events;
    for (const auto& [key, object] : objects_) events.push_back({key.first, key.second, object});
    return events;
  }

  unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }

 private:
  using Key = std::pair<agent::objects::Kind, agent::objects::ObjectKey>;

  bool one_in(unsigned count) { return below(count) == 0; }

  static agent::objects::ObjectKey demo(std::string name) { return {"demo", std::move(name)}; }
  static std::string service_name(unsigned number) { return "s" + std::to_string(number); }
  static std::string slice_name(unsigned service, unsigned family, unsigned number) {
    return service_name(service) + (family == 0 ? "-v4-" : "-v6-") + std::to_string(number);
  }
  static rules::Address address(const std::string& text) { return rules::Address::parse(text).value(); }

  agent::objects::ObjectEvent keep(agent::objects::ObjectEvent event) {
    objects_[{event.kind, event.key}] = event.object;
    return event;
  }
  agent::objects::ObjectEvent drop(agent::objects::Kind kind, const std::string& name) {
    objects_.erase({kind, demo(name)});
    return {kind, demo(name), nullptr};
  }

  agent::objects::ObjectEvent node() {
    agent::objects::Node node;
    node.key = {"", "node-1"};
    node.zone = one_in(2) ? "zone-a" : "zone-b";
    return {agent::objects::Kind::kNode, node.key, std::make_shared<const agent::objects::Object>(node)};
  }

  agent::objects::ObjectEvent service(unsigned number) {
    using Type = agent::objects::Service::Type;
    agent::objects::Service service;
    service.key = demo(service_name(number));
    service.type = one_in(20) ? Type::kExternalName : Type::kClusterIp;
    service.headless = one_in(20);
    service.foreign_proxy = one_in(20);
    // Neighbours and far away, so that a tree of addresses has both.
    const std::string low = std::to_string(number % 200 + 1);
    if (!service.headless) {
      if (!one_in(10)) service.cluster_ips.push_back(address("10.96." + std::to_string(number % 7 * 36) + "." + low));
      if (one_in(2)) service.cluster_ips.push_back(address("fd00:10:96::" + std::to_string(number % 7) + ":" + low));
    }
    const bool outside = one_in(2);
    if (outside && one_in(2)) service.external_ips = {address("192.0.2." + low), address("2001:db8::" + low)};
    if (outside && one_in(2)) service.load_balancer_ips = {address("203.0.113." + low), address("2001:db8:1::" + low)};
    if (one_in(2)) service.source_ranges = {rules::Prefix::parse("198.51.100.0/24").value()};
    service.internal_policy_local = one_in(4);
    service.external_policy_local = outside && one_in(2);
    if (service.external_policy_local && one_in(2))
      service.health_check_node_port = static_cast<std::uint16_t>(29000 + number);
    if (one_in(3)) service.affinity_seconds = 10 + below(100);
    for (const auto& [name, protocol] : kPorts) {
      if (one_in(2)) continue;
      const auto port = static_cast<std::uint16_t>(80 + service.ports.size());
      const auto node_port = static_cast<std::uint16_t>(30000 + number * 4 + service.ports.size());
      service.ports.push_back({name, protocol, port, outside ? node_port : std::uint16_t{0}, ""});
    }
    return {agent::objects::Kind::kService, service.key, std::make_shared<const agent::objects::Object>(service)};
  }

  agent::objects::ObjectEvent slice(unsigned service, unsigned family, unsigned number) {
    agent::objects::EndpointSlice slice;
    slice.key = demo(slice_name(service, family, number));
    slice.family = rules::kFamilies[family];
    slice.service = one_in(10) ? service_name(below(services_)) : service_name(service);
    if (one_in(30)) slice.service.clear();
    for (const auto& [name, protocol] : kPorts)
      if (!one_in(4)) slice.ports.push_back({name, static_cast<std::uint16_t>(8080 + below(2)), protocol});
    const bool hints = one_in(2);
    for (unsigned i = below(6); i > 0; --i) {
      const std::string host = std::to_string(1 + below(12));
      agent::objects::SliceEndpoint endpoint;
      endpoint.address = address(family == 0 ? "10.244.1." + host : "fd00:10:244:1::" + host);
      endpoint.ready = !one_in(4);
      endpoint.terminating = !endpoint.ready && one_in(2);
      endpoint.serving = endpoint.ready || (endpoint.terminating && one_in(2));
      agent::objects::EndpointPlace place = agent::objects::on_node(one_in(3) ? "node-1" : "node-2");
      if (hints) place.zone_hints.emplace_back(one_in(2) ? "zone-a" : "zone-b");
      if (hints && one_in(2)) place.node_hints.push_back(place.node_name);
      endpoint.place = std::move(place);
      slice.endpoints.push_back(std::move(endpoint));
    }
    return {agent::objects::Kind::kEndpointSlice, slice.key, std::make_shared<const agent::objects::Object>(slice)};
  }

  inline static const std::vector<std::pair<std::string, rules::Protocol>> kPorts{
      {"http", rules::Protocol::kTcp}, {"dns", rules::Protocol::kUdp}, {"", rules::Protocol::kTcp}};

  std::mt19937 random_;
  unsigned services_;
  std::map<Key, agent::objects::ObjectPtr> objects_;
};

}  // namespace kubenatd::test
