#include "agent/serve/zpages.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "agent/base/printable.h"

namespace kubenatd::agent::serve {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kComponent = "kubenatd";
constexpr std::string_view kGroup = "config.k8s.io";
/// Of the kube-proxy whose interface this is.
constexpr const char* kEmulated = "1.36";

/// What a client wants to have.
struct Form {
  bool text = true;
  std::string version;  ///< of the JSON
};

/// The first of the accepted forms that there is.
std::optional<Form> choose_form(std::string_view accept, std::string_view kind) {
  if (base::trimmed(accept).empty()) return Form{};
  while (!accept.empty()) {
    std::string_view range = accept.substr(0, accept.find(','));
    accept.remove_prefix(std::min(accept.size(), range.size() + 1));
    std::map<std::string, std::string, std::less<>> parameters;
    const std::string_view type = base::trimmed(range.substr(0, range.find(';')));
    while (range.contains(';')) {
      range.remove_prefix(range.find(';') + 1);
      const std::string_view part = base::trimmed(range.substr(0, range.find(';')));
      const std::size_t equals = std::min(part.find('='), part.size());
      parameters.emplace(part.substr(0, equals), part.substr(std::min(equals + 1, part.size())));
    }
    const bool is_plain = parameters.empty() || (parameters.size() == 1 && parameters.contains("q"));
    if (is_plain && (type == "text/plain" || type == "text/*" || type == "*/*")) return Form{};
    if (type != "application/json" && type != "application/*" && type != "*/*") continue;
    const std::string version = parameters["v"];
    if (parameters["g"] == kGroup && parameters["as"] == kind && (version == "v1beta1" || version == "v1alpha1"))
      return Form{.text = false, .version = version};
  }
  return std::nullopt;
}

HttpResponse not_acceptable(std::string_view kind) {
  HttpResponse response = plain_text(
      fmt::format("only these are served: text/plain, application/json;v=v1beta1;g={};as={}\n", kGroup, kind));
  response.status = 406;
  return response;
}

HttpResponse text_page(const std::string& name, const std::string& lines) {
  return plain_text(fmt::format("\n{} {}\nWarning: this page is for people, and its form may change.\n\n{}", kComponent,
                                name, lines));
}

HttpResponse json_page(std::string_view kind, const Form& form, const Json& content) {
  Json page{
      {"kind", kind}, {"apiVersion", fmt::format("{}/{}", kGroup, form.version)}, {"metadata", {{"name", kComponent}}}};
  page.update(content);
  HttpResponse response = json_text(200, page.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  if (form.version == "v1alpha1")
    response.headers.emplace_back("Warning", "299 - \"v1alpha1 of this page is deprecated: ask for v1beta1\"");
  return response;
}

HttpResponse statusz(const Zpages& about, const Form& form) {
  const auto now = std::chrono::system_clock::now();
  const auto up = std::max(std::chrono::floor<std::chrono::seconds>(now - about.started), std::chrono::seconds(0));
  const auto started = std::chrono::floor<std::chrono::seconds>(about.started);
  if (!form.text)
    return json_page("Statusz", form,
                     {{"startTime", base::to_rfc3339(started)},
                      {"uptimeSeconds", up.count()},
                      {"binaryVersion", KUBENATD_VERSION},
                      {"emulationVersion", kEmulated},
                      {"paths", about.paths}});
  const std::int64_t seconds = up.count();
  return text_page("statusz", fmt::format("Started: {:%a %b %e %H:%M:%S} UTC {:%Y}\n"
                                          "Up: {} hr {:02} min {:02} sec\n"
                                          "Binary version: {}\n"
                                          "Emulation version: {}\n"
                                          "Paths: {}\n",
                                          fmt::gmtime(std::chrono::system_clock::to_time_t(started)),
                                          fmt::gmtime(std::chrono::system_clock::to_time_t(started)), seconds / 3600,
                                          seconds / 60 % 60, seconds % 60, KUBENATD_VERSION, kEmulated,
                                          fmt::join(about.paths, " ")));
}

HttpResponse flagz(const Zpages& about, const Form& form) {
  if (!form.text) return json_page("Flagz", form, {{"flags", about.flags}});
  std::string lines;
  for (const auto& [name, value] : about.flags) lines += fmt::format("{}={}\n", name, base::one_line(value, 1000));
  return text_page("flagz", lines);
}

/// The first part of each path, each once.
std::vector<std::string> folders_of(const std::vector<std::string>& paths) {
  std::set<std::string> folders;
  for (const std::string& path : paths) folders.insert(path.substr(0, path.find('/', 1)));
  return {folders.begin(), folders.end()};
}

}  // namespace

std::map<std::string, HttpHandler> zpages(Zpages about) {
  about.paths.insert(about.paths.end(), {"/flagz", "/statusz"});
  about.paths = folders_of(about.paths);
  const auto shared = std::make_shared<const Zpages>(std::move(about));
  const auto page = [shared](std::string_view kind, HttpResponse (*make)(const Zpages&, const Form&)) -> HttpHandler {
    return [shared, kind, make](const HttpRequest& request) {
      const auto form = choose_form(request.accept, kind);
      return form ? make(*shared, *form) : not_acceptable(kind);
    };
  };
  return {{"/flagz", page("Flagz", flagz)}, {"/statusz", page("Statusz", statusz)}};
}

}  // namespace kubenatd::agent::serve
