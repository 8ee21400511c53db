#pragma once

#include <cstdint>
#include <functional>

#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::netlink::host {

/// A conntrack entry as far as DNAT clean-up needs it.
struct ConntrackFlow {
  std::uint8_t protocol = 0;
  rules::Address original_source, original_destination;
  std::uint16_t original_source_port = 0, original_destination_port = 0;
  rules::Address reply_source;  ///< who answers: the endpoint, when the flow is DNATed
  std::uint16_t reply_source_port = 0;
  std::uint16_t zone = 0;
};

struct ConntrackSweep {
  std::size_t seen = 0;
  std::size_t deleted = 0;
  std::size_t busy = 0;      ///< stale, but offloaded to a flow table: the kernel does not let them be deleted (EBUSY)
  bool interrupted = false;  ///< the dump was interrupted; what was read has been handled
};

/// Dumps the entries of `family` and `protocol` (IP protocol number) and deletes those for which `stale` says so.
///
/// Threading: opens its own sockets and blocks until the dump has ended. Failure: an entry that is gone before it is
/// deleted is no error. Errors are: a kernel without ctnetlink (EOPNOTSUPP), missing rights (EPERM), and refused
/// deletions, which are reported after the whole sweep. Cost: one dump, filtered by protocol in the kernel where it can
/// do that. Memory does not grow with the table, because stale entries are deleted in groups while the dump goes on.
/// `stale` must not throw.
[[nodiscard]] rules::Result<ConntrackSweep> sweep_conntrack(rules::Family family, std::uint8_t protocol,
                                                            const std::function<bool(const ConntrackFlow&)>& stale);

}  // namespace kubenatd::netlink::host
