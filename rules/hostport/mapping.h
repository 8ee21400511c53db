#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/address.h"
#include "rules/rule.h"

namespace kubenatd::rules::hostport {

/// One port of the node that leads to a pod.
struct Mapping {
  Protocol protocol = Protocol::kTcp;
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  std::optional<Address> host_ip;  ///< only this address of the node; none: every one
  bool operator==(const Mapping&) const = default;
};

/// What one pod of this node wants in one family: the only input of the compiler. A plain value.
struct PodPorts {
  std::string id;   ///< container_id() of the pod
  Address address;  ///< of the pod
  std::vector<Mapping> mappings;
  bool operator==(const PodPorts&) const = default;
};

/// A port that is served already.
struct Claim {
  Protocol protocol = Protocol::kTcp;
  std::uint16_t port = 0;
  std::optional<Address> address;      ///< none: every address of the node
  std::string owner;                   ///< whose it is, for people
  std::optional<Address> target = {};  ///< where it leads; none: not known
  std::uint16_t target_port = 0;       ///< 0: the port stays as it is
  auto operator<=>(const Claim&) const = default;
};

/// Whether both would take the same packets. An address that one of them names counts as one of all addresses of the
/// other.
[[nodiscard]] inline bool overlap(const Mapping& mapping, Protocol protocol, std::uint16_t port,
                                  const std::optional<Address>& address) {
  return mapping.protocol == protocol && mapping.host_port == port &&
         (!mapping.host_ip || !address || *mapping.host_ip == *address);
}

/// "8080/tcp" or "192.0.2.1:8080/tcp".
[[nodiscard]] std::string to_text(const Mapping& mapping);

}  // namespace kubenatd::rules::hostport
