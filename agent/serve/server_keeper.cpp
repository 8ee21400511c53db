#include "agent/serve/server_keeper.h"

#include <utility>

#include "agent/base/signals_blocked.h"

namespace kubenatd::agent::serve {

ServerKeeper::ServerKeeper(HttpTransport& transport, Report report, std::chrono::milliseconds retry)
    : transport_(transport), report_(std::move(report)), retry_(retry) {}

ServerKeeper::~ServerKeeper() {
  thread_ = {};
  const base::MutexLock lock(mutex_);
  kept_.clear();
}

rules::Status ServerKeeper::keep(const std::string& what, const config::BindAddress& address, HttpHandler handler,
                                 HttpLane lane) {
  const base::MutexLock lock(mutex_);
  kept_.erase(what);
  Kept& kept = kept_.emplace(what, Kept{address, std::move(handler), lane, nullptr}).first->second;
  auto opened = HttpServer::open(transport_, kept.address, kept.handler, kept.lane);
  if (opened) {
    kept.server = std::move(*opened);
    return {};
  }
  if (report_) report_(what, opened.error());
  if (!thread_.joinable()) {
    const base::SignalsBlocked blocked;
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  return std::unexpected(opened.error());
}

void ServerKeeper::drop(const std::string& what) {
  const base::MutexLock lock(mutex_);
  kept_.erase(what);
}

std::optional<std::uint16_t> ServerKeeper::port(const std::string& what) const {
  const base::MutexLock lock(mutex_);
  const auto kept = kept_.find(what);
  if (kept == kept_.end() || !kept->second.server) return std::nullopt;
  return kept->second.server->port();
}

void ServerKeeper::run(const std::stop_token& stop) {
  base::MutexLock lock(mutex_);
  for (;;) {
    wake_.wait_for(lock, stop, retry_, [] { return false; });
    if (stop.stop_requested()) return;
    retry_all();
  }
}

void ServerKeeper::retry_all() {
  for (auto& [what, kept] : kept_) {
    if (kept.server) continue;
    auto opened = HttpServer::open(transport_, kept.address, kept.handler, kept.lane);
    if (!opened) continue;
    kept.server = std::move(*opened);
    if (report_) report_(what, std::nullopt);
  }
}

}  // namespace kubenatd::agent::serve
