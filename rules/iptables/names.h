#pragma once

#include <string>
#include <string_view>

#include "rules/chain_name.h"
#include "rules/service_port.h"

/// Chain names of kube-proxy: a prefix and the first 16 characters of base32(SHA-256(...)).
namespace kubenatd::rules::iptables {

/// First 16 characters of base32(SHA-256(text)), upper case.
[[nodiscard]] std::string hash16(std::string_view text);

/// The chains of one service port share the 16 characters of their hash.
struct ServicePortNames {
  explicit ServicePortNames(const ServicePortView& view);
  ServicePortNames(std::string_view service_port_name, Protocol protocol);

  ChainName cluster;   ///< KUBE-SVC-
  ChainName local;     ///< KUBE-SVL-
  ChainName external;  ///< KUBE-EXT-
  ChainName firewall;  ///< KUBE-FW-
};

/// KUBE-SEP-: hash of service port name string, protocol and endpoint string.
[[nodiscard]] ChainName endpoint_chain(std::string_view service_port_name, Protocol protocol, const Endpoint& endpoint);

/// The same for a caller that has the endpoint string ("10.0.0.1:80") already.
[[nodiscard]] ChainName endpoint_chain(std::string_view service_port_name, Protocol protocol,
                                       std::string_view endpoint);

}  // namespace kubenatd::rules::iptables
