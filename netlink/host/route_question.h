#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "netlink/host/kernel_talk.h"
#include "rules/walk/packet.h"

namespace kubenatd::netlink::host {

/// The kernel's own answer on where a packet goes (RTM_GETROUTE), with policy routing and marks.
///
/// What the kernel (6.18) says of a packet that arrives, and what is made of it:
///  - ENETUNREACH: no route; EHOSTUNREACH: a route of type unreachable, and whenever the interface does not forward;
///    EACCES: prohibit; EINVAL: blackhole, and whenever the source may not come in there (rp_filter, an address of the
///    node itself, 127.0.0.0/8); older kernels say EXDEV for rp_filter.
///  - For the two that say more than one thing, the route is asked for again as one of the node's own packets, without
///    source, and so is that of a packet whose interface is not known (an empty name). Where policy rules look at the
///    source or the interface, that says nothing: kUnknown. `source_refused` tells that the kernel does not take the
///    source.
/// Where the answer depends on something that is not in the question (unknown bits of the mark, policy rules by port,
/// protocol, TOS or user, multipath by ports), it is kUnknown or has no interface.
///
/// Purpose: Surroundings::ask_route. Threading: one thread. Failure: kUnknown. Cost: two or three questions for a new
/// (destination, source, interface, mark), none for one that was asked before. Needs no rights.
class RouteAsker {
 public:
  [[nodiscard]] static rules::Result<RouteAsker> open();

  [[nodiscard]] rules::walk::RouteAnswer ask(const rules::walk::RouteQuestion& question);

 private:
  struct Policy {                 ///< rules of policy routing, of one family
    std::uint32_t mark_bits = 0;  ///< that any of them looks at
    bool origin = false;          ///< they look at the source or the interface
    bool more = false;            ///< they look at what no question has
  };
  struct Said {  ///< one answer of the kernel
    int code = 0;
    rules::walk::RouteAnswer answer;
  };

  explicit RouteAsker(KernelTalk talk) : talk_(std::move(talk)) {}
  [[nodiscard]] Policy read_policy(rules::Family family);
  [[nodiscard]] rules::walk::RouteAnswer ask_marked(const rules::walk::RouteQuestion& question, const Policy& policy);
  [[nodiscard]] Said ask_kernel(const rules::walk::RouteQuestion& question);
  void look_at_paths(const rules::walk::RouteQuestion& question, rules::walk::RouteAnswer& answer);
  void look_at_neighbour(const rules::Address& destination, rules::walk::RouteAnswer& answer);

  using Key = std::tuple<rules::Address, std::optional<rules::Address>, std::optional<std::string>, std::uint32_t,
                         std::uint32_t>;
  KernelTalk talk_;
  std::map<Key, rules::walk::RouteAnswer> known_;
  std::map<rules::Family, Policy> policy_;
};

}  // namespace kubenatd::netlink::host
