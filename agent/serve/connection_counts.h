#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/config/config.h"
#include "netlink/core/nf_tables.h"
#include "rules/rule.h"

namespace kubenatd::agent::serve {

/// A service port in one family, as the rules name it.
struct CountedPort {
  std::string name;  ///< "demo/web:http"
  rules::Protocol protocol = rules::Protocol::kTcp;
  rules::Family family = rules::Family::kIpv4;
  auto operator<=>(const CountedPort&) const = default;
};

/// Packets by what counted them: a rule's handle, or a number made of an element's key. As the nat table sees a
/// connection's first packet alone, these are new connections.
using Packets = std::map<std::uint64_t, std::uint64_t>;

/// Packets of the jumps to endpoints in the chains of a service port in iptables mode. None: they cannot be read now.
[[nodiscard]] std::optional<Packets> endpoint_packets(netlink::NfTables& kernel, rules::Family family,
                                                      const std::string& service_port_name, rules::Protocol protocol);
/// How many came between two readings. A rule or element written anew counts from 0.
[[nodiscard]] std::uint64_t packets_since(const Packets& before, const Packets& now);

/// What the kernel has counted for service ports. A port that cannot be read now is not in it.
///
/// In iptables mode the packets of the jumps to endpoints in a port's chains (KUBE-SVC-, KUBE-SVL-), which the kernel
/// counts anyway: two dumps of chains a port, about 20 us each. In nftables mode those of the elements of the maps of
/// endpoints, which have to be made to count (RulesetOptions::count_connections): one dump of these maps.
[[nodiscard]] std::map<CountedPort, Packets> read_counts(netlink::NfTables& kernel, config::Config::Mode mode,
                                                         const std::set<CountedPort>& ports);

}  // namespace kubenatd::agent::serve
