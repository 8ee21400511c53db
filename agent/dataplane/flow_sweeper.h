#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/kernel.h"
#include "agent/state/service_state.h"
#include "agent/state/stale_flows.h"

namespace kubenatd::agent::dataplane {

/// Removes the UDP flows of one family that the present rules would not make. Otherwise a client that goes on sending
/// would be sent to an endpoint that is gone, as long as it sends.
///
/// Purpose: knows which UDP frontends there are and were, and when connection tracking must be looked through. That is
/// after changes of frontends, and twice: a packet that was under way during the commit can make an entry by the old
/// rules just after the first time. Threading: one thread; the caller gives the time. Failure: a failed sweep is
/// reported, and tried again with the next change. Cost: a sweep reads the UDP entries of the family.
class FlowSweeper {
 public:
  FlowSweeper(rules::Family family, state::Precedence precedence) : family_(family), frontends_(family, precedence) {}

  void apply(const state::ViewChange& change);
  void add(const rules::ServicePortView& view);
  /// Where NodePorts answer, and all that is local: the addresses of interfaces, and prefixes by a route.
  void set_node(const rules::NodeOptions& options, std::span<const rules::Address> local,
                std::span<const rules::Prefix> local_prefixes);
  /// The host ports in force may have changed.
  void follow(const rules::hostport::HostPorts& host_ports);
  /// A frontend that rules of an earlier run served.
  void add_left_over(const UdpFrontend& frontend);

  /// A sweep is due now, if what the objects want is committed.
  [[nodiscard]] bool is_due(Time now) const { return (now_ && frontends_.needs_sweep()) || (again_ && *again_ <= now); }
  /// When the second sweep is due.
  [[nodiscard]] std::optional<Time> again() const { return again_; }

  struct Swept {
    std::size_t deleted = 0;
    Clock::duration took{};
  };
  [[nodiscard]] rules::Result<Swept> sweep(Kernel& kernel, Time now);

 private:
  rules::Family family_;
  state::UdpFrontends frontends_;
  std::uint64_t host_port_version_ = 0;
  std::set<std::string> host_ports_;  ///< names under which frontends_ has them
  bool now_ = true;
  std::optional<Time> again_;
};

}  // namespace kubenatd::agent::dataplane
