#include "agent/page/pages.h"

#include <chrono>
#include <memory>
#include <utility>

#include "agent/page/files.h"
#include "agent/page/guard.h"
#include "agent/page/now.h"

namespace kubenatd::agent::page {
namespace {

using serve::HttpRequest;
using serve::HttpResponse;

/// Between two traces.
constexpr std::chrono::seconds kTracePause{5};

std::string type_of(std::string_view name) {
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "text/html; charset=utf-8";
}

}  // namespace

std::map<std::string, serve::HttpHandler> ui_pages(const seen::Board& board, seen::Inquiries& inquiries,
                                                   PageOptions options) {
  const std::vector<std::string> names = own_names(options.node);
  std::map<std::string, serve::HttpHandler> pages;
  for (const File& file : files()) {
    const std::string path = file.name == "index.html" ? kUiPath : kUiPath + std::string(file.name);
    const auto send = [file](const HttpRequest& request) {
      return with_etag(request, {.status = 200,
                                 .content_type = type_of(file.name),
                                 .body = std::string(file.content),
                                 .headers = {{"X-Content-Type-Options", "nosniff"}}});
    };
    pages.emplace(path, guarded(send, names, false));
  }
  const auto lead = [](const HttpRequest&) {
    HttpResponse response = refusal(308, "308 it is at /ui/\n");
    response.headers.emplace_back("Location", kUiPath);
    return response;
  };
  pages.emplace("/ui", guarded(lead, names, false));
  const Now::Can can{.count = options.counts, .trace = options.trace != nullptr};
  const auto now = std::make_shared<Now>(board, inquiries, options.mode, can);
  pages.emplace(kNowPath, guarded([now](const HttpRequest& request) { return now->answer(request); }, names, true));
  const auto answer = [&](const char* path, Explain how, std::chrono::milliseconds pause) {
    if (!how) return;
    const auto explainer = std::make_shared<Explainer>(std::move(how), pause);
    pages.emplace(path,
                  guarded([explainer](const HttpRequest& request) { return explainer->answer(request); }, names, true));
  };
  answer(kExplainPath, std::move(options.explain), Explainer::kPause);
  answer(kTracePath, std::move(options.trace), kTracePause);
  return pages;
}

}  // namespace kubenatd::agent::page
