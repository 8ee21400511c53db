#pragma once

#include <cpprest/http_client.h>

#include <atomic>
#include <exception>
#include <memory>
#include <string>

#include "agent/api/api_client.h"

namespace kubenatd::agent::api {

/// What the HTTP library threw, in one line.
[[nodiscard]] std::string describe_thrown(const std::exception_ptr& thrown);

/// An exchange over cpprestsdk: a request, the head of its answer, and the body as the library receives it.
///
/// Threading: one thread; the library's own threads fill the inbox. Failure: of the inbox; start() throws what the
/// library throws. Cost: one block of the body in memory. Its end stops the library where the answer is not complete.
class HttpExchange : public ApiExchange {
 public:
  HttpExchange() = default;
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;
  ~HttpExchange() override;

  void start(web::http::client::http_client& client, web::http::http_request& request);
  [[nodiscard]] BodyInbox::State wait_head(BodyInbox::Clock::time_point until, const std::stop_token& stop);

 private:
  pplx::cancellation_token_source cancel_;
  std::shared_ptr<std::atomic<bool>> complete_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace kubenatd::agent::api
