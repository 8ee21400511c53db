#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace kubenatd::agent::api {

/// A member of an object; none: there is no such member, or it is no object.
[[nodiscard]] inline const nlohmann::json* member(const nlohmann::json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

/// The text of a member; empty when it is none.
[[nodiscard]] inline std::string text_of(const nlohmann::json& object, const char* name) {
  const nlohmann::json* value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

}  // namespace kubenatd::agent::api
