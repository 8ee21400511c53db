#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "netlink/core/socket.h"
#include "test/support/fake/kernel.h"

namespace kubenatd::test {

/// The kernel of this network namespace and a fake one, of which the same is asked: what they say to it must be equal.
///
/// Purpose: the proof that the fake does not lie. Whatever runs on sockets of connect() sees the real kernel only;
/// differences() then tells where the fake answered otherwise. Threading: one thread. Failure: none of its own. Cost:
/// that of both.
class TwinKernel {
 public:
  [[nodiscard]] std::unique_ptr<netlink::Socket> connect();
  [[nodiscard]] FakeKernel& fake() { return fake_; }
  [[nodiscard]] const std::vector<std::string>& differences() const { return differences_; }
  /// How many messages were compared.
  [[nodiscard]] std::size_t compared() const { return compared_; }

 private:
  friend class TwinSocket;
  FakeKernel fake_;
  std::vector<std::string> differences_;
  std::size_t compared_ = 0;
};

/// Enters a network namespace of its own on a kernel like the one that the fake imitates. Others answer differently:
/// before Linux 6.17 what was deleted is told whole, before 5.13 handles of tables are one row for all namespaces.
/// False, and a line "SKIPPED: ...", where that or the rights are missing.
[[nodiscard]] bool enter_beside_twin();

}  // namespace kubenatd::test
