#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/objects/objects.h"
#include "rules/iptables/options.h"
#include "rules/nftables/options.h"

namespace kubenatd::agent::config {

/// What the node itself contributes to the rules, read once at start and again when interfaces change.
struct Environment {
  std::string node_name;                        ///< override (flag, then file) or hostname; trimmed, lower case
  std::vector<rules::Address> local_addresses;  ///< of the interfaces
  bool conntrack_be_liberal = false;            ///< net/netfilter/nf_conntrack_tcp_be_liberal is not 0, or is asked for
  bool has_nfacct = true;                       ///< the kernel has nfnetlink_acct and our counters exist
  bool ipv6 = true;                             ///< the kernel has IPv6
};

/// Name of this node: `flag` if given, else config.hostname_override, else the host's name. Empty after trimming is an
/// error.
[[nodiscard]] rules::Result<std::string> node_name(const Config& config, const std::optional<std::string>& flag);

/// The options of one family's rules. `node` is this node's Node object, when the source has it.
/// Pure: the same inputs give the same options.
[[nodiscard]] rules::iptables::CompileOptions compile_options(const Config& config, const Environment& environment,
                                                              const std::optional<objects::Node>& node,
                                                              std::size_t known_endpoints, rules::Family family);

/// What nftables mode takes of them, and of the configuration. `known_service_cidrs` are the cluster's own, as its
/// objects say; they come beside those of the configuration.
[[nodiscard]] rules::nftables::RulesetOptions nftables_options(const Config& config,
                                                               const rules::iptables::CompileOptions& options,
                                                               const std::vector<rules::Prefix>& known_service_cidrs);

}  // namespace kubenatd::agent::config
