#include <algorithm>
#include <cerrno>
#include <utility>

#include "netlink/core/messages.h"
#include "netlink/core/nf_tables.h"
#include "netlink/core/refusal.h"

/// The writing half of NfTables: a transaction and what the kernel says to it.
namespace kubenatd::netlink {
namespace {

using rules::Error;

// An echoed rule is a message of its own, packed into 4 KiB datagrams (nft_commit_notify) unless it is larger; the
// kernel doubles what is asked for and counts its own overhead.
constexpr std::size_t kEchoBytes = 4096;
constexpr std::size_t kAnswerBytes = 1024 * 1024;
// What sendmsg of a transaction may take beyond its bytes (sk_buff and padding).
constexpr std::size_t kSendOverhead = 64 * 1024;

std::unexpected<CommitFailure> not_applied(Error error) {
  return std::unexpected(CommitFailure{.error = std::move(error), .refusals = {}});
}

/// The one that a transaction starts; 0 is passed over (nf_tables_commit).
constexpr std::uint32_t generation_after(std::uint32_t generation) {
  return std::max(generation + 1, 1U);
}

}  // namespace

std::expected<CommitReport, CommitFailure> NfTables::commit(Batch& batch, std::optional<std::uint32_t> generation) {
  if (batch.refused_) return not_applied(*batch.refused_);
  // Only echoes can be so many that answers are lost; who did not ask for any is not made to wait for this.
  std::optional<std::uint32_t> before = generation;
  if (!before && (batch.empty() || batch.echoes_ != 0)) {
    auto now = this->generation();
    if (!now) return not_applied(std::move(now.error()));
    before = *now;
  }
  if (batch.empty()) return CommitReport{.generation = *before, .handles = {}};
  socket_->drain();
  socket_->grow_send_buffer(batch.bytes() + kSendOverhead);
  if (batch.echoes_ != 0) socket_->grow_receive_buffer(kAnswerBytes + batch.echoes_ * kEchoBytes);
  const rules::Status sent = socket_->send(batch.seal(generation));
  batch.unseal();
  if (!sent)
    return not_applied({"nf_tables", "commit", sent.error().operation + ": " + sent.error().cause, sent.error().code});

  auto answers = read_answers();
  if (!answers) return look_up_outcome(before, std::move(answers.error()));
  if (!answers->refusals.empty()) return name_refusals(batch, *answers);
  if (!answers->acknowledged) {
    const int code = answers->overrun ? ENOBUFS : EBADMSG;
    return look_up_outcome(before, {"nf_tables", "commit", "the kernel's answer was lost", code});
  }
  CommitReport report;
  if (answers->handles.size() == batch.echoes_) report.handles = std::move(answers->handles);
  if (answers->generation) {
    report.generation = *answers->generation;
    return report;
  }
  // Not told although asked for: nothing had to be changed, for which the kernel starts no generation.
  if (generation && batch.asked_generation_ && !answers->overrun) {
    report.generation = *generation;
    return report;
  }
  const auto now = this->generation();
  if (!now) return report;
  report.generation = generation && *now != *generation ? generation_after(*generation) : *now;
  return report;
}

rules::Result<CommitAnswers> NfTables::read_answers() {
  // The kernel has handled the transaction inside sendmsg: every answer is queued by now. A refused one sends no
  // echoes, so that these cannot push out a refusal.
  CommitAnswers answers;
  for (;;) {
    const auto received = socket_->poll();
    if (!received) return std::unexpected(received.error());
    if (received->kind == Received::Kind::kNothing) return answers;
    if (received->kind == Received::Kind::kOverrun) answers.overrun = true;
    answers.add(received->data);
  }
}

std::expected<CommitReport, CommitFailure> NfTables::look_up_outcome(std::optional<std::uint32_t> before, Error why) {
  const auto now = generation();
  if (now && before && *now == *before) return not_applied(std::move(why));
  // A refusal for another writer's sake (ERESTART) is a single small answer to a queue that was empty: it is not lost.
  // So the step is ours.
  if (now && before && *now == generation_after(*before)) return CommitReport{.generation = *now, .handles = {}};
  return std::unexpected(CommitFailure{.error = std::move(why), .unknown = true, .refusals = {}});
}

std::unexpected<CommitFailure> NfTables::name_refusals(const Batch& batch, const CommitAnswers& answers) {
  CommitFailure failure;
  std::uint32_t last_named = 0;
  for (const Acknowledgement& refusal : answers.refusals) {
    // The kernel answers this for the whole transaction, though with the sequence number of its first message.
    if (refusal.code == ERESTART) {
      failure.generation_changed = true;
      failure.error = {"nf_tables", "commit", "another writer came between", ERESTART};
      continue;
    }
    // The message before the first one bears its number: what is wrong with the table may be said twice.
    if (refusal.sequence != 0 && refusal.sequence == std::exchange(last_named, refusal.sequence)) continue;
    const std::string_view message = batch.message(refusal.sequence);
    rules::Refusal named = name_refusal(refusal, message);
    if (failure.error.code == 0) failure.error = rules::to_error(named);
    if (!message.empty()) failure.refusals.push_back(std::move(named));
  }
  return std::unexpected(std::move(failure));
}

}  // namespace kubenatd::netlink
