#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/address.h"
#include "rules/rule.h"
#include "rules/service_port.h"

namespace kubenatd::rules {

/// One way to address a service port: an address and port, or a NodePort.
struct Frontend {
  std::optional<Address> address;  ///< none: a NodePort
  Protocol protocol = Protocol::kTcp;
  std::uint16_t port = 0;
  auto operator<=>(const Frontend&) const = default;
};

/// "203.0.113.60:80/tcp" or "NodePort 30080/tcp".
[[nodiscard]] std::string to_text(const Frontend& frontend);

/// All frontends of a service port, each once.
[[nodiscard]] std::vector<Frontend> frontends_of(const ServicePortView& view);

/// The frontend is the cluster IP: the internal traffic policy counts, not the external one.
[[nodiscard]] bool is_internal(const ServicePortView& view, const Frontend& frontend);

/// What a service port can do for those who address it by a frontend. The better comes first.
enum class Usability : std::uint8_t {
  kUsable,     ///< this node has an endpoint for traffic from anywhere
  kElsewhere,  ///< only other nodes have one, by policy Local: pods and the node itself may still reach it
  kNone,
  kRefused,  ///< the kernel did not take the service port: nothing of it is there
};

/// Which endpoints a node may use.
struct Reach {
  bool cluster = false;  ///< there is one for policy Cluster
  bool local = false;
};
[[nodiscard]] Reach reach_of(const ServicePortView& view);

/// Never kRefused: a view does not know of it.
[[nodiscard]] Usability usability_of(const ServicePortView& view, const Frontend& frontend, Reach reach);

}  // namespace kubenatd::rules
