#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "agent/dataplane/kernel.h"
#include "netlink/core/monitor.h"
#include "netlink/core/nf_tables.h"

namespace kubenatd::agent::dataplane {

/// The conversation with nf_tables: reading and writing, and knowing whether somebody else wrote in between.
///
/// Threading: one thread. Failure: as NfTables and Monitor. Cost: none of its own.
///
/// While it is muted, no events are delivered: during a large transaction of our own the kernel would make a
/// notification for every rule. unmute() then tells from the generation whether anybody else wrote meanwhile.
class NfSession {
 public:
  using Visit = std::function<void(const netlink::TableEvent&)>;

  /// `kernel` must outlive this.
  [[nodiscard]] static rules::Result<NfSession> open(Kernel& kernel);

  [[nodiscard]] netlink::NfTables& kernel() { return kernel_; }
  /// One more conversation, for reading beside this one.
  [[nodiscard]] rules::Result<std::unique_ptr<netlink::Socket>> connect() { return opener_->connect(); }
  [[nodiscard]] int fd() const { return monitor_.fd(); }

  /// Starts listening and learns the generation. Events tell of every change to what is read from now on.
  [[nodiscard]] rules::Status start();

  struct Drained {
    std::size_t foreign = 0;  ///< events of others
    bool overrun = false;     ///< events were lost: everything must be read again
  };
  /// Reads the queued events and hands those of others to `visit`.
  [[nodiscard]] rules::Result<Drained> drain(const Visit& visit);

  /// Commits. When `guarded`, only if nobody else has written since the events that were drained last.
  [[nodiscard]] std::expected<netlink::CommitReport, netlink::CommitFailure> commit(netlink::Batch& batch,
                                                                                    bool guarded);

  [[nodiscard]] rules::Status mute();
  /// True when nobody else wrote while muted.
  [[nodiscard]] rules::Result<bool> unmute();
  [[nodiscard]] bool muted() const { return muted_; }

  /// Since the start: the time that transactions took in the kernel, and how often events were lost.
  [[nodiscard]] std::chrono::nanoseconds kernel_time() const { return kernel_time_; }
  [[nodiscard]] std::size_t overruns() const { return overruns_; }

 private:
  NfSession(Kernel& opener, netlink::NfTables kernel, netlink::Monitor monitor)
      : opener_(&opener), kernel_(std::move(kernel)), monitor_(std::move(monitor)) {}

  Kernel* opener_;
  netlink::NfTables kernel_;
  netlink::Monitor monitor_;
  std::uint32_t generation_ = 0;
  bool muted_ = false;
  bool doubtful_ = false;  ///< the kernel had another generation than ours: it is asked with the next drain()
  std::chrono::nanoseconds kernel_time_{};
  std::size_t overruns_ = 0;
};

}  // namespace kubenatd::agent::dataplane
