#include "agent/config/config.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "agent/base/file.h"
#include "agent/base/printable.h"
#include "agent/config/config_fields.h"
#include "agent/config/field_reader.h"
#include "agent/config/scalar.h"
#include "agent/config/settings_file.h"

namespace kubenatd::agent::config {
namespace {

constexpr std::size_t kLargestFile = 1'000'000;
constexpr const char* kOperation = "read configuration";
constexpr std::string_view kApiVersion = "kubeproxy.config.k8s.io/v1alpha1";
constexpr std::string_view kKind = "KubeProxyConfiguration";

/// The text of a field of a document's top level; empty when there is none. The last of several counts.
std::string top_level_text(const YAML::Node& document, std::string_view key) {
  std::string text;
  if (!document.IsMap()) return text;
  for (const auto& entry : document) {
    if (entry.first.IsScalar() && entry.first.Scalar() == key && entry.second.IsScalar()) text = entry.second.Scalar();
  }
  return text;
}

/// The first KubeProxyConfiguration of the documents, or why there is none.
rules::Result<YAML::Node> find_configuration(const std::vector<YAML::Node>& documents, const std::string& file_name) {
  std::string found;
  for (const YAML::Node& document : documents) {
    if (is_null(document)) continue;
    const std::string kind = top_level_text(document, "kind");
    if (kind != kKind) {
      if (found.empty()) found = kind.empty() ? "a document without kind" : "kind " + base::in_quotes(kind);
      continue;
    }
    const std::string version = top_level_text(document, "apiVersion");
    if (version == kApiVersion) return document;
    const std::string what =
        version.empty() ? std::string("is missing: ") : base::in_quotes(version) + " is not known: ";
    return rules::fail(file_name, kOperation, "apiVersion: " + what + std::string(kApiVersion) + " is");
  }
  if (found.empty()) found = "nothing";
  return rules::fail(file_name, kOperation,
                     "kind: " + std::string(kKind) + " of " + std::string(kApiVersion) + " is wanted, found " + found);
}

/// The KubenatdConfiguration of the documents: none when there is none.
rules::Result<std::optional<YAML::Node>> find_settings(const std::vector<YAML::Node>& documents,
                                                       const std::string& file_name) {
  std::optional<YAML::Node> found;
  for (const YAML::Node& document : documents) {
    if (is_null(document) || top_level_text(document, "kind") != kSettingsKind) continue;
    if (found)
      return rules::fail(file_name, kOperation, fmt::format("{}: more than one document of this kind", kSettingsKind));
    const std::string version = top_level_text(document, "apiVersion");
    if (version != kSettingsApiVersion) {
      const std::string what = version.empty() ? "is missing" : base::in_quotes(version) + " is not known";
      return rules::fail(file_name, kOperation,
                         fmt::format("{}.apiVersion: {}: {} is", kSettingsKind, what, kSettingsApiVersion));
    }
    found.emplace(document);
  }
  return found;
}

std::string describe_mark(const YAML::Mark& mark) {
  if (mark.is_null()) return "";
  return "line " + std::to_string(mark.line + 1) + ", column " + std::to_string(mark.column + 1) + ": ";
}

/// yaml-cpp reports by exceptions; none leaves here.
rules::Result<LoadedConfig> parse(const std::string& text, const std::string& file_name) {
  const std::vector<YAML::Node> documents = YAML::LoadAll(text);
  const rules::Result<YAML::Node> document = find_configuration(documents, file_name);
  if (!document) return std::unexpected(document.error());
  const auto settings = find_settings(documents, file_name);
  if (!settings) return std::unexpected(settings.error());
  ConfigFindings findings;
  LoadedConfig loaded;
  loaded.config = read_fields(*document, findings);
  if (*settings) read_settings(**settings, loaded.config, findings);
  if (findings.has_mistakes()) return rules::fail(file_name, kOperation, findings.mistakes());
  loaded.remarks = findings.remarks();
  return loaded;
}

}  // namespace

rules::Result<LoadedConfig> parse_config(std::string_view text, std::string_view file_name) {
  const std::string name = base::one_line(file_name, 512);
  if (text.size() > kLargestFile) {
    return rules::fail(name, kOperation, "is larger than " + std::to_string(kLargestFile) + " bytes", EFBIG);
  }
  try {
    return parse(std::string(text), name);
  } catch (const YAML::Exception& exception) {
    return rules::fail(name, kOperation, describe_mark(exception.mark) + base::one_line(exception.msg, 200));
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
