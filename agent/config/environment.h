#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/objects/objects.h"
#include "rules/node_options.h"

namespace kubenatd::agent::config {

/// Where a program of the node waits for connections or datagrams.
struct Listener {
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::uint16_t port = 0;
  std::optional<rules::Address> address;  ///< none: on every address, of both families
  auto operator<=>(const Listener&) const = default;
};

/// What the node itself contributes to the rules, read once at start and again when interfaces change.
struct Environment {
  std::string node_name;                        ///< override (flag, then file) or hostname; trimmed, lower case
  std::vector<rules::Address> local_addresses;  ///< of the interfaces
  std::vector<rules::Prefix> local_prefixes;    ///< local by a route of type local, besides these and loopback
  bool conntrack_be_liberal = false;            ///< net/netfilter/nf_conntrack_tcp_be_liberal is not 0, or is asked for
  bool has_nfacct = true;                       ///< the kernel has nfnetlink_acct and our counters exist
  bool ipv6 = true;                             ///< the kernel has IPv6
  /// At the reserved ports, in order; a reserved port that could not be asked about counts as one that is listened at.
  std::vector<Listener> listeners;
};

/// Name of this node: `flag` if given, else config.hostname_override, else the host's name. Empty after trimming is an
/// error.
[[nodiscard]] rules::Result<std::string> node_name(const Config& config, const std::optional<std::string>& flag);

/// What the rules of one family need to know of the node, in either mode. `node` is this node's Node object, when the
/// source has it. Pure: the same inputs give the same options.
[[nodiscard]] rules::NodeOptions node_options(const Config& config, const Environment& environment,
                                              const std::optional<objects::Node>& node, rules::Family family);

}  // namespace kubenatd::agent::config
