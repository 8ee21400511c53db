#pragma once

#include <array>
#include <cstddef>

#include "rules/nftables/ruleset.h"

/// The four ways to an endpoint. Not for users of the ruleset.
namespace kubenatd::rules::nftables {

struct Way {
  const char* name;  ///< of its chain
  bool node_port;    ///< its frontends are protocol and port, without an address
  SetId endpoints, larger, sticky;

  [[nodiscard]] constexpr std::size_t number() const { return *way_of(endpoints, SetId::kEndpoints); }
};

inline constexpr Way kCluster{"endpoints", false, SetId::kEndpoints, SetId::kLarger, SetId::kSticky};
inline constexpr Way kLocal{"local-endpoints", false, SetId::kLocalEndpoints, SetId::kLocalLarger, SetId::kLocalSticky};
inline constexpr Way kNodePort{"nodeport-endpoints", true, SetId::kNodePortEndpoints, SetId::kNodePortLarger,
                               SetId::kNodePortSticky};
inline constexpr Way kNodePortLocal{"nodeport-local-endpoints", true, SetId::kNodePortLocalEndpoints,
                                    SetId::kNodePortLocalLarger, SetId::kNodePortLocalSticky};
inline constexpr std::array<Way, kWayCount> kWays{kCluster, kLocal, kNodePort, kNodePortLocal};

}  // namespace kubenatd::rules::nftables
