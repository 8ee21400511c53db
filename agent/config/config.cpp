#include "agent/config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "agent/base/file.h"
#include "agent/base/printable.h"
#include "agent/config/config_fields.h"
#include "agent/config/field_reader.h"
#include "agent/config/other_files.h"
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
  std::string advice;
  for (const json& document : documents) {
    const std::string kind = top_level_text(document, "kind");
    if (kind != kKind) {
      if (advice.empty()) advice = advice_for_config(document);
      if (found.empty()) found = kind.empty() ? "a document without kind" : "kind " + base::in_quotes(kind);
      continue;
    }
    const std::string version = top_level_text(document, "apiVersion");
    if (version == kApiVersion) return &document;
    const std::string what =
        version.empty() ? std::string("is missing: ") : base::in_quotes(version) + " is not known: ";
    return rules::fail(file_name, kOperation, "apiVersion: " + what + std::string(kApiVersion) + " is");
  }
  if (!advice.empty()) return rules::fail(file_name, kOperation, advice);
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

/// What a text holds, and the remarks of its reader.
struct Documents {
  std::vector<json> all;
  std::vector<std::string> remarks;
};

rules::Result<Documents> read_documents(std::string_view text, const std::string& file_name) {
  Documents found;
  std::optional<rules::Error> bad;
  documents::read_documents(text, {.document = [&](json&& document) { found.all.push_back(std::move(document)); },
                                   .bad =
                                       [&](documents::BadDocument&& one) {
                                         if (!bad) bad = std::move(one.error);
                                       },
                                   .remark = [&](std::string&& line) { found.remarks.push_back(std::move(line)); }});
  if (bad) return rules::fail(file_name, kOperation, bad->object + ": " + bad->cause);
  return found;
}

rules::Result<LoadedConfig> read_configuration(Documents&& documents, const std::string& file_name) {
  const auto document = find_configuration(documents.all, file_name);
  if (!document) return std::unexpected(document.error());
  const auto settings = find_settings(documents.all, file_name);
  if (!settings) return std::unexpected(settings.error());
  LoadedConfig loaded;
  loaded.remarks = std::move(documents.remarks);
  ConfigFindings findings;
  loaded.config = read_fields(**document, findings);
  if (*settings != nullptr) read_settings(**settings, loaded.config, findings);
  if (findings.has_mistakes()) return rules::fail(file_name, kOperation, findings.mistakes());
  std::ranges::move(findings.remarks(), std::back_inserter(loaded.remarks));
  return loaded;
}

rules::Result<LoadedConfig> parse(std::string_view text, const std::string& file_name) {
  auto documents = read_documents(text, file_name);
  if (!documents) return std::unexpected(documents.error());
  // The ConfigMap in which kubeadm keeps the file: what is meant is in no doubt when one text of it is such a file.
  const auto map = std::ranges::find_if(documents->all,
                                        [](const json& each) { return find_in_config_map(each, kKind).size() == 1; });
  const bool has_configuration =
      std::ranges::any_of(documents->all, [](const json& each) { return top_level_text(each, "kind") == kKind; });
  if (map == documents->all.end() || has_configuration) return read_configuration(std::move(*documents), file_name);

  const DataText inner = find_in_config_map(*map, kKind).front();
  const std::string name = file_name + ": " + data_name(inner.key);
  auto inner_documents = read_documents(inner.text, name);
  if (!inner_documents) return std::unexpected(inner_documents.error());
  auto loaded = read_configuration(std::move(*inner_documents), name);
  if (loaded) {
    loaded->remarks.insert(loaded->remarks.begin(),
                           fmt::format("the file is a ConfigMap: its {} is read", data_name(inner.key)));
  }
  return loaded;
}

/// The flag, and what a file that cannot be read is likely to be.
rules::Error with_advice(rules::Error error, const std::filesystem::path& file) {
  std::error_code ignored;
  if (error.code == EISDIR) {
    const bool has_file = std::filesystem::exists(file / "config.conf", ignored);
    error.cause += has_file ? ": --config wants the file in it, config.conf" : ": --config wants a file";
  } else {
    error.cause += " (--config)";
  }
  return error;
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

std::string_view name_of(Config::DetectLocal mode) {
  switch (mode) {
    case Config::DetectLocal::kClusterCidr: return "ClusterCIDR";
    case Config::DetectLocal::kNodeCidr: return "NodeCIDR";
    case Config::DetectLocal::kBridgeInterface: return "BridgeInterface";
    case Config::DetectLocal::kInterfaceNamePrefix: return "InterfaceNamePrefix";
  }
  return "";
}

rules::Result<LoadedConfig> load_config(const std::filesystem::path& file) {
  const rules::Result<std::string> text = base::read_file(file, kLargestFile, kOperation);
  if (!text) return std::unexpected(with_advice(text.error(), file));
  return parse_config(*text, file.native());
}

}  // namespace kubenatd::agent::config
