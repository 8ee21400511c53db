#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/config/bind_address.h"
#include "agent/serve/http_transport.h"
#include "rules/error.h"

namespace kubenatd::agent::serve {

struct HttpRequest {
  std::string method;
  std::string path;  ///< without the query; escapes are left as they came
  std::string query{};
  // Headers, empty where they are missing.
  std::string host{};
  std::string if_none_match{};
  std::string accept{};
  std::string fetch_site{};  ///< Sec-Fetch-Site: from where a browser was led here
};

struct HttpResponse {
  unsigned status = 200;
  std::string content_type;
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// Runs on the thread of its server's lane; must not wait for a server to close, nor in the lane of probes for
/// anything.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

/// "404 page not found", as Go's net/http says it.
[[nodiscard]] HttpResponse not_found();
/// Text with the headers that Kubernetes gives it: text/plain; charset=utf-8, nosniff.
[[nodiscard]] HttpResponse plain_text(std::string body);
/// JSON with nosniff.
[[nodiscard]] HttpResponse json_text(unsigned status, std::string body);

/// A handler for each of these paths, 404 for others.
[[nodiscard]] HttpHandler by_path(std::map<std::string, HttpHandler> pages);

/// A cpprestsdk http_listener on one address.
///
/// Purpose: answers every request, of whatever method, with what the handler says. Threading: open() and the destructor
/// on any thread but the transport's; the destructor waits for a handler that runs; after the destructor the handler
/// does not run any more. Failure: open() says why the address cannot be had. A handler that throws gives a 500. Cost:
/// one socket.
class HttpServer {
 public:
  [[nodiscard]] static rules::Result<std::unique_ptr<HttpServer>> open(HttpTransport& transport,
                                                                       const config::BindAddress& address,
                                                                       HttpHandler handler,
                                                                       HttpLane lane = HttpLane::kProbes);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// The port in force: another one than asked for when that was 0.
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  class Listener;
  HttpServer();

  std::unique_ptr<Listener> listener_;
  std::uint16_t port_ = 0;
};

}  // namespace kubenatd::agent::serve
