#pragma once

#include <string>
#include <vector>

#include "rules/walk/packet.h"

namespace kubenatd::netlink::host {

/// The node around its rules, for a walk of packets of one family.
struct LiveNode {
  rules::walk::Surroundings surroundings;
  std::vector<rules::walk::NotLookedAt> not_looked_at;
};

/// This network namespace as it is now. The functions in `surroundings` ask the kernel when they are called.
///
/// `in_interface` is where the packet comes in, empty when that is not known. Threading: who calls the functions has to
/// be in the same network namespace, one thread at a time. Failure: what cannot be found out is not known. Cost: some
/// ten questions to the kernel. Rights: sets of ipset, policies of IPsec and programs of tcx need CAP_NET_ADMIN, the
/// rest needs none.
[[nodiscard]] LiveNode live_surroundings(rules::Family family, const std::string& in_interface);

/// The interface by which packets from that address most likely come in: the one by which the node would send to it.
/// Empty for an address of the node itself, and where there is no route.
[[nodiscard]] std::string arrival_interface(const rules::Address& source);

}  // namespace kubenatd::netlink::host
