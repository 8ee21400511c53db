#pragma once

#include <vector>

#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::netlink::host {

/// Every address of every interface of this network namespace, both families, sorted, without doubles.
/// IPv6 link-local addresses are included. Needs no rights.
[[nodiscard]] rules::Result<std::vector<rules::Address>> local_addresses();

/// Tells when what is local may have changed: an address or a link came, went or changed state, a route of type local
/// or of table `local`, a rule of policy routing. Other routes wake nobody, however many change.
///
/// Not told, because the kernel (6.18) does not tell it: that IPv4 routes went with their link or their source address.
/// The message about that address comes before they go, so who reads at once may still find them, and should look again
/// a little later.
/// Threading: one thread; fd() is for epoll. Failure: values. Cost: one message for each of these; needs no rights.
class AddressMonitor {
 public:
  [[nodiscard]] static rules::Result<AddressMonitor> open();
  AddressMonitor(AddressMonitor&&) noexcept;
  AddressMonitor& operator=(AddressMonitor&&) noexcept;
  ~AddressMonitor();
  [[nodiscard]] int fd() const;
  /// Reads all that is queued. True when anything may have changed (an overrun counts as a change).
  [[nodiscard]] bool drain();

 private:
  struct Impl;
  explicit AddressMonitor(Impl* impl);
  Impl* impl_;
};

}  // namespace kubenatd::netlink::host
