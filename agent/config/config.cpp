#include "agent/config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "agent/base/file.h"
#include "agent/base/printable.h"
#include "agent/config/config_fields.h"
#include "agent/config/field_reader.h"
#include "agent/config/settings_file.h"
#include "agent/documents/read.h"

namespace kubenatd::agent::config {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestFile = 1'000'000;
constexpr const char* kOperation = "read configuration";
constexpr std::string_view kApiVersion = "kubeproxy.config.k8s.io/v1alpha1";
constexpr std::string_view kKind = "KubeProxyConfiguration";

/// The text of a field of a document's top level; empty when there is none.
std::string top_level_text(const json& document, const char* key) {
  if (!document.is_object()) return {};
  const auto found = document.find(key);
  return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The first KubeProxyConfiguration of the documents, or why there is none.
rules::Result<const json*> find_configuration(const std::vector<json>& documents, const std::string& file_name) {
  std::string found;
  for (const json& document : documents) {
    const std::string kind = top_level_text(document, "kind");
    if (kind != kKind) {
      if (found.empty()) found = kind.empty() ? "a document without kind" : "kind " + base::in_quotes(kind);
      continue;
    }
    const std::string version = top_level_text(document, "apiVersion");
    if (version == kApiVersion) return &document;
    const std::string what =
        version.empty() ? std::string("is missing: ") : base::in_quotes(version) + " is not known: ";
    return rules::fail(file_name, kOperation, "apiVersion: " + what + std::string(kApiVersion) + " is");
  }
  if (found.empty()) found = "nothing";
  return rules::fail(file_name, kOperation,
                     "kind: " + std::string(kKind) + " of " + std::string(kApiVersion) + " is wanted, found " + found);
}

/// The KubenatdConfiguration of the documents: none when there is none.
rules::Result<const json*> find_settings(const std::vector<json>& documents, const std::string& file_name) {
  const json* found = nullptr;
  for (const json& document : documents) {
    if (top_level_text(document, "kind") != kSettingsKind) continue;
    if (found != nullptr)
      return rules::fail(file_name, kOperation, fmt::format("{}: more than one document of this kind", kSettingsKind));
    const std::string version = top_level_text(document, "apiVersion");
    if (version != kSettingsApiVersion) {
      const std::string what = version.empty() ? "is missing" : base::in_quotes(version) + " is not known";
      return rules::fail(file_name, kOperation,
                         fmt::format("{}.apiVersion: {}: {} is", kSettingsKind, what, kSettingsApiVersion));
    }
    found = &document;
  }
  return found;
}

rules::Result<LoadedConfig> parse(std::string_view text, const std::string& file_name) {
  std::vector<json> found;
  std::optional<rules::Error> bad;
  LoadedConfig loaded;
  documents::read_documents(text, {.document = [&](json&& document) { found.push_back(std::move(document)); },
                                   .bad =
                                       [&](documents::BadDocument&& one) {
                                         if (!bad) bad = std::move(one.error);
                                       },
                                   .remark = [&](std::string&& line) { loaded.remarks.push_back(std::move(line)); }});
  if (bad) return rules::fail(file_name, kOperation, bad->object + ": " + bad->cause);
  const auto document = find_configuration(found, file_name);
  if (!document) return std::unexpected(document.error());
  const auto settings = find_settings(found, file_name);
  if (!settings) return std::unexpected(settings.error());
  ConfigFindings findings;
  loaded.config = read_fields(**document, findings);
  if (*settings != nullptr) read_settings(**settings, loaded.config, findings);
  if (findings.has_mistakes()) return rules::fail(file_name, kOperation, findings.mistakes());
  std::ranges::move(findings.remarks(), std::back_inserter(loaded.remarks));
  return loaded;
}

}  // namespace

rules::Result<LoadedConfig> parse_config(std::string_view text, std::string_view file_name) {
  const std::string name = base::one_line(file_name, 512);
  if (text.size() > kLargestFile) {
    return rules::fail(name, kOperation, "is larger than " + std::to_string(kLargestFile) + " bytes", EFBIG);
  }
  try {
    return parse(text, name);
  } catch (const std::exception& exception) {
    return rules::fail(name, kOperation, base::one_line(exception.what(), 200));
  }
}

std::string_view name_of(Config::Mode mode) {
  switch (mode) {
    case Config::Mode::kNftables: return "nftables";
    case Config::Mode::kIptables: break;
  }
  return "iptables";
}

rules::Result<LoadedConfig> load_config(const std::filesystem::path& file) {
  const rules::Result<std::string> text = base::read_file(file, kLargestFile, kOperation);
  if (!text) return std::unexpected(text.error());
  return parse_config(*text, file.native());
}

}  // namespace kubenatd::agent::config
