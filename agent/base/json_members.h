#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

/// Members of JSON objects whose form nobody has checked. Pure.
namespace kubenatd::agent::base {

/// A member; a null value when there is none, or when it is asked of what is no object.
[[nodiscard]] inline const nlohmann::json& member(const nlohmann::json& object, std::string_view name) {
  static const nlohmann::json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

/// The text of a member; empty when it is none.
[[nodiscard]] inline std::string text_of(const nlohmann::json& object, std::string_view name) {
  const auto* text = member(object, name).get_ptr<const std::string*>();
  return text == nullptr ? std::string() : *text;
}

}  // namespace kubenatd::agent::base
