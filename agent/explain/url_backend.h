#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "agent/explain/context.h"

/// What a controller of Ingresses or Gateways does with a request that it has matched. For url.cpp and url_route.cpp.
namespace kubenatd::agent::explain {

/// Where a request enters this node on its way to the controller of Ingresses or Gateways.
struct WayIn {
  std::optional<rules::Address> address;  ///< none: the node's
  std::uint16_t port = 0;
  std::string controller;
  std::optional<rules::Address> pod_address;  ///< of the controller, to come from on the second part of the way
  std::uint16_t service_port = 0;             ///< of the controller's Service; 0: none is on the way
  bool mapped = false;                        ///< the URL's port is none of this node's: something in front maps it
};

/// What a rule sends requests to.
struct Target {
  std::string owner;  ///< "Ingress demo/shop"
  std::string kind;   ///< that the codes of its findings begin with: "ingress", "route"
  objects::ObjectKey service;
  std::uint16_t port = 0;
  std::string port_name;  ///< in place of the number
  ClientView broken;      ///< what the controller answers when there is no such Service or port

  [[nodiscard]] std::string to_string() const {
    return fmt::format("{}:{}", service.to_string(), port_name.empty() ? std::to_string(port) : port_name);
  }
};

/// What a client sees of one Service, and the way to it, where there is one.
struct Told {
  ClientView client;
  std::unique_ptr<Answer> way;
};

/// From the controller to a Service behind the rule: adds what is wrong on the way to `answer`.
[[nodiscard]] Told explain_backend(const ExplainContext& context, const Target& target, const WayIn* way,
                                   Answer& answer);

}  // namespace kubenatd::agent::explain
