#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "netlink/core/socket.h"
#include "netlink/host/conntrack.h"
#include "netlink/host/local_routes.h"
#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::agent::dataplane {

/// The kernel as the sync sees it: conversations with nf_tables, and the flows that connection tracking knows. Tests
/// use a kernel in memory in its place, which speaks the same messages.
///
/// Threading: one thread. Failure: values. Cost: none of its own.
class Kernel {
 public:
  virtual ~Kernel() = default;
  /// A new conversation with nf_tables.
  [[nodiscard]] virtual rules::Result<std::unique_ptr<netlink::Socket>> connect() = 0;
  /// As netlink::host::sweep_conntrack().
  using IsStale = std::function<bool(const netlink::host::ConntrackFlow&)>;
  [[nodiscard]] virtual rules::Result<netlink::host::ConntrackSweep> sweep_flows(rules::Family family,
                                                                                 std::uint8_t protocol,
                                                                                 const IsStale& is_stale) = 0;
  /// As netlink::host::is_local(); none: it cannot be told.
  [[nodiscard]] virtual std::optional<bool> is_local(const rules::Address& address) = 0;
};

/// The kernel of this network namespace.
class NetlinkKernel final : public Kernel {
 public:
  [[nodiscard]] rules::Result<std::unique_ptr<netlink::Socket>> connect() override { return netlink::open_socket(); }
  [[nodiscard]] rules::Result<netlink::host::ConntrackSweep> sweep_flows(rules::Family family, std::uint8_t protocol,
                                                                         const IsStale& is_stale) override {
    return netlink::host::sweep_conntrack(family, protocol, is_stale);
  }
  [[nodiscard]] std::optional<bool> is_local(const rules::Address& address) override {
    const auto local = netlink::host::is_local(address);
    return local ? std::optional(*local) : std::nullopt;
  }
};

}  // namespace kubenatd::agent::dataplane
