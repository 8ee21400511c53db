#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Files that are given in place of the one that is meant: the ConfigMap around it, a kubeconfig as a configuration,
/// the other way round.
namespace kubenatd::agent::config {

/// "data["config.conf"]"
[[nodiscard]] std::string data_name(std::string_view key);

/// A text of a ConfigMap's data that holds a document of the kind that is looked for.
struct DataText {
  std::string key;
  std::string text;
};

/// The texts of a ConfigMap's data with a document of `kind`, by their key. Nothing when the document is no ConfigMap.
[[nodiscard]] std::vector<DataText> find_in_config_map(const nlohmann::json& document, std::string_view kind);

/// What to do about a document that was given as --config: "is a kubeconfig: ...". Empty: nothing is known of it.
[[nodiscard]] std::string advice_for_config(const nlohmann::json& document);

/// What to do about a file that was given as a kubeconfig and is none. Empty: nothing is known of it.
[[nodiscard]] std::string advice_for_kubeconfig(const std::filesystem::path& file);

}  // namespace kubenatd::agent::config
