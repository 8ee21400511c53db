#pragma once

#include "test/support/cluster.h"

namespace kubenatd::test {

/// Service "np", 10.96.1.1, with NodePorts 30080/tcp and 30081/udp.
inline ServiceSpec node_port_service() {
  return {
      .name = "np",
      .cluster_ips = {"10.96.1.1"},
      .ports = {PortSpec{.node_port = 30080}, PortSpec{.name = "udp", .protocol = "UDP", .node_port = 30081}},
      .type = "NodePort",
  };
}

}  // namespace kubenatd::test
