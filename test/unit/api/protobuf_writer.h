#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "agent/api/protobuf_schema.h"
#include "test/server/scripted_server.h"

namespace kubenatd::test {

/// The fields of the schema, as the API server writes them. For tests: what the JSON does not have is not written.
[[nodiscard]] std::string write_protobuf(const nlohmann::json& object, const agent::api::ProtobufMessage& message);

/// Bodies and lines of JSON in the API server's protobuf.
[[nodiscard]] Translation protobuf_translation();

}  // namespace kubenatd::test
