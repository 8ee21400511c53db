#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "agent/dataplane/kernel.h"

namespace kubenatd::agent::test {

/// A kernel with a hand between it and the agent: what can go wrong on either kernel without its doing.
///
/// Threading: one thread. Failure: as ordered. Cost: none of its own.
class Interposer final : public dataplane::Kernel {
 public:
  explicit Interposer(dataplane::Kernel& inner) : inner_(inner) {}

  /// Called before each transaction that the agent sends: the place for another writer.
  void before_each_commit(std::function<void()> call) { orders_->before_commit = std::move(call); }
  /// After so many transactions nothing more reaches the kernel: the agent is dead, in the middle of its work.
  void die_after(std::size_t commits) { orders_->left = commits; }
  /// The next transactions are carried out, but their answers are lost in an overrun.
  void lose_answers(std::size_t commits) { orders_->lost_answers = commits; }
  /// Sent so far, by the agent.
  [[nodiscard]] std::size_t commits() const { return orders_->commits; }
  [[nodiscard]] std::size_t largest_commit() const { return orders_->largest; }

  rules::Result<std::unique_ptr<netlink::Socket>> connect() override;
  rules::Result<netlink::host::ConntrackSweep> sweep_flows(rules::Family family, std::uint8_t protocol,
                                                           const IsStale& is_stale) override {
    return inner_.sweep_flows(family, protocol, is_stale);
  }
  std::optional<bool> is_local(const rules::Address& address) override { return inner_.is_local(address); }

 private:
  class Wrapped;
  struct Orders {
    std::function<void()> before_commit;
    std::size_t left = static_cast<std::size_t>(-1);
    std::size_t lost_answers = 0;
    std::size_t commits = 0;
    std::size_t largest = 0;  ///< bytes
  };

  dataplane::Kernel& inner_;
  std::shared_ptr<Orders> orders_ = std::make_shared<Orders>();
};

}  // namespace kubenatd::agent::test
