#pragma once

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "agent/state/service_state.h"

/// Objects of demo/web, and somebody who follows what ServiceState makes of them.
namespace kubenatd::agent::state {

using rules::Family;
using rules::Protocol;

inline rules::Address ip(const std::string& text) {
  return rules::Address::parse(text).value();
}

/// demo/web with one port.
inline objects::Service web() {
  objects::Service service;
  service.key = {"demo", "web"};
  service.cluster_ips = {ip("10.96.0.1")};
  service.ports = {{"http", Protocol::kTcp, 80, 0, ""}};
  return service;
}

/// A slice of demo/web with an endpoint for each address.
inline objects::EndpointSlice slice(const std::string& name, const std::vector<std::string>& addresses) {
  objects::EndpointSlice slice;
  slice.key = {"demo", name};
  slice.service = "web";
  slice.ports = {{"http", 8080, Protocol::kTcp}};
  for (const std::string& address : addresses) {
    objects::SliceEndpoint endpoint;
    endpoint.address = ip(address);
    endpoint.place = objects::on_node("node-2");
    slice.endpoints.push_back(std::move(endpoint));
  }
  if (!slice.endpoints.empty()) slice.family = slice.endpoints.front().address.family;
  return slice;
}

inline objects::ObjectEvent put(const objects::Service& service) {
  return {objects::Kind::kService, service.key, std::make_shared<const objects::Object>(service)};
}

inline objects::ObjectEvent put(const objects::EndpointSlice& slice) {
  return {objects::Kind::kEndpointSlice, slice.key, std::make_shared<const objects::Object>(slice)};
}

inline objects::ObjectEvent remove(objects::Kind kind, const std::string& name) {
  return {kind, {"demo", name}, nullptr};
}

inline objects::ObjectEvent put_node(const std::string& name, const std::string& zone) {
  objects::Node node;
  node.key = {"", name};
  node.zone = zone;
  return {objects::Kind::kNode, node.key, std::make_shared<const objects::Object>(node)};
}

using Views = std::map<std::tuple<Family, std::string, Protocol>, rules::ServicePortView>;

/// What somebody who follows the changes knows.
class Follower {
 public:
  explicit Follower(const std::string& node = "node-1") : state(node) {}

  void take(objects::ObjectEvent event) {
    state.apply(std::move(event));
    settle();
  }
  void settle() {
    for (ViewChange& change : state.take_changes()) {
      const std::tuple key(change.family, change.name, change.protocol);
      if (change.view) {
        CHECK(change.view->name == change.name);
        CHECK(change.view->protocol == change.protocol);
        CHECK(change.view->cluster_ip.family == change.family);
        views.insert_or_assign(key, std::move(*change.view));
      } else {
        CHECK(views.erase(key) == 1);
      }
    }
  }
  /// "IPv4 demo/web:http tcp -> 10.0.0.1:8080 10.0.0.2:8080", all endpoints.
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const auto& [key, view] : views) {
      std::string line = std::string(name_of(view.cluster_ip.family)) + " " + view.name + " " +
                         std::string(name_of(view.protocol)) + " ->";
      for (const rules::Endpoint& endpoint : view.endpoints)
        line += " " + rules::join_host_port(endpoint.address, endpoint.port);
      lines.push_back(std::move(line));
    }
    return lines;
  }

  ServiceState state;
  Views views;
};

using Lines = std::vector<std::string>;

}  // namespace kubenatd::agent::state
