#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "agent/api/body_inbox.h"
#include "agent/api/credentials.h"
#include "agent/api/gzip_reader.h"
#include "agent/api/timing.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// One request and its answer. Destroying it before the end of the body closes the connection.
class ApiExchange {
 public:
  virtual ~ApiExchange() {
    if (ended_) ended_();
  }
  ApiExchange(const ApiExchange&) = delete;
  ApiExchange& operator=(const ApiExchange&) = delete;

  [[nodiscard]] const ResponseHead& head() const { return head_; }
  /// The next block of the body, unpacked, valid until the next call.
  [[nodiscard]] BodyInbox::State next(BodyInbox::Clock::time_point until, const std::stop_token& stop,
                                      std::string_view& block);
  [[nodiscard]] std::string failure() const { return failure_.empty() ? inbox_->failure() : failure_; }
  /// `ended` is called when this ends, which is when the body has been read or is not wanted.
  void when_ended(std::function<void()> ended) { ended_ = std::move(ended); }

 protected:
  ApiExchange() = default;
  std::function<void()> ended_;  ///< called once, at the end
  std::shared_ptr<BodyInbox> inbox_ = std::make_shared<BodyInbox>();
  ResponseHead head_;
  std::unique_ptr<GzipReader> gzip_;  ///< none: the body comes as it is
  std::string failure_;               ///< of unpacking
};

/// A request other than GET: what to do, and the body with its type.
struct ApiWrite {
  enum class Method : std::uint8_t { kPost, kPatch };
  Method method = Method::kPost;
  std::string body;
  std::string content_type = "application/json";
};

/// Requests to one API server, over cpprestsdk.
///
/// Purpose: the body of an answer comes as a stream. A connection is used again when its last body was read to the end.
/// The library does not connect by itself: each connection is dialled here, through a proxy where there is one, and
/// handed over. Redirects are not followed, as they would send the credentials elsewhere. Threading: one thread at a
/// time; the library has threads of its own behind this. Failure: connection, TLS and protocol errors are values, and
/// may come before the head or in the body; the address that failed last is the last to be tried next time. Cost: one
/// block of the body in memory; the library makes one block of each chunk of the transfer encoding.
class ApiClient {
 public:
  /// `timing` must outlive this. `accept` is the header of that name.
  ApiClient(std::shared_ptr<Credentials> credentials, const ApiTiming& timing, std::string accept = "application/json");
  ~ApiClient();
  ApiClient(const ApiClient&) = delete;
  ApiClient& operator=(const ApiClient&) = delete;

  /// `target` is the path, below the server's own path, and the query, encoded. Waits until `until` for the head of the
  /// answer. ECANCELED: it was stopped; ETIMEDOUT: no answer in time.
  [[nodiscard]] rules::Result<std::unique_ptr<ApiExchange>> get(const std::string& target,
                                                                BodyInbox::Clock::time_point until,
                                                                const std::stop_token& stop);
  /// The same with a body.
  [[nodiscard]] rules::Result<std::unique_ptr<ApiExchange>> send(const std::string& target, const ApiWrite& write,
                                                                 BodyInbox::Clock::time_point until,
                                                                 const std::stop_token& stop);
  /// What is wrong with credentials that could not be read again; empty: nothing. Each problem is given once.
  [[nodiscard]] std::string take_problem() { return std::exchange(problem_, {}); }
  [[nodiscard]] Credentials& credentials() const { return *credentials_; }

 private:
  struct Connection;
  [[nodiscard]] rules::Status connect(const std::shared_ptr<const TlsMaterial>& tls, BodyInbox::Clock::time_point until,
                                      const std::stop_token& stop);
  /// Sends a request, and once more where the connection had been closed meanwhile.
  [[nodiscard]] rules::Result<std::unique_ptr<ApiExchange>> try_request(const std::string& method,
                                                                        const std::string& target,
                                                                        const ApiWrite* write,
                                                                        BodyInbox::Clock::time_point until,
                                                                        const std::stop_token& stop);
  /// The same, counted.
  [[nodiscard]] rules::Result<std::unique_ptr<ApiExchange>> request(const std::string& target, const ApiWrite* write,
                                                                    BodyInbox::Clock::time_point until,
                                                                    const std::stop_token& stop);

  std::shared_ptr<Credentials> credentials_;
  const ApiTiming& timing_;
  const std::string accept_;
  std::unique_ptr<Connection> connection_;
  std::string bad_peer_;  ///< took a connection, and then was no good
  std::string problem_;
};

/// The HTTP library runs its work on a pool of threads of its own, 40 by default: this asks for fewer. Takes effect
/// only before its first use in the process.
void limit_http_threads();

}  // namespace kubenatd::agent::api
