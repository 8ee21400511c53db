#include "agent/explain/nft_json_members.h"

#include <nlohmann/json.hpp>

namespace kubenatd::agent::explain {

using nlohmann::json;

namespace {

constexpr std::size_t kMaxText = 200;

const json& null() {
  static const json kNull;
  return kNull;
}

}  // namespace

std::string dump(const json& what) {
  std::string text = what.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kMaxText) text = text.substr(0, kMaxText) + "...";
  return text;
}

std::string text_at(const json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_at(const json& object, const char* key, std::uint64_t otherwise) {
  if (!object.is_object()) return otherwise;
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : otherwise;
}

bool flag_at(const json& object, const char* key) {
  if (!object.is_object()) return false;
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::vector<std::string> words_at(const json& object, const char* key) {
  std::vector<std::string> words;
  if (!object.is_object()) return words;
  const auto found = object.find(key);
  if (found == object.end()) return words;
  if (found->is_string()) words.push_back(found->get<std::string>());
  if (found->is_array())
    for (const json& word : *found)
      if (word.is_string()) words.push_back(word.get<std::string>());
  return words;
}

const json& value_at(const json& object, const char* key) {
  if (!object.is_object()) return null();
  const auto found = object.find(key);
  return found == object.end() ? null() : *found;
}

}  // namespace kubenatd::agent::explain
