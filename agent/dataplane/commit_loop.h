#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/nf_session.h"

namespace kubenatd::agent::dataplane {

/// What a mode does in a sync. CommitLoop calls prepare(), and then either put_back() or committed().
class SyncSteps {
 public:
  virtual ~SyncSteps() = default;

  /// For messages: "IPv4 tables".
  [[nodiscard]] virtual std::string name() const = 0;
  /// Reads what is suspected, compares, and adds to `batch` what must be written. What no packet can see yet may be
  /// sent earlier through `stage`. When that fails, prepare() returns its error and leaves everything pending.
  using Stage = std::function<std::expected<void, netlink::CommitFailure>(netlink::Batch&)>;
  [[nodiscard]] virtual std::expected<void, netlink::CommitFailure> prepare(NfSession& session, netlink::Batch& batch,
                                                                            const Stage& stage, SyncReport& report) = 0;
  /// The number of notifications that the transaction makes: one for each message, or for each element where there are
  /// more.
  [[nodiscard]] virtual std::size_t notifications(const netlink::Batch& batch) const = 0;
  /// True when an event since prepare() concerns what prepare() has read.
  [[nodiscard]] virtual bool is_outdated() const = 0;
  /// The batch was not committed: all that it contained is still to be done.
  virtual void put_back() = 0;
  /// The batch is in the kernel, or there was nothing to write. Returns false when something must be looked at again.
  [[nodiscard]] virtual rules::Result<bool> committed(NfSession& session, const netlink::CommitReport& commit,
                                                      SyncReport& report) = 0;
  /// Everything has to be read again, as our own picture is in doubt.
  virtual void read_again() = 0;
  /// Events of others were lost: everything has to be read again, and what differs is their doing.
  virtual void events_lost() = 0;
  /// Takes out what the kernel refused of one transaction. True when something of it could be taken out.
  [[nodiscard]] virtual bool take_out(const std::vector<rules::Refusal>& refusals, SyncReport& report) = 0;
  /// True when the refusal is about something that was refused before and is tried again now. Then it is taken out
  /// without another look at the kernel.
  [[nodiscard]] virtual bool is_trial(const rules::Refusal& refusal) const = 0;
};

/// Tries until the kernel holds what is wanted. The same for both modes.
///
/// Purpose: one transaction, with no other writer between reading and writing. When others write all the time, the last
/// tries no longer ask for that. After a refused transaction everything is read again first, because the picture may
/// have been old; what is refused once more is taken out. When the outcome of a transaction is not known, everything is
/// read again. Threading: one thread. Failure: as Dataplane::sync(). Cost: that of the steps.
class CommitLoop {
 public:
  /// `others` is shown what other programs do meanwhile.
  [[nodiscard]] rules::Result<SyncReport> run(SyncSteps& steps, NfSession& session, const NfSession::Visit& others);

 private:
  enum class Outcome : std::uint8_t { kDone, kAgain };

  [[nodiscard]] rules::Result<Outcome> attempt(SyncSteps& steps, NfSession& session, const NfSession::Visit& others,
                                               bool insist, SyncReport& report);
  [[nodiscard]] rules::Result<Outcome> after_failure(SyncSteps& steps, const netlink::CommitFailure& failure,
                                                     SyncReport& report);

  bool failed_before_ = false;  ///< the last commit was refused although everything had just been read
};

}  // namespace kubenatd::agent::dataplane
