#include "agent/serve/pages.h"

#include <utility>

#include "agent/config/config_json.h"

namespace kubenatd::agent::serve {
namespace {

/// Format 0.0.4, the one every scraper takes.
constexpr const char* kExposition = "text/plain; version=0.0.4; charset=utf-8";

HttpResponse to_page(HealthState::Answer answer) {
  return json_text(answer.good ? 200 : 503, std::move(answer.body));
}

}  // namespace

HttpHandler healthz_pages(const HealthState& health, Metrics& metrics) {
  return by_path({{"/healthz",
                   [&](const HttpRequest&) {
                     HttpResponse page = to_page(health.healthz(Moment::now()));
                     metrics.answered_healthz(page.status);
                     return page;
                   }},
                  {"/livez", [&](const HttpRequest&) {
                     HttpResponse page = to_page(health.livez(Moment::now()));
                     metrics.answered_livez(page.status);
                     return page;
                   }}});
}

HttpHandler metrics_pages(const Metrics& metrics, const config::Config& config, std::map<std::string, HttpHandler> more,
                          Zpages about) {
  // The configuration does not change while the agent runs.
  const std::string mode(config::name_of(config.mode));
  const std::string configz = R"({"kubeproxy.config.k8s.io":)" + to_json(config) + "}";
  std::map<std::string, HttpHandler> pages{
      {"/metrics",
       [&metrics](const HttpRequest&) {
         return HttpResponse{.status = 200, .content_type = kExposition, .body = metrics.text(), .headers = {}};
       }},
      {"/healthz", [](const HttpRequest&) { return plain_text("ok"); }},
      {"/proxyMode", [mode](const HttpRequest&) { return plain_text(mode); }},
      {"/configz", [configz](const HttpRequest&) { return json_text(200, configz); }}};
  pages.merge(more);
  for (const auto& [path, page] : pages) about.paths.push_back(path);
  pages.merge(zpages(std::move(about)));
  return by_path(std::move(pages));
}

}  // namespace kubenatd::agent::serve
