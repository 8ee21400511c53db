#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/objects/objects.h"
#include "rules/nftables/options.h"
#include "rules/node_options.h"

namespace kubenatd::agent::config {

/// Where a program of the node waits for connections or datagrams.
struct Listener {
  rules::Protocol protocol = rules::Protocol::kTcp;
  std::uint16_t port = 0;
  std::optional<rules::Address> address;  ///< none: on every address, of both families
  auto operator<=>(const Listener&) const = default;
};

/// A network device. One that comes again under the same name is another one.
struct Device {
  std::string name;
  std::uint32_t index = 0;
  auto operator<=>(const Device&) const = default;
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
  rules::nftables::FastPath fast_path = rules::nftables::FastPath::kOff;  ///< what is wanted of it and the kernel can
  std::vector<Device> fast_path_devices;                                  ///< in order
};

/// Name of this node: `flag` if given, else config.hostname_override, else the host's name. Empty after trimming is an
/// error.
[[nodiscard]] rules::Result<std::string> node_name(const Config& config, const std::optional<std::string>& flag);

/// What the rules of one family need to know of the node, in either mode. `node` is this node's Node object, when the
/// source has it. Pure: the same inputs give the same options.
[[nodiscard]] rules::NodeOptions node_options(const Config& config, const Environment& environment,
                                              const std::optional<objects::Node>& node, rules::Family family);

}  // namespace kubenatd::agent::config
