#pragma once

#include <cstddef>

#include "test/bench/peer_node.h"

namespace kubenatd::bench {

struct PeerOptions {
  bool quick = false;        ///< few Services, few changes
  bool storm = false;        ///< the storm instead of the tables
  bool packets = false;      ///< what the rules cost the packets, instead of the tables
  bool nftables = false;     ///< nftables mode alone
  std::size_t services = 0;  ///< of the tables: with so many alone; 0: with all numbers
};

/// kubenatd and kube-proxy beside each other in one run, with a real API server: tables and ratios on standard output.
/// Throws std::runtime_error.
void measure_peers(const Programs& programs, const PeerOptions& options);

}  // namespace kubenatd::bench
