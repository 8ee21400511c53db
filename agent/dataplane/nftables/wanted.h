#pragma once

#include <string>

#include "agent/dataplane/refused.h"
#include "rules/hostport/host_ports.h"
#include "rules/nftables/desired.h"

namespace kubenatd::agent::dataplane::nftables {

/// What is wanted of nftables mode in one family, and what of it the kernel refused.
struct Wanted {
  rules::nftables::DesiredElements elements;
  rules::hostport::HostPorts host_ports;
  Refused<rules::ServicePortKey> refused_ports;
  Refused<std::string> refused_pods;  ///< by PodPorts::id
};

}  // namespace kubenatd::agent::dataplane::nftables
