#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "agent/api/protobuf_schema.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// A protobuf message as the JSON that the API server would have given for it, with the fields that are used here. So
/// the objects of both encodings pass the same checks. Unknown fields are skipped. Bytes that are not UTF-8 become
/// U+FFFD, as Go's encoder has it. Pure. Failure: what is no protobuf, or has a known field of another wire type.
/// Cost: linear.
[[nodiscard]] rules::Result<nlohmann::json> read_protobuf_message(std::string_view bytes,
                                                                  const ProtobufMessage& message);

/// What the server puts around an object: "k8s", a zero byte, and a message runtime.Unknown.
struct ProtobufEnvelope {
  std::string api_version;
  std::string kind;
  std::string_view raw;  ///< of the bytes that were given
};
inline constexpr std::string_view kProtobufMagic{"k8s\0", 4};

/// Failure: no such envelope, or a content that is encoded once more. Pure.
[[nodiscard]] rules::Result<ProtobufEnvelope> open_protobuf_envelope(std::string_view bytes);

/// An object in its envelope: of the kind, or a Status; of any other kind only the metadata. With `kind` and
/// `apiVersion`, as in JSON. Pure.
[[nodiscard]] rules::Result<nlohmann::json> read_protobuf_object(std::string_view bytes, objects::Kind kind);

/// A frame of a watch, meta/v1 WatchEvent: `type` and `object`. Pure.
[[nodiscard]] rules::Result<nlohmann::json> read_protobuf_event(std::string_view frame, objects::Kind kind);

}  // namespace kubenatd::agent::api
