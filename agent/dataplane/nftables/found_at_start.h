#pragma once

#include <vector>

#include "agent/dataplane/dataplane.h"
#include "rules/nftables/diff.h"

namespace kubenatd::agent::dataplane::nftables {

/// The UDP destinations that these elements serve: those with an endpoint, and host ports. Pure.
[[nodiscard]] std::vector<UdpFrontend> udp_frontends_of(const rules::nftables::LiveElements& live,
                                                        rules::Family family);

}  // namespace kubenatd::agent::dataplane::nftables
