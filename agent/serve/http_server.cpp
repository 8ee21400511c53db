#include "agent/serve/http_server.h"

#include <cpprest/http_listener.h>
#include <fmt/format.h>

#include <exception>
#include <optional>

namespace kubenatd::agent::serve {
namespace {

using web::http::http_request;
using web::http::http_response;
using web::http::experimental::listener::http_listener;

constexpr std::string_view kPlainText = "text/plain; charset=utf-8";

HttpResponse with_nosniff(unsigned status, std::string_view content_type, std::string body) {
  return {.status = status,
          .content_type = std::string(content_type),
          .body = std::move(body),
          .headers = {{"X-Content-Type-Options", "nosniff"}}};
}

std::string header(const http_request& request, const char* name) {
  const auto found = request.headers().find(name);
  return found == request.headers().end() ? std::string() : found->second;
}

void answer(const HttpHandler& handler, const http_request& request) {
  HttpResponse page;
  try {
    page = handler({.method = request.method(),
                    .path = request.request_uri().path(),
                    .query = request.request_uri().query(),
                    .host = header(request, "Host"),
                    .if_none_match = header(request, "If-None-Match"),
                    .accept = header(request, "Accept"),
                    .fetch_site = header(request, "Sec-Fetch-Site")});
  } catch (const std::exception&) {
    page = with_nosniff(500, kPlainText, "internal error\n");
  }
  http_response response(static_cast<web::http::status_code>(page.status));
  if (page.status != 304) response.set_body(std::move(page.body), page.content_type);  // which has none
  for (const auto& [name, value] : page.headers) response.headers().add(name, value);
  (void)request.reply(response);
}

}  // namespace

HttpResponse not_found() {
  return with_nosniff(404, kPlainText, "404 page not found\n");
}

HttpResponse plain_text(std::string body) {
  return with_nosniff(200, kPlainText, std::move(body));
}

HttpResponse json_text(unsigned status, std::string body) {
  return with_nosniff(status, "application/json", std::move(body));
}

HttpHandler by_path(std::map<std::string, HttpHandler> pages) {
  return [pages = std::move(pages)](const HttpRequest& request) {
    const auto page = pages.find(request.path);
    return page == pages.end() ? not_found() : page->second(request);
  };
}

class HttpServer::Listener {
 public:
  Listener(const std::string& uri, HttpHandler handler) : listener_(web::uri(uri)) {
    const auto serve = [handler = std::move(handler)](const http_request& request) { answer(handler, request); };
    listener_.support(serve);
    // Otherwise http_listener answers these two by itself.
    listener_.support(web::http::methods::OPTIONS, serve);
    listener_.support(web::http::methods::TRCE, serve);
  }
  void open() { listener_.open().wait(); }
  void close() { listener_.close().wait(); }

 private:
  http_listener listener_;
};

HttpServer::HttpServer() = default;

HttpServer::~HttpServer() {
  if (!listener_) return;
  try {
    listener_->close();
  } catch (const std::exception&) {
    // Closing is done by the transport, which does not fail.
    return;
  }
}

rules::Result<std::unique_ptr<HttpServer>> HttpServer::open(HttpTransport& transport,
                                                            const config::BindAddress& address, HttpHandler handler,
                                                            HttpLane lane) {
  auto socket = ListenSocket::open(address);
  if (!socket) return std::unexpected(socket.error());
  std::unique_ptr<HttpServer> server(new HttpServer());
  server->port_ = socket->port();
  const std::string name = join_host_port(address.address, server->port_);
  const std::string uri = fmt::format("http://{}/", name);
  try {
    auto listener = std::make_unique<Listener>(uri, std::move(handler));
    transport.provide(uri, std::move(*socket), lane);
    listener->open();
    server->listener_ = std::move(listener);
  } catch (const std::exception& problem) {
    return rules::fail(name, "open http_listener", problem.what());
  }
  return server;
}

}  // namespace kubenatd::agent::serve
