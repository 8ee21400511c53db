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

}  // namespace kubenatd::test
