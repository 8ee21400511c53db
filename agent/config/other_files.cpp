#include "agent/config/other_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/base/file.h"
#include "agent/base/json_members.h"
#include "agent/base/printable.h"
#include "agent/documents/read.h"

namespace kubenatd::agent::config {
namespace {

using base::text_of;
using nlohmann::json;

constexpr std::size_t kLargestFile = 1'000'000;
constexpr std::string_view kConfigurationKind = "KubeProxyConfiguration";
constexpr std::string_view kKubeconfigKind = "Config";

bool is_config_map(const json& document) {
  return text_of(document, "kind") == "ConfigMap" && text_of(document, "apiVersion") == "v1";
}

bool has_kind(std::string_view text, std::string_view kind) {
  bool found = false;
  documents::read_documents(text, {.document = [&](json&& each) { found = found || text_of(each, "kind") == kind; },
                                   .bad = [](documents::BadDocument&&) {},
                                   .remark = {}});
  return found;
}

/// `data["a"] and data["b"]`
std::string names_of(const std::vector<DataText>& texts) {
  std::vector<std::string> names;
  for (const DataText& each : texts) names.push_back(data_name(each.key));
  return fmt::to_string(fmt::join(names, " and "));
}

std::string advice_for_kubeconfig(const json& document) {
  if (text_of(document, "kind") == kConfigurationKind) return "is a KubeProxyConfiguration: give it as --config";
  if (!is_config_map(document)) return {};
  const std::vector<DataText> found = find_in_config_map(document, kKubeconfigKind);
  if (found.empty()) return "is a ConfigMap, and no kubeconfig is in its data";
  return "is a ConfigMap: make a file of its " + names_of(found) + " and give that";
}

}  // namespace

std::string data_name(std::string_view key) {
  return "data[" + base::in_quotes(key, 256) + "]";
}

std::vector<DataText> find_in_config_map(const json& document, std::string_view kind) {
  std::vector<DataText> texts;
  if (!is_config_map(document)) return texts;
  const auto data = document.find("data");
  if (data == document.end() || !data->is_object()) return texts;
  for (const auto& [key, value] : data->get_ref<const json::object_t&>())
    if (value.is_string() && has_kind(value.get_ref<const std::string&>(), kind))
      texts.push_back({key, value.get<std::string>()});
  return texts;
}

std::string advice_for_config(const json& document) {
  if (text_of(document, "kind") == kKubeconfigKind && text_of(document, "apiVersion") == "v1")
    return "is a kubeconfig: give it as --kubeconfig, or name it in clientConnection.kubeconfig";
  if (!is_config_map(document)) return {};
  const std::vector<DataText> found = find_in_config_map(document, kConfigurationKind);
  if (found.size() > 1)
    return "is a ConfigMap with more than one KubeProxyConfiguration: make a file of one of its " + names_of(found) +
           " and give that";
  if (const auto others = find_in_config_map(document, kKubeconfigKind); found.empty() && !others.empty())
    return "is a ConfigMap without a KubeProxyConfiguration; its " + names_of(others) + " is a kubeconfig";
  return found.empty() ? "is a ConfigMap, and no KubeProxyConfiguration is in its data" : std::string();
}

std::string advice_for_kubeconfig(const std::filesystem::path& file) {
  const auto text = base::read_file(file, kLargestFile, "read");
  if (!text) return {};
  std::string advice;
  try {
    documents::read_documents(*text, {.document =
                                          [&](json&& document) {
                                            if (advice.empty()) advice = advice_for_kubeconfig(document);
                                          },
                                      .bad = [](documents::BadDocument&&) {},
                                      .remark = {}});
  } catch (const std::exception&) {
    return {};
  }
  return advice;
}

}  // namespace kubenatd::agent::config
