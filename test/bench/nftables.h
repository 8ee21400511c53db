#pragma once

namespace kubenatd::bench {

/// Measures nftables mode and prints its tables.
int run_nftables(bool quick);

}  // namespace kubenatd::bench
