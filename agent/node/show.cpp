#include "agent/node/show.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

namespace kubenatd::agent::node {
namespace {

using Json = nlohmann::ordered_json;

std::string_view words_of(State verdict) {
  switch (verdict) {
    case State::kYes:
    case State::kWarning: return "can run here";
    case State::kMissing: return "cannot run here";
    case State::kUnknown: break;
  }
  return "it could not be found out";
}

void put(Json& object, const char* key, std::string_view value) {
  if (!value.empty()) object[key] = value;
}

}  // namespace

std::string to_text(const Report& report) {
  std::string text = fmt::format("kernel   {}\n", report.kernel);
  for (const Finding& finding : report.findings)
    text += fmt::format("{:<8} {}\n", name_of(finding.state), describe(finding));
  for (const config::Config::Mode mode : report.modes)
    text += fmt::format("mode {}: {}\n", config::name_of(mode), words_of(verdict_on(mode, report.findings)));
  return text;
}

std::string to_json(const Report& report) {
  Json json;
  json["kernel"] = report.kernel;
  json["modes"] = Json::array();
  for (const config::Config::Mode mode : report.modes)
    json["modes"].push_back({{"mode", config::name_of(mode)}, {"state", name_of(verdict_on(mode, report.findings))}});
  json["findings"] = Json::array();
  for (const Finding& finding : report.findings) {
    Json one;
    one["name"] = finding.name;
    one["state"] = name_of(finding.state);
    if (finding.mode) one["mode"] = config::name_of(*finding.mode);
    if (finding.family) one["family"] = *finding.family == rules::Family::kIpv4 ? "ipv4" : "ipv6";
    put(one, "what", finding.what);
    put(one, "remedy", finding.remedy);
    put(one, "option", finding.option);
    put(one, "module", finding.module);
    put(one, "since", finding.since);
    json["findings"].push_back(std::move(one));
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string in_one_line(const Report& report, State state) {
  std::string line;
  for (const Finding& finding : report.findings)
    if (finding.state == state) line += (line.empty() ? "" : " | ") + describe(finding);
  return line;
}

}  // namespace kubenatd::agent::node
