#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "agent/base/thread_annotations.h"
#include "agent/serve/descriptor_shares.h"
#include "agent/serve/http_server.h"

namespace kubenatd::agent::serve {

/// Keeps servers open: when an address cannot be had, it is tried again every few seconds.
///
/// Purpose: the one place that retries, with one thread for all servers. Threading: any thread but the transport's; the
/// report is called from the keeper's thread as well as from the caller's, never for two things at once. Failure:
/// keep() returns the first error; later ones are not repeated, only a change is reported. Cost: a thread once an
/// address was refused.
class ServerKeeper {
 public:
  /// `what` could not be opened. Without an error: it is open now, after it could not be opened before.
  using Report = std::function<void(const std::string& what, const std::optional<rules::Error>& error)>;

  /// As kube-proxy waits between tries (facts: every 5 s).
  static constexpr std::chrono::milliseconds kRetry = std::chrono::seconds(5);

  /// Whose a server is: there may be any number of those of Services, so they are limited.
  enum class Owner : std::uint8_t { kAgent, kService };

  /// `transport` must outlive this. `shares` says how many servers of Services there may be.
  ServerKeeper(HttpTransport& transport, DescriptorShares shares, Report report = {},
               std::chrono::milliseconds retry = kRetry);
  ~ServerKeeper();
  ServerKeeper(const ServerKeeper&) = delete;
  ServerKeeper& operator=(const ServerKeeper&) = delete;

  /// Opens a server now, and if that fails, later. `what` names it; a server of that name is replaced. The error is
  /// both reported and returned, for those who do not want to go on without it.
  rules::Status keep(const std::string& what, const config::BindAddress& address, HttpHandler handler,
                     HttpLane lane = HttpLane::kProbes, Owner owner = Owner::kAgent) KUBENATD_EXCLUDES(mutex_);
  /// Afterwards its handler does not run any more.
  void drop(const std::string& what) KUBENATD_EXCLUDES(mutex_);

  /// The port of an open server.
  [[nodiscard]] std::optional<std::uint16_t> port(const std::string& what) const KUBENATD_EXCLUDES(mutex_);

 private:
  struct Kept {
    config::BindAddress address;
    HttpHandler handler;
    HttpLane lane;
    Owner owner;
    std::unique_ptr<HttpServer> server;  ///< none: not open yet
  };

  [[nodiscard]] rules::Status open(const std::string& what, Kept& kept) KUBENATD_REQUIRES(mutex_);
  void forget(const std::string& what) KUBENATD_REQUIRES(mutex_);
  void run(const std::stop_token& stop) KUBENATD_EXCLUDES(mutex_);
  void retry_all() KUBENATD_REQUIRES(mutex_);

  HttpTransport& transport_;
  const DescriptorShares shares_;
  Report report_;
  std::chrono::milliseconds retry_;
  mutable base::Mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, Kept> kept_ KUBENATD_GUARDED_BY(mutex_);
  std::size_t open_of_services_ KUBENATD_GUARDED_BY(mutex_) = 0;
  std::jthread thread_ KUBENATD_GUARDED_BY(mutex_);  ///< last: uses all others
};

}  // namespace kubenatd::agent::serve
