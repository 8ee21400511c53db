#pragma once

#include <vector>

#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::netlink::host {

/// Every address of every interface of this network namespace, both families, sorted, without doubles.
/// IPv6 link-local addresses are included. Needs no rights.
[[nodiscard]] rules::Result<std::vector<rules::Address>> local_addresses();

/// Tells when an address or a link came, went or changed state (RTNLGRP_LINK, _IPV4_IFADDR, _IPV6_IFADDR).
/// Threading: one thread; fd() is for epoll.
class AddressMonitor {
 public:
  [[nodiscard]] static rules::Result<AddressMonitor> open();
  AddressMonitor(AddressMonitor&&) noexcept;
  AddressMonitor& operator=(AddressMonitor&&) noexcept;
  ~AddressMonitor();
  [[nodiscard]] int fd() const;
  /// Reads all that is queued. True when anything about addresses may have changed (an overrun counts as a change).
  [[nodiscard]] bool drain();

 private:
  struct Impl;
  explicit AddressMonitor(Impl* impl);
  Impl* impl_;
};

}  // namespace kubenatd::netlink::host
