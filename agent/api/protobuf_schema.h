#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "agent/objects/objects.h"

/// The part of the API's protobuf messages that is used here: field numbers from the generated.proto files of
/// k8s.io/api and k8s.io/apimachinery v0.36, names as in JSON.
namespace kubenatd::agent::api {

struct ProtobufMessage;

/// A field, and what it is in JSON.
struct ProtobufField {
  enum class Form : std::uint8_t {
    kText,
    kNumber,       ///< int32, int64
    kFlag,         ///< bool
    kMessage,      ///< a map
    kTexts,        ///< repeated: a list
    kMessages,     ///< repeated: a list
    kTextMap,      ///< map<string, string>
    kTime,         ///< meta/v1 Time: RFC 3339 in seconds; without content it is absent
    kIntOrString,  ///< util/intstr
    kQuantityMap,  ///< map<string, Quantity>
  };
  /// The Go type decides how a zero or an empty text, which protobuf always writes, is seen in JSON.
  enum class Zero : std::uint8_t {
    kAbsent,  ///< `omitempty`, and no pointer
    kValue,   ///< a pointer, or no `omitempty`
  };
  std::uint32_t number;
  std::string_view name;
  Form form = Form::kText;
  Zero zero = Zero::kAbsent;
  const ProtobufMessage* message = nullptr;  ///< of kMessage and kMessages
};

struct ProtobufMessage {
  std::span<const ProtobufField> fields;

  [[nodiscard]] const ProtobufField* find(std::uint32_t number) const {
    for (const ProtobufField& field : fields)
      if (field.number == number) return &field;
    return nullptr;
  }
};

/// Of the objects of this kind; none: such objects are read as JSON.
[[nodiscard]] const ProtobufMessage* protobuf_message(objects::Kind kind);
/// What every object begins with: its metadata.
[[nodiscard]] const ProtobufMessage& protobuf_metadata_only();
/// meta/v1 Status: what the server says when it refuses.
[[nodiscard]] const ProtobufMessage& protobuf_status();
/// meta/v1 ListMeta.
[[nodiscard]] const ProtobufMessage& protobuf_list_meta();
/// runtime TypeMeta.
[[nodiscard]] const ProtobufMessage& protobuf_type_meta();

}  // namespace kubenatd::agent::api
