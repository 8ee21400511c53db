#include "agent/dataplane/nf_session.h"

#include <utility>

namespace kubenatd::agent::dataplane {

rules::Result<NfSession> NfSession::open(Kernel& kernel) {
  auto writer = kernel.connect();
  if (!writer) return std::unexpected(writer.error());
  auto listener = kernel.connect();
  if (!listener) return std::unexpected(listener.error());
  return NfSession(kernel, netlink::NfTables(std::move(*writer)), netlink::Monitor(std::move(*listener)));
}

rules::Status NfSession::start() {
  if (auto joined = monitor_.join(); !joined) return joined;
  muted_ = false;
  auto generation = kernel_.generation();
  if (!generation) return std::unexpected(generation.error());
  generation_ = *generation;
  return {};
}

rules::Result<NfSession::Drained> NfSession::drain(const Visit& visit) {
  Drained drained;
  if (muted_) return drained;
  // Asked before the events are read, so that none of what it stands for is missed.
  std::optional<std::uint32_t> asked;
  if (std::exchange(doubtful_, false)) {
    const auto generation = kernel_.generation();
    if (!generation) return std::unexpected(generation.error());
    asked = *generation;
  }
  const std::uint32_t own = kernel_.port_id();
  auto result = monitor_.drain([&](const netlink::TableEvent& event) {
    if (event.kind == netlink::TableEvent::Kind::kGeneration) {
      generation_ = event.generation;
      asked.reset();
    }
    if (event.port_id == own) return;
    ++drained.foreign;
    visit(event);
  });
  if (!result) return std::unexpected(result.error());
  if (asked) generation_ = *asked;
  drained.overrun = result->overrun;
  if (drained.overrun) {
    ++overruns_;
    auto generation = kernel_.generation();
    if (!generation) return std::unexpected(generation.error());
    generation_ = *generation;
  }
  return drained;
}

std::expected<netlink::CommitReport, netlink::CommitFailure> NfSession::commit(netlink::Batch& batch, bool guarded) {
  const auto start = std::chrono::steady_clock::now();
  auto committed = kernel_.commit(batch, guarded ? std::optional(generation_) : std::nullopt);
  kernel_time_ += std::chrono::steady_clock::now() - start;
  if (committed) {
    // Without the guard others may have come between: counting on keeps a later guard honest, it then refuses.
    generation_ = guarded ? committed->generation : generation_ + 1;
  } else {
    doubtful_ = doubtful_ || committed.error().generation_changed || committed.error().unknown;
  }
  return committed;
}

rules::Status NfSession::mute() {
  if (muted_) return {};
  if (auto left = monitor_.leave(); !left) return left;
  muted_ = true;
  return {};
}

rules::Result<bool> NfSession::unmute() {
  if (!muted_) return true;
  const std::uint32_t expected = generation_;
  if (auto started = start(); !started) return std::unexpected(started.error());
  return generation_ == expected;
}

}  // namespace kubenatd::agent::dataplane
