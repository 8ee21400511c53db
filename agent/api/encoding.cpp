#include "agent/api/encoding.h"

#include <optional>

#include "agent/api/protobuf_schema.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

constexpr std::string_view kJsonType = "application/json";
constexpr std::string_view kProtobufType = "application/vnd.kubernetes.protobuf";

/// Without parameters; media types ignore case.
std::optional<Encoding> encoding_named(std::string_view media_type) {
  std::string type(base::trimmed(media_type.substr(0, media_type.find(';'))));
  for (char& c : type)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (type == kProtobufType) return Encoding::kProtobuf;
  if (type == kJsonType) return Encoding::kJson;
  return std::nullopt;
}

}  // namespace

Encoding preferred_encoding(std::string_view accept_content_types, std::string_view content_type) {
  std::string_view types = base::trimmed(accept_content_types).empty() ? content_type : accept_content_types;
  while (!types.empty()) {
    const auto comma = types.find(',');
    if (const auto named = encoding_named(types.substr(0, comma))) return *named;
    if (comma == std::string_view::npos) break;
    types.remove_prefix(comma + 1);
  }
  return Encoding::kJson;
}

std::string accept_header(Encoding preferred, objects::Kind kind) {
  if (preferred == Encoding::kJson || protobuf_message(kind) == nullptr) return std::string(kJsonType);
  return std::string(kProtobufType).append(",").append(kJsonType);
}

Encoding encoding_of(std::string_view content_type) {
  return encoding_named(content_type).value_or(Encoding::kJson);
}

}  // namespace kubenatd::agent::api
