#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

#include "test/bench/peer_node.h"

namespace kubenatd::bench {

struct PacketPlan {
  std::size_t services = 1000;
  std::size_t rounds = 60;
  std::chrono::milliseconds slice{150};  ///< of each kind of traffic, each way, each round
};

/// What rules cost the packets that are forwarded: streams, requests and connections from a pod to a pod over two
/// nodes, through each proxy and beside no rules at all, as a table on standard output. The ways take turns: what the
/// machine does else meets all of them. Throws std::runtime_error.
void measure_packets(ControlPlane& plane, const Programs& programs, const std::vector<Proxy>& proxies,
                     const PacketPlan& plan);

}  // namespace kubenatd::bench
