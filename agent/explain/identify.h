#pragma once

#include "agent/explain/context.h"
#include "rules/frontend.h"

namespace kubenatd::agent::explain {

/// What stands behind an address and port, by the objects. Pointers into the context.
struct Identity {
  Subject subject;
  const rules::ServicePortView* view = nullptr;
  const objects::Service* service = nullptr;
  const objects::ServicePort* port = nullptr;
  const objects::Pod* pod = nullptr;  ///< kHostPort, kPod
  /// Of a Service that has the address, but not this port, or that no chains are made for.
  const objects::Service* near = nullptr;
  /// Other service ports that have the same address and port: name, and what they have for it.
  struct Rival {
    std::string name;
    rules::Usability usability = rules::Usability::kNone;
  };
  std::vector<Rival> rivals;
};

/// "demo", "web" of the service port name "demo/web:http".
[[nodiscard]] objects::ObjectKey service_key(std::string_view service_port_name);

/// Of several service ports with the same address and port, the one counts that has an endpoint among `ends`, else the
/// first by name of those with usable endpoints.
[[nodiscard]] Identity identify(const ExplainContext& context, const rules::Address& address, std::uint16_t port,
                                rules::Protocol protocol, const std::vector<PathEnd>& ends = {});

/// A pod of this node that claims the port by hostPort.
[[nodiscard]] bool claims(const objects::Pod& pod, const std::string& node, const rules::Address& address,
                          std::uint16_t port, rules::Protocol protocol);

}  // namespace kubenatd::agent::explain
