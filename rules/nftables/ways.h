#pragma once

#include <array>
#include <cstddef>

#include "rules/nftables/ruleset.h"

/// The four ways to an endpoint. Not for users of the ruleset.
namespace kubenatd::rules::nftables {

struct Way {
  const char* name;   ///< of its chain
  bool node_port;     ///< its frontends are protocol and port, without an address
  std::size_t sizes;  ///< so many of kSizes
  SetId endpoints, larger, sticky;
};

inline constexpr Way kCluster{"endpoints", false, kSizes.size(), SetId::kEndpoints, SetId::kLarger, SetId::kSticky};
inline constexpr Way kLocal{"local-endpoints",  false, kLocalSizes, SetId::kLocalEndpoints, SetId::kLocalLarger,
                            SetId::kLocalSticky};
inline constexpr Way kNodePort{"nodeport-endpoints",   true,
                               kSizes.size(),          SetId::kNodePortEndpoints,
                               SetId::kNodePortLarger, SetId::kNodePortSticky};
inline constexpr Way kNodePortLocal{
    "nodeport-local-endpoints", true, kLocalSizes, SetId::kNodePortLocalEndpoints, SetId::kNodePortLocalLarger,
    SetId::kNodePortLocalSticky};
inline constexpr std::array<Way, 4> kWays{kCluster, kLocal, kNodePort, kNodePortLocal};

}  // namespace kubenatd::rules::nftables
