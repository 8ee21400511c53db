#include "test/support/lab.h"

#include <fmt/format.h>

#include <initializer_list>

#include "test/support/process.h"

namespace kubenatd::test {
namespace {

/// Several `ip` commands at the price of one process.
void ip(const Namespace& where, const std::string& commands) {
  must_run_in(where, {"ip", "-batch", "-"}, commands);
}

void prepare(const Namespace& where, bool forwards) {
  // accept_dad 0: an address is usable at once. rp_filter 0: a lab is not a place for policy.
  for (const char* scope : {"all", "default"}) {
    set_sysctl(where, fmt::format("net/ipv6/conf/{}/accept_dad", scope), "0");
    set_sysctl(where, fmt::format("net/ipv4/conf/{}/rp_filter", scope), "0");
    set_sysctl(where, fmt::format("net/ipv4/conf/{}/send_redirects", scope), "0");
  }
  if (!forwards) return;
  set_sysctl(where, "net/ipv4/ip_forward", "1");
  set_sysctl(where, "net/ipv6/conf/all/forwarding", "1");
}

/// eth0 in `host`, the other end a port of the segment's bridge.
void plug_into_segment(const Namespace& segment, const Namespace& host, const std::string& port,
                       const std::string& address, const std::string& address6) {
  ip(segment, fmt::format("link add {0} type veth peer name eth0 netns {1}\n"
                          "link set {0} master br0 up\n",
                          port, host.path()));
  ip(host, fmt::format("link set eth0 up\n"
                       "addr add {}/24 dev eth0\n"
                       "addr add {}/64 dev eth0 nodad\n",
                       address, address6));
}

void attach_pod(const Namespace& node, const Namespace& pod, const std::string& veth, const std::string& pod_address,
                const std::string& pod_address6, const std::string& gateway, const std::string& gateway6) {
  ip(node, fmt::format("link add {0} type veth peer name eth0 netns {1}\n"
                       "link set {0} up\n"
                       "addr add {2}/32 dev {0}\n"
                       "addr add {3}/128 dev {0} nodad\n"
                       "route add {4}/32 dev {0} src {2}\n"
                       "route add {5}/128 dev {0}\n",
                       veth, pod.path(), gateway, gateway6, pod_address, pod_address6));
  ip(pod, fmt::format("link set eth0 up\n"
                      "addr add {0}/32 dev eth0\n"
                      "addr add {1}/128 dev eth0 nodad\n"
                      "route add {2}/32 dev eth0\n"
                      "route add {3}/128 dev eth0\n"
                      "route add default via {2} dev eth0 src {0}\n"
                      "route add default via {3} dev eth0 src {1}\n",
                      pod_address, pod_address6, gateway, gateway6));
}

}  // namespace

Lab::Lab() {
  for (const auto* host : {&segment, &pod_a, &pod_b, &pod_c, &client}) prepare(*host, false);
  for (const auto* host : {&node, &node_2}) prepare(*host, true);

  ip(segment,
     "link add br0 type bridge mcast_snooping 0\n"
     "link set br0 up\n"
     "addr add 192.168.77.1/24 dev br0\n"
     "addr add fd00:77::1/64 dev br0 nodad\n");
  plug_into_segment(segment, node, "port2", kNode, kNode6);
  plug_into_segment(segment, node_2, "port3", "192.168.77.3", "fd00:77::3");
  plug_into_segment(segment, client, "port100", kClient, kClient6);
  attach_pod(node, pod_a, "vetha", kPodA, kPodA6, kPodGateway, kPodGateway6);
  attach_pod(node, pod_b, "vethb", kPodB, kPodB6, kPodGateway, kPodGateway6);
  attach_pod(node_2, pod_c, "vethc", kPodC, kPodC6, "10.244.2.1", "fd00:10:244:2::1");
  ip(node,
     "route add 10.244.2.0/24 via 192.168.77.3\n"
     "route add fd00:10:244:2::/64 via fd00:77::3\n"
     "route add default via 192.168.77.1\n"
     "route add default via fd00:77::1\n");
  ip(node_2,
     "route add 10.244.1.0/24 via 192.168.77.2\n"
     "route add fd00:10:244:1::/64 via fd00:77::2\n");
  ip(client,
     "route add 10.96.0.0/16 via 192.168.77.2\n"
     "route add 203.0.113.0/24 via 192.168.77.2\n"
     "route add 198.51.100.0/24 via 192.168.77.2\n"
     "route add fd00:10:96::/112 via fd00:77::2\n"
     "route add 2001:db8:113::/64 via fd00:77::2\n");

  servers_.emplace_back(pod_a, "pod-a", kPodPorts);
  servers_.emplace_back(pod_b, "pod-b", kPodPorts);
  servers_.emplace_back(pod_c, "pod-c", kPodPorts);
}

BareNode::BareNode() {
  prepare(node, true);
  ip(node, fmt::format("link add eth0 type veth peer name other netns {}\n"
                       "link set eth0 up\n"
                       "addr add 192.168.77.2/24 dev eth0\n"
                       "addr add fd00:77::2/64 dev eth0 nodad\n",
                       other_end_.path()));
  ip(other_end_, "link set other up\n");
}

}  // namespace kubenatd::test
