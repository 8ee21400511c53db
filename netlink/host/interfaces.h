#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "netlink/host/kernel_talk.h"
#include "rules/walk/packet.h"

namespace kubenatd::netlink::host {

/// An interface of this network namespace.
struct Link {
  rules::walk::Surroundings::Interface facts;
  std::uint32_t master = 0;     ///< index of the bridge, bond or VRF that it belongs to
  std::string master_kind;      ///< "bridge", ... as the port tells it
  bool calls_iptables = false;  ///< of a bridge: nf_call_iptables of its own
  bool calls_ip6tables = false;
  bool is_up = false;    ///< IFF_UP: by its administrator's word
  bool has_xdp = false;  ///< a program of XDP sees its packets first
};

/// All interfaces by name (RTM_GETLINK). Needs no rights.
[[nodiscard]] rules::Result<std::map<std::string, Link>> read_links();

/// The name of the interface with that number; empty: there is none (any more).
[[nodiscard]] std::string interface_name(std::uint32_t index);

/// Programs that see packets of an interface besides netfilter and could drop, change or send them elsewhere, in words:
/// XDP, filters of traffic control (a qdisc of clsact or ingress with filters), and programs of tcx (6.6 and newer).
/// `leaving`: of packets that go out by it, else of those that come in. Filters need no rights; where the programs of
/// tcx cannot be asked for (no CAP_NET_ADMIN), that is an entry, too.
[[nodiscard]] std::vector<rules::walk::NotLookedAt> programs_on(const std::string& interface, bool leaving);

}  // namespace kubenatd::netlink::host
