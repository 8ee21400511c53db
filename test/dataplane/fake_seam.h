#pragma once

#include <memory>

#include "agent/dataplane/kernel.h"
#include "test/support/fake/kernel.h"

namespace kubenatd::agent::test {

/// The kernel in memory as the sync sees it.
class FakeSeam final : public dataplane::Kernel {
 public:
  explicit FakeSeam(kubenatd::test::FakeKernel& fake) : fake_(fake) {}
  rules::Result<std::unique_ptr<netlink::Socket>> connect() override { return fake_.connect(); }
  rules::Result<netlink::host::ConntrackSweep> sweep_flows(rules::Family family, std::uint8_t protocol,
                                                           const IsStale& is_stale) override {
    return fake_.sweep_flows(family, protocol, is_stale);
  }

 private:
  kubenatd::test::FakeKernel& fake_;
};

}  // namespace kubenatd::agent::test
