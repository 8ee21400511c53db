#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "agent/api/access.h"
#include "agent/api/tls_material.h"
#include "agent/base/thread_annotations.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// The credentials of a request, kept up to date with the files that they come from.
///
/// Purpose: tokens of service accounts change about every hour, client certificates about every year. Both are read
/// again when a request is made and the last look is older than the period, or after the server refused them. A server
/// without TLS gets none, whatever the access says.
/// Threading: any. Failure: open() fails when something cannot be read. Later the last good credentials stay in use,
/// and `problem` says what is wrong. Cost: reading a few small files in each period.
class Credentials {
 public:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] static rules::Result<std::shared_ptr<Credentials>> open(ClusterAccess access,
                                                                        std::chrono::milliseconds period);

  struct Current {
    std::string authorization;  ///< value of the header; empty: none
    std::shared_ptr<const TlsMaterial> tls;
    std::string problem;  ///< one line, told once; empty: none
  };
  [[nodiscard]] Current current() KUBENATD_EXCLUDES(mutex_);
  /// The server did not accept them (401): the next request looks at the files.
  void refused() KUBENATD_EXCLUDES(mutex_);

  [[nodiscard]] const ClusterAccess& access() const { return access_; }
  /// Which ones are sent, for messages: "users[0].user.token of /etc/kubenatd/kubeconfig".
  [[nodiscard]] std::string describe() const;

 private:
  Credentials(ClusterAccess access, std::chrono::milliseconds period) : access_(std::move(access)), period_(period) {}
  [[nodiscard]] rules::Status read() KUBENATD_REQUIRES(mutex_);
  [[nodiscard]] rules::Status read_nothing() KUBENATD_REQUIRES(mutex_);
  [[nodiscard]] rules::Status read_token() KUBENATD_REQUIRES(mutex_);
  [[nodiscard]] rules::Status read_tls() KUBENATD_REQUIRES(mutex_);

  const ClusterAccess access_;
  const std::chrono::milliseconds period_;
  base::Mutex mutex_;
  std::string authorization_ KUBENATD_GUARDED_BY(mutex_);
  std::string pems_ KUBENATD_GUARDED_BY(mutex_);  ///< what tls_ was made of
  std::shared_ptr<const TlsMaterial> tls_ KUBENATD_GUARDED_BY(mutex_);
  Clock::time_point next_look_ KUBENATD_GUARDED_BY(mutex_){};
};

}  // namespace kubenatd::agent::api
