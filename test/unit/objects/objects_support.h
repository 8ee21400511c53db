#pragma once

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/documents/read.h"
#include "agent/objects/decode.h"

namespace kubenatd::agent::objects {

/// The one document of a YAML text, decoded.
inline rules::Result<DecodedObject> decode_yaml(const std::string& text, Origin origin = Origin::kFolder) {
  std::vector<nlohmann::json> found;
  const auto status = documents::read_all(text, [&](nlohmann::json&& one) { found.push_back(std::move(one)); });
  INFO((status ? "" : status.error().to_string()));
  REQUIRE(status);
  REQUIRE(found.size() == 1);
  return decode_object(found[0], origin);
}

/// One that must be good, without a remark.
template <class T>
T decoded(const std::string& text, Origin origin = Origin::kFolder) {
  auto result = decode_yaml(text, origin);
  INFO((result ? "" : result.error().to_string()));
  REQUIRE(result);
  INFO((result->remarks.empty() ? "" : result->remarks[0]));
  CHECK(result->remarks.empty());
  REQUIRE(result->object);
  return std::get<T>(*result->object);
}

/// The remarks of one that is good but for some fields.
inline std::vector<std::string> remarks_on(const std::string& text, Origin origin = Origin::kFolder) {
  auto result = decode_yaml(text, origin);
  INFO((result ? "" : result.error().to_string()));
  REQUIRE(result);
  REQUIRE(result->object);
  return result->remarks;
}

/// Why one is refused.
inline std::string refusal_of(const std::string& text) {
  const auto result = decode_yaml(text);
  REQUIRE_FALSE(result);
  return result.error().to_string();
}

inline rules::Address address(const std::string& text) {
  return rules::Address::parse(text).value();
}

}  // namespace kubenatd::agent::objects
