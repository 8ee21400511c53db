#pragma once

#include "agent/sync/reconciler.h"
#include "rules/iptables/options.h"

namespace kubenatd::agent {

/// Lets NodePorts answer on localhost. Packets to 127.0.0.0/8 may be routed only behind the guard in KUBE-FIREWALL
/// (CVE-2020-8558), so this comes after the IPv4 rules are in place.
class LocalhostRouting {
 public:
  /// False when it is wanted and the kernel's setting could not be made.
  bool after(const RoundReport& report, const rules::iptables::CompileOptions& ipv4);

 private:
  bool done_ = false;
};

}  // namespace kubenatd::agent
