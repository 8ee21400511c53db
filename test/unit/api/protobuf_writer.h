#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "agent/api/protobuf_schema.h"
#include "test/server/scripted_server.h"

namespace kubenatd::test {

/// Of the kinds that are read in protobuf, the one of this name.
[[nodiscard]] std::optional<agent::objects::Kind> protobuf_kind(std::string_view name);

/// The fields of the schema, as the API server writes them. For tests: what the JSON does not have is not written.
[[nodiscard]] std::string write_protobuf(const nlohmann::json& object, const agent::api::ProtobufMessage& message);

/// Bodies and lines of JSON in the API server's protobuf.
[[nodiscard]] Translation protobuf_translation();

}  // namespace kubenatd::test
