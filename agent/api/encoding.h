#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/objects/objects.h"

namespace kubenatd::agent::api {

/// How objects come from the API server.
enum class Encoding : std::uint8_t { kJson, kProtobuf };

/// What KubeProxyConfiguration.clientConnection asks for: acceptContentTypes, else contentType, as client-go has it. Of
/// the media types in it the first counts that is read here; JSON when there is none.
[[nodiscard]] Encoding preferred_encoding(std::string_view accept_content_types, std::string_view content_type);

/// The header Accept for objects of that kind. JSON is always taken, too: a server does not have every resource in
/// protobuf (those of CustomResourceDefinitions, for example).
[[nodiscard]] std::string accept_header(Encoding preferred, objects::Kind kind);

/// Of an answer, by its header Content-Type.
[[nodiscard]] Encoding encoding_of(std::string_view content_type);

}  // namespace kubenatd::agent::api
