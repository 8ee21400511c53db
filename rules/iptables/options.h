#pragma once

#include <cstddef>
#include <cstdint>

#include "rules/node_options.h"

namespace kubenatd::rules::iptables {

/// Shape of nat KUBE-SERVICES.
enum class DispatchForm : std::uint8_t { kLinear, kTree, kAuto };

/// Everything besides the service ports that decides what the rules of one family are.
struct CompileOptions {
  NodeOptions node;
  bool drop_invalid = true;       ///< false when conntrack is be-liberal
  bool count_invalid = true;      ///< nfacct counter ct_state_invalid_dropped_pkts exists
  bool count_localhost = true;    ///< nfacct counter localhost_nps_accepted_pkts exists
  bool endpoint_comments = true;  ///< false past 1000 endpoints (large-cluster mode)
  /// 127.0.0.0/8 is guarded also where NodePorts do not answer there: hostPorts have packets for it routed.
  bool guard_localhost = false;
  DispatchForm form = DispatchForm::kAuto;
  std::size_t tree_threshold = 1000;  ///< kAuto: service addresses past which a tree is used

  bool operator==(const CompileOptions&) const = default;
};

inline constexpr const char* kNfacctInvalid = "ct_state_invalid_dropped_pkts";
inline constexpr const char* kNfacctLocalhost = "localhost_nps_accepted_pkts";

}  // namespace kubenatd::rules::iptables
