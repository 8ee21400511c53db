#include "agent/serve/server_keeper.h"

#include <csignal>
#include <utility>

namespace kubenatd::agent::serve {

ServerKeeper::ServerKeeper(HttpTransport& transport, Report report, std::chrono::milliseconds retry)
    : transport_(transport), report_(std::move(report)), retry_(retry) {}

ServerKeeper::~ServerKeeper() {
  thread_ = {};
  const std::scoped_lock lock(mutex_);
  kept_.clear();
}

rules::Status ServerKeeper::keep(const std::string& what, const config::BindAddress& address, HttpHandler handler) {
  const std::scoped_lock lock(mutex_);
  kept_.erase(what);
  Kept& kept = kept_.emplace(what, Kept{address, std::move(handler), nullptr}).first->second;
  auto opened = HttpServer::open(transport_, kept.address, kept.handler);
  if (opened) {
    kept.server = std::move(*opened);
    return {};
  }
  if (report_) report_(what, opened.error());
  if (!thread_.joinable()) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    // Signals are for the thread that waits for them.
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  return std::unexpected(opened.error());
}

void ServerKeeper::drop(const std::string& what) {
  const std::scoped_lock lock(mutex_);
  kept_.erase(what);
}

std::optional<std::uint16_t> ServerKeeper::port(const std::string& what) const {
  const std::scoped_lock lock(mutex_);
  const auto kept = kept_.find(what);
  if (kept == kept_.end() || !kept->second.server) return std::nullopt;
  return kept->second.server->port();
}

void ServerKeeper::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, stop, retry_, [] { return false; });
    if (stop.stop_requested()) return;
    retry_all();
  }
}

void ServerKeeper::retry_all() {
  for (auto& [what, kept] : kept_) {
    if (kept.server) continue;
    auto opened = HttpServer::open(transport_, kept.address, kept.handler);
    if (!opened) continue;
    kept.server = std::move(*opened);
    if (report_) report_(what, std::nullopt);
  }
}

}  // namespace kubenatd::agent::serve
