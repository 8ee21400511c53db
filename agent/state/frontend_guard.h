#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "agent/objects/objects.h"
#include "rules/address.h"
#include "rules/rule.h"

namespace kubenatd::agent::state {

/// A port of this node that a program on it uses.
struct HeldPort {
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::uint16_t port = 0;
  std::optional<rules::Address> address;  ///< none: on all addresses of the node
  bool on_every_node = false;             ///< other nodes have the same there, whose addresses are not known here
  std::string holder;                     ///< "the kubelet"
  bool operator==(const HeldPort&) const = default;
};

/// What FrontendGuard needs to know of the node and of the configuration.
struct GuardedNode {
  std::vector<rules::Address> addresses;        ///< of the Node object
  std::vector<rules::Address> local_addresses;  ///< of its interfaces
  std::vector<HeldPort> ports;
  std::vector<rules::Prefix> external_ranges;       ///< in which externalIPs may be; empty: anywhere
  std::vector<rules::Prefix> load_balancer_ranges;  ///< the same for load balancer addresses
  bool operator==(const GuardedNode&) const = default;
};

/// Says which addresses and ports a Service or Pod asks for that are somebody else's: of the API server or of the node.
/// Whoever may write a Service could otherwise have the traffic of all who ask them (CVE-2020-8554). Other Services'
/// addresses go as in kube-proxy (rules/README.md, "Several Services with one frontend").
///
/// - The cluster IPs of default/kubernetes are its own, at every port, whether or not it has endpoints.
/// - What the API server answers at, the endpoints of default/kubernetes, is nobody's frontend.
/// - A HeldPort is not taken from the node. An externalIP may be any address of an interface, and whoever writes a
///   Service writes it; a load balancer's address is told by a controller, which may have put it on the interface for
///   this very Service: only the addresses of the Node object count there.
///
/// Threading: one thread. Failure: none. Cost: a look-up for each question.
class FrontendGuard {
 public:
  enum class Asked : std::uint8_t { kClusterIp, kExternalIp, kLoadBalancerIp };
  /// True when answers may be other ones now, to anybody.
  [[nodiscard]] bool set_node(GuardedNode node);
  /// default/kubernetes; none: there is no such Service. True as above.
  [[nodiscard]] bool set_api_service(const objects::Service* service);
  /// Its slices. True as above.
  [[nodiscard]] bool set_api_server(const std::vector<std::shared_ptr<const objects::EndpointSlice>>& slices);

  /// Why this Service does not get the address and port; none: it does.
  [[nodiscard]] std::optional<std::string> refusal(const objects::ObjectKey& service, Asked asked,
                                                   const rules::Address& address, rules::Protocol protocol,
                                                   std::uint16_t port) const;
  /// The same for a port of all of the node's addresses, or of one: NodePorts, health check ports, hostPorts.
  [[nodiscard]] std::optional<std::string> node_port_refusal(
      rules::Protocol protocol, std::uint16_t port, const std::optional<rules::Address>& address = std::nullopt) const;

 private:
  using ApiEndpoint = std::tuple<rules::Address, rules::Protocol, std::uint16_t>;

  [[nodiscard]] std::optional<std::string> holder_of(Asked asked, const rules::Address& address,
                                                     rules::Protocol protocol, std::uint16_t port) const;
  [[nodiscard]] bool is_own(Asked asked, const rules::Address& address) const;

  std::set<rules::Address> api_cluster_ips_;
  std::set<ApiEndpoint> api_server_;
  GuardedNode node_;
};

/// The Service of the API server.
[[nodiscard]] const objects::ObjectKey& api_server_service();

}  // namespace kubenatd::agent::state
