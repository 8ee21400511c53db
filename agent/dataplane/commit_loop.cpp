#include "agent/dataplane/commit_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace kubenatd::agent::dataplane {
namespace {

/// Past this many messages or elements the kernel's notifications about them are not listened to.
constexpr std::size_t kQuietNotifications = 1000;
constexpr std::size_t kMaxAttempts = 16;
/// From this attempt on the generation is not asked for any more: somebody writes all the time, and every message names
/// its object and neighbour, so that it fails rather than hit something else.
constexpr std::size_t kUnguardedAttempt = 8;

void count(const netlink::Batch& batch, SyncReport& report) {
  ++report.transactions;
  report.messages += batch.messages();
  report.bytes += batch.bytes();
}

netlink::CommitFailure failure_of(rules::Error error) {
  return {.error = std::move(error), .generation_changed = false, .unknown = false, .refusals = {}};
}

/// Somebody made what was about to be made, or removed what was about to be removed: nothing of ours is at fault.
bool is_overtaken(const rules::Refusal& refusal) {
  return refusal.code == EEXIST || (refusal.code == ENOENT && rules::is_delete(refusal.operation));
}

}  // namespace

rules::Result<SyncReport> CommitLoop::run(SyncSteps& steps, NfSession& session, const NfSession::Visit& others) {
  SyncReport report;
  for (std::size_t before = 0; before < kMaxAttempts; ++before) {
    auto outcome = attempt(steps, session, others, before >= kUnguardedAttempt, report);
    if (session.muted()) {
      const auto alone = session.unmute();
      if (!alone || !*alone) steps.read_again();  // somebody wrote while nobody listened
      if (!alone) return std::unexpected(alone.error());
      if (!*alone && outcome) outcome = Outcome::kAgain;
    }
    if (!outcome) return std::unexpected(outcome.error());
    if (*outcome == Outcome::kDone) return report;
    ++report.retries;
  }
  return rules::fail(steps.name(), "synchronise",
                     fmt::format("other programs kept changing what it is about during {} attempts", kMaxAttempts),
                     EAGAIN);
}

rules::Result<CommitLoop::Outcome> CommitLoop::attempt(SyncSteps& steps, NfSession& session,
                                                       const NfSession::Visit& others, bool insist,
                                                       SyncReport& report) {
  const SyncSteps::Stage stage = [&](netlink::Batch& part) -> std::expected<void, netlink::CommitFailure> {
    if (auto muted = session.mute(); !muted) return std::unexpected(failure_of(muted.error()));
    count(part, report);
    if (auto committed = session.commit(part, false); !committed) return std::unexpected(committed.error());
    return {};
  };
  netlink::Batch batch;
  if (auto prepared = steps.prepare(session, batch, stage, report); !prepared)
    return after_failure(steps, prepared.error(), report);
  const auto finish = [&](const netlink::CommitReport& commit) -> rules::Result<Outcome> {
    failed_before_ = false;
    const auto complete = steps.committed(session, commit, report);
    if (!complete) return std::unexpected(complete.error());
    return *complete ? Outcome::kDone : Outcome::kAgain;
  };
  if (batch.empty()) return finish({});

  for (std::size_t tries = 0;; ++tries) {
    const auto drained = session.drain(others);
    if (!drained || drained->overrun) {
      steps.put_back();
      steps.events_lost();
      if (!drained) return std::unexpected(drained.error());
      return Outcome::kAgain;
    }
    const bool guarded = !insist && tries < kUnguardedAttempt;
    if (guarded && steps.is_outdated()) {
      steps.put_back();
      return Outcome::kAgain;
    }
    // Right after listening: with a writer that never stops, the moment in which nobody listens has to be short.
    if (steps.notifications(batch) > kQuietNotifications && !session.muted()) {
      if (auto muted = session.mute(); !muted) {
        steps.put_back();
        steps.read_again();
        return std::unexpected(muted.error());
      }
    }
    const auto committed = session.commit(batch, guarded);
    if (committed) {
      count(batch, report);
      report.wrote = true;
      return finish(*committed);
    }
    if (committed.error().generation_changed && !session.muted()) {
      ++report.retries;
      continue;
    }
    steps.put_back();
    return after_failure(steps, committed.error(), report);
  }
}

rules::Result<CommitLoop::Outcome> CommitLoop::after_failure(SyncSteps& steps, const netlink::CommitFailure& failure,
                                                             SyncReport& report) {
  if (failure.generation_changed) {
    ++report.retries;
    return Outcome::kAgain;
  }
  steps.read_again();
  if (failure.unknown) return Outcome::kAgain;
  if (failure.refusals.empty()) return std::unexpected(failure.error);
  if (std::ranges::any_of(failure.refusals, is_overtaken)) return Outcome::kAgain;
  const bool on_trial =
      std::ranges::all_of(failure.refusals, [&](const rules::Refusal& refusal) { return steps.is_trial(refusal); });
  if (!on_trial && !std::exchange(failed_before_, true)) return Outcome::kAgain;  // the picture may have been old
  failed_before_ = false;
  if (!steps.take_out(failure.refusals, report)) return std::unexpected(failure.error);
  return Outcome::kAgain;
}

}  // namespace kubenatd::agent::dataplane
