#pragma once

#include <string>
#include <vector>

#include "test/support/namespace.h"
#include "test/support/traffic.h"

namespace kubenatd::test {

/// A node of a cluster and its surroundings, in namespaces of this process:
///
///     pod_a 10.244.1.5 ──┐                                        ┌── client     192.168.77.100
///                        node-1 192.168.77.2 ── segment (bridge) ─┤   (knows services through node-1)
///     pod_b 10.244.1.6 ──┘                      192.168.77.1      └── node-2     192.168.77.3 ── pod_c 10.244.2.7
///
/// and the same in IPv6: fd00:10:244:1::5, ::6, fd00:10:244:2::7; fd00:77::1, ::2, ::3, ::100. Pods hang on veths
/// (vetha, vethb) with a /32 route each; the node's side has 10.244.1.1 and fd00:10:244:1::1. What has no route on the
/// node goes to 192.168.77.1, where it vanishes, as it would behind a real gateway. Each pod runs an EchoServer named
/// as here, on kPodPorts.
///
/// Failure: the constructor throws. Cost: some 100 ms.
class Lab {
 public:
  Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  Namespace segment = Namespace::create();
  Namespace node = Namespace::create();
  Namespace pod_a = Namespace::create();
  Namespace pod_b = Namespace::create();
  Namespace node_2 = Namespace::create();
  Namespace pod_c = Namespace::create();
  Namespace client = Namespace::create();

 private:
  std::vector<EchoServer> servers_;
};

inline const std::vector<std::uint16_t> kPodPorts{8080, 9090};

inline constexpr const char* kPodA = "10.244.1.5";
inline constexpr const char* kPodB = "10.244.1.6";
inline constexpr const char* kPodC = "10.244.2.7";
inline constexpr const char* kNode = "192.168.77.2";
inline constexpr const char* kClient = "192.168.77.100";
inline constexpr const char* kPodGateway = "10.244.1.1";  ///< what a local pod sees of masqueraded traffic
inline constexpr const char* kPodA6 = "fd00:10:244:1::5";
inline constexpr const char* kPodB6 = "fd00:10:244:1::6";
inline constexpr const char* kPodC6 = "fd00:10:244:2::7";
inline constexpr const char* kNode6 = "fd00:77::2";
inline constexpr const char* kClient6 = "fd00:77::100";
inline constexpr const char* kPodGateway6 = "fd00:10:244:1::1";

/// Only what kubenatd looks at: a node's eth0 with 192.168.77.2/24 and fd00:77::2/64, no neighbours.
class BareNode {
 public:
  BareNode();
  Namespace node = Namespace::create();

 private:
  Namespace other_end_ = Namespace::create();
};

}  // namespace kubenatd::test
