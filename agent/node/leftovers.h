#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/dataplane/kernel.h"
#include "agent/node/finding.h"

/// Rules of other proxies, of another mode and of iptables-legacy that are beside ours.
namespace kubenatd::agent::node {

struct Leftovers {
  std::vector<std::string> proxy_tables;     ///< "ip kube-proxy": of kube-proxy's nftables mode
  std::vector<std::string> own_tables;       ///< "ip kubenatd": of nftables mode
  std::vector<std::string> proxy_chains;     ///< "ip nat KUBE-SERVICES": of iptables mode, whoever's
  std::vector<std::string> legacy_tables;    ///< "nat of iptables-legacy": with rules or policies that decide
  std::vector<std::string> legacy_services;  ///< those with chains of a kube-proxy
  std::vector<std::string> ipvs;             ///< as dataplane::find_ipvs tells it
  std::vector<std::string> not_read;         ///< "WHAT: WHY"
};

/// Of this network namespace. Cost: legacy tables are read whole.
[[nodiscard]] Leftovers read_leftovers(dataplane::Kernel& kernel);
/// `modes`: those that are asked for. `rival`: what is known of another proxy that is alive; empty: nothing. Pure.
[[nodiscard]] Findings judge(const Leftovers& leftovers, const std::vector<config::Config::Mode>& modes,
                             const std::string& rival);

}  // namespace kubenatd::agent::node
