#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "test/support/process.h"

namespace kubenatd::soak {

/// Takes away nearly all room for events from the sockets of a process that listen to netlink groups, until this is
/// gone: what many changes tell is lost then (ENOBUFS).
///
/// Failure: the constructor leaves `why` with what the machine does not allow.
class NarrowEvents {
 public:
  explicit NarrowEvents(pid_t pid);
  NarrowEvents(const NarrowEvents&) = delete;
  NarrowEvents& operator=(const NarrowEvents&) = delete;
  ~NarrowEvents();
  [[nodiscard]] const std::optional<std::string>& why() const { return why_; }
  [[nodiscard]] std::size_t sockets() const { return sockets_.size(); }

 private:
  std::vector<std::pair<test::Descriptor, int>> sockets_;  ///< with their size of before
  std::optional<std::string> why_;
};

/// Fills the connection table of a namespace for some seconds with connections that the kernel does not give up early.
/// Returns why not, when the machine's table is too large for that.
[[nodiscard]] std::optional<std::string> fill_conntrack(const test::Namespace& node, int seconds);

}  // namespace kubenatd::soak
