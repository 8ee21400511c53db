#include "agent/serve/server_keeper.h"

#include <fmt/format.h>

#include <cerrno>
#include <utility>

#include "agent/base/signals_blocked.h"

namespace kubenatd::agent::serve {

ServerKeeper::ServerKeeper(HttpTransport& transport, DescriptorShares shares, Report report,
                           std::chrono::milliseconds retry)
    : transport_(transport), shares_(shares), report_(std::move(report)), retry_(retry) {}

ServerKeeper::~ServerKeeper() {
  thread_ = {};
  const base::MutexLock lock(mutex_);
  kept_.clear();
}

rules::Status ServerKeeper::keep(const std::string& what, const config::BindAddress& address, HttpHandler handler,
                                 HttpLane lane, Owner owner) {
  const base::MutexLock lock(mutex_);
  forget(what);
  Kept& kept = kept_.emplace(what, Kept{address, std::move(handler), lane, owner, nullptr}).first->second;
  rules::Status opened = open(what, kept);
  if (opened) return opened;
  if (report_) report_(what, opened.error());
  if (!thread_.joinable()) {
    const base::SignalsBlocked blocked;
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  return opened;
}

rules::Status ServerKeeper::open(const std::string& what, Kept& kept) {
  if (kept.owner == Owner::kService && open_of_services_ >= shares_.health_ports)
    return rules::fail(what, "open",
                       fmt::format("the process may have {} descriptors, and the {} that are not kept for its work and "
                                   "its clients are taken: raise the limit (LimitNOFILE=, ulimit -Hn)",
                                   shares_.limit, shares_.health_ports),
                       EMFILE);
  auto opened = HttpServer::open(transport_, kept.address, kept.handler, kept.lane);
  if (!opened) return std::unexpected(opened.error());
  kept.server = std::move(*opened);
  if (kept.owner == Owner::kService) ++open_of_services_;
  return {};
}

void ServerKeeper::forget(const std::string& what) {
  const auto found = kept_.find(what);
  if (found == kept_.end()) return;
  if (found->second.owner == Owner::kService && found->second.server) --open_of_services_;
  kept_.erase(found);
}

void ServerKeeper::drop(const std::string& what) {
  const base::MutexLock lock(mutex_);
  forget(what);
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
    if (kept.server || !open(what, kept)) continue;
    if (report_) report_(what, std::nullopt);
  }
}

}  // namespace kubenatd::agent::serve
