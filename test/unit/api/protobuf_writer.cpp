#include "test/unit/api/protobuf_writer.h"

#include <array>
#include <optional>
#include <protozero/pbf_writer.hpp>

#include "agent/api/protobuf_reader.h"
#include "agent/base/rfc3339.h"

namespace kubenatd::test {
namespace {

using agent::api::ProtobufField;
using agent::api::ProtobufMessage;
using nlohmann::json;
using protozero::pbf_writer;
using Form = ProtobufField::Form;
using agent::objects::Kind;

void write_map(pbf_writer& writer, std::uint32_t number, const json& map, bool quantity) {
  for (const auto& [key, value] : map.items()) {
    pbf_writer entry(writer, number);
    entry.add_string(1, key);
    if (!quantity) {
      entry.add_string(2, value.get<std::string>());
      continue;
    }
    pbf_writer inner(entry, 2);
    inner.add_string(1, value.get<std::string>());
  }
}

void write_int_or_string(pbf_writer writer, const json& value) {
  writer.add_int64(1, value.is_string() ? 1 : 0);
  writer.add_int32(2, value.is_string() ? 0 : value.get<std::int32_t>());
  writer.add_string(3, value.is_string() ? value.get<std::string>() : "");
}

void write_time(pbf_writer writer, const json& value) {
  const auto time = agent::base::parse_rfc3339(value.get<std::string>());
  if (time) writer.add_int64(1, std::chrono::floor<std::chrono::seconds>(time->time_since_epoch()).count());
}

void write_field(pbf_writer& writer, const ProtobufField& field, const json& value) {
  switch (field.form) {
    case Form::kText: writer.add_string(field.number, value.get<std::string>()); return;
    case Form::kNumber: writer.add_int64(field.number, value.get<std::int64_t>()); return;
    case Form::kFlag: writer.add_bool(field.number, value.get<bool>()); return;
    case Form::kMessage: writer.add_message(field.number, write_protobuf(value, *field.message)); return;
    case Form::kTexts:
      for (const json& one : value) writer.add_string(field.number, one.get<std::string>());
      return;
    case Form::kMessages:
      for (const json& one : value) writer.add_message(field.number, write_protobuf(one, *field.message));
      return;
    case Form::kTextMap: write_map(writer, field.number, value, false); return;
    case Form::kQuantityMap: write_map(writer, field.number, value, true); return;
    case Form::kTime: write_time(pbf_writer(writer, field.number), value); return;
    case Form::kIntOrString: write_int_or_string(pbf_writer(writer, field.number), value); return;
  }
}

const ProtobufMessage& message_of(const std::string& kind) {
  for (const Kind one : {Kind::kService, Kind::kEndpointSlice, Kind::kNode, Kind::kPod, Kind::kServiceCidr})
    if (name_of(one) == kind) return *agent::api::protobuf_message(one);
  return kind == "Status" ? agent::api::protobuf_status() : agent::api::protobuf_metadata_only();
}

std::string in_envelope(const json& object, const std::string& content) {
  std::string text(agent::api::kProtobufMagic);
  pbf_writer writer(text);
  writer.add_message(1, write_protobuf(object, agent::api::protobuf_type_meta()));
  writer.add_message(2, content);
  writer.add_string(3, "");
  writer.add_string(4, "");
  return text;
}

std::string content_of(const json& object) {
  const std::string kind = object.value("kind", "");
  constexpr std::string_view kList = "List";
  if (!kind.ends_with(kList)) return write_protobuf(object, message_of(kind));
  std::string text;
  pbf_writer writer(text);
  writer.add_message(1, write_protobuf(object["metadata"], agent::api::protobuf_list_meta()));
  for (const json& item : object["items"])
    writer.add_message(2, write_protobuf(item, message_of(kind.substr(0, kind.size() - kList.size()))));
  return text;
}

std::optional<std::string> in_protobuf(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return std::nullopt;
  return in_envelope(object, content_of(object));
}

std::optional<std::string> framed(std::string_view line) {
  const json event = json::parse(line, nullptr, false);
  if (!event.is_object() || !event.contains("type") || !event.contains("object")) return std::nullopt;
  std::string text;
  pbf_writer writer(text);
  writer.add_string(1, event["type"].get<std::string>());
  {
    pbf_writer extension(writer, 2);
    extension.add_string(1, in_envelope(event["object"], content_of(event["object"])));
  }
  std::string frame;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) frame.push_back(static_cast<char>(text.size() >> shift));
  return frame + text;
}

}  // namespace

std::string write_protobuf(const json& object, const ProtobufMessage& message) {
  std::string text;
  pbf_writer writer(text);
  for (const ProtobufField& field : message.fields)
    if (const auto found = object.find(field.name); found != object.end() && !found->is_null())
      write_field(writer, field, *found);
  return text;
}

Translation protobuf_translation() {
  return {"application/vnd.kubernetes.protobuf", in_protobuf, framed};
}

}  // namespace kubenatd::test
