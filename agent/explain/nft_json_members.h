#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

/// Members of objects in nft's JSON. What is not an object has none; one that is not there, or is of another type, is
/// empty. Pure.
namespace kubenatd::agent::explain {

/// For people: what was not understood.
[[nodiscard]] std::string dump(const nlohmann::json& what);
[[nodiscard]] std::string text_at(const nlohmann::json& object, const char* key);
[[nodiscard]] std::uint64_t number_at(const nlohmann::json& object, const char* key, std::uint64_t otherwise = 0);
[[nodiscard]] bool flag_at(const nlohmann::json& object, const char* key);
/// One word, or a list of them.
[[nodiscard]] std::vector<std::string> words_at(const nlohmann::json& object, const char* key);
/// null when it is not there.
[[nodiscard]] const nlohmann::json& value_at(const nlohmann::json& object, const char* key);

}  // namespace kubenatd::agent::explain
