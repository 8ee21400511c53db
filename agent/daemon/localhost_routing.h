#pragma once

#include <cstdint>

#include "agent/dataplane/reconciler.h"
#include "rules/hostport/host_ports.h"
#include "rules/node_options.h"

namespace kubenatd::agent::daemon {

/// Lets NodePorts answer on localhost. Packets to 127.0.0.0/8 may be routed only behind the guard of the mode
/// (CVE-2020-8558), so this comes after the IPv4 rules are in place. Where NodePorts are not to answer there, hostPorts
/// still are, as with the portmap plugin: then only the interfaces of their pods get the setting.
class LocalhostRouting {
 public:
  /// False when it is wanted and the kernel's setting could not be made.
  bool after(const dataplane::RoundReport& report, const rules::NodeOptions& ipv4);

  /// Failures are logged; the pods' ports then answer everywhere but on localhost.
  void after(const dataplane::RoundReport& report, const rules::hostport::HostPorts& ipv4);

 private:
  bool done_ = false;
  std::uint64_t host_ports_ = 0;  ///< the version that was handled last
};

}  // namespace kubenatd::agent::daemon
