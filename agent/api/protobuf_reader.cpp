#include "agent/api/protobuf_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <protozero/pbf_reader.hpp>
#include <stdexcept>
#include <utility>

#include "agent/base/json_members.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

using base::text_of;
using nlohmann::json;
using protozero::pbf_reader;
using protozero::pbf_wire_type;
using Form = ProtobufField::Form;
using Zero = ProtobufField::Zero;

std::string_view view_of(const protozero::data_view& data) {
  return {data.data(), data.size()};
}

pbf_reader reader_of(std::string_view bytes) {
  return pbf_reader(bytes.data(), bytes.size());
}

/// Thrown within this file only: protozero throws, too.
std::runtime_error wrong_type(const ProtobufField& field, pbf_wire_type found) {
  return std::runtime_error(fmt::format("field {} has wire type {}", field.name, static_cast<int>(found)));
}

std::string text_of(const protozero::data_view& data) {
  std::string text(data.data(), data.size());
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::ranges::all_of(text, is_ascii)) return text;
  return json::parse(json(std::move(text)).dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>();
}

/// meta/v1 Time.
json read_time(pbf_reader reader) {
  bool present = false;
  std::int64_t seconds = 0;
  while (reader.next()) {
    if (reader.tag() == 1 && reader.wire_type() == pbf_wire_type::varint) {
      present = true;
      seconds = reader.get_int64();
    } else {
      reader.skip();
    }
  }
  if (!present) return nullptr;
  constexpr std::int64_t kFirst = -62'135'596'800, kLast = 253'402'300'799;  // the years 1 to 9999
  if (seconds < kFirst || seconds > kLast) return std::to_string(seconds);   // no time to any reader
  const std::chrono::sys_seconds time{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

/// util/intstr IntOrString: type 0 is a number, 1 a text.
json read_int_or_string(pbf_reader reader) {
  std::int64_t type = 0;
  std::int32_t number = 0;
  std::string text;
  while (reader.next()) {
    if (reader.tag() == 1 && reader.wire_type() == pbf_wire_type::varint)
      type = reader.get_int64();
    else if (reader.tag() == 2 && reader.wire_type() == pbf_wire_type::varint)
      number = reader.get_int32();
    else if (reader.tag() == 3 && reader.wire_type() == pbf_wire_type::length_delimited)
      text = text_of(reader.get_view());
    else
      reader.skip();
  }
  if (type == 1) return text;
  return number;
}

std::string read_quantity(pbf_reader reader) {
  std::string text;
  while (reader.next()) {
    if (reader.tag() == 1 && reader.wire_type() == pbf_wire_type::length_delimited)
      text = text_of(reader.get_view());
    else
      reader.skip();
  }
  return text;
}

/// An entry of a map: 1 is the key, 2 the value.
void read_entry(pbf_reader reader, bool quantity, json& into) {
  std::string key, value;
  while (reader.next()) {
    const bool is_bytes = reader.wire_type() == pbf_wire_type::length_delimited;
    if (reader.tag() == 1 && is_bytes)
      key = text_of(reader.get_view());
    else if (reader.tag() == 2 && is_bytes && quantity)
      value = read_quantity(reader.get_message());
    else if (reader.tag() == 2 && is_bytes)
      value = text_of(reader.get_view());
    else
      reader.skip();
  }
  into[std::move(key)] = std::move(value);
}

json read_fields(pbf_reader reader, const ProtobufMessage& message);

json& member(json& object, const ProtobufField& field) {
  return object[std::string(field.name)];
}

void take_number(pbf_reader& reader, const ProtobufField& field, json& object) {
  // An int32 below zero is written as ten bytes, as an int64 is.
  const std::int64_t value = reader.get_int64();
  if (value != 0 || field.zero == Zero::kValue) member(object, field) = value;
}

void take_bytes(pbf_reader& reader, const ProtobufField& field, json& object) {
  switch (field.form) {
    case Form::kText: {
      const auto data = reader.get_view();
      if (!data.empty() || field.zero == Zero::kValue) member(object, field) = text_of(data);
      return;
    }
    case Form::kTexts: member(object, field).push_back(text_of(reader.get_view())); return;
    case Form::kMessage: member(object, field) = read_fields(reader.get_message(), *field.message); return;
    case Form::kMessages: member(object, field).push_back(read_fields(reader.get_message(), *field.message)); return;
    case Form::kTextMap: read_entry(reader.get_message(), false, member(object, field)); return;
    case Form::kQuantityMap: read_entry(reader.get_message(), true, member(object, field)); return;
    case Form::kIntOrString: member(object, field) = read_int_or_string(reader.get_message()); return;
    case Form::kTime:
      if (json time = read_time(reader.get_message()); !time.is_null()) member(object, field) = std::move(time);
      return;
    case Form::kNumber:
    case Form::kFlag: throw wrong_type(field, pbf_wire_type::length_delimited);
  }
}

json read_fields(pbf_reader reader, const ProtobufMessage& message) {
  json object = json::object();
  while (reader.next()) {
    const ProtobufField* field = message.find(reader.tag());
    if (field == nullptr) {
      reader.skip();
    } else if (reader.wire_type() == pbf_wire_type::length_delimited) {
      take_bytes(reader, *field, object);
    } else if (reader.wire_type() == pbf_wire_type::varint && field->form == Form::kNumber) {
      take_number(reader, *field, object);
    } else if (reader.wire_type() == pbf_wire_type::varint && field->form == Form::kFlag) {
      const bool value = reader.get_bool();
      if (value || field->zero == Zero::kValue) member(object, *field) = value;
    } else {
      throw wrong_type(*field, reader.wire_type());
    }
  }
  return object;
}

std::unexpected<rules::Error> failed(std::string_view object, const std::exception& thrown) {
  constexpr std::size_t kLongest = 200;
  return rules::fail(std::string(object), "read", base::one_line(thrown.what(), kLongest));
}

}  // namespace

rules::Result<json> read_protobuf_message(std::string_view bytes, const ProtobufMessage& message) {
  try {
    return read_fields(reader_of(bytes), message);
  } catch (const std::exception& thrown) {
    return failed("protobuf message", thrown);
  }
}

rules::Result<ProtobufEnvelope> open_protobuf_envelope(std::string_view bytes) {
  if (!bytes.starts_with(kProtobufMagic))
    return rules::fail("protobuf object", "read", "does not begin as the API server's objects do");
  bytes.remove_prefix(kProtobufMagic.size());
  ProtobufEnvelope envelope;
  try {
    pbf_reader reader = reader_of(bytes);
    while (reader.next()) {
      const bool is_bytes = reader.wire_type() == pbf_wire_type::length_delimited;
      if (reader.tag() == 1 && is_bytes) {
        const json type = read_fields(reader.get_message(), protobuf_type_meta());
        envelope.api_version = text_of(type, "apiVersion");
        envelope.kind = text_of(type, "kind");
      } else if (reader.tag() == 2 && is_bytes) {
        envelope.raw = view_of(reader.get_view());
      } else if (reader.tag() == 3 && is_bytes) {
        if (!reader.get_view().empty())
          return rules::fail("protobuf object", "read", "its content is encoded once more");
      } else {
        reader.skip();
      }
    }
  } catch (const std::exception& thrown) {
    return failed("protobuf object", thrown);
  }
  return envelope;
}

rules::Result<json> read_protobuf_object(std::string_view bytes, objects::Kind kind) {
  const auto envelope = open_protobuf_envelope(bytes);
  if (!envelope) return std::unexpected(envelope.error());
  const ProtobufMessage* message = envelope->kind == name_of(kind) ? protobuf_message(kind) : nullptr;
  if (message == nullptr) message = envelope->kind == "Status" ? &protobuf_status() : &protobuf_metadata_only();
  auto object = read_protobuf_message(envelope->raw, *message);
  if (!object) return object;
  (*object)["kind"] = envelope->kind;
  (*object)["apiVersion"] = envelope->api_version;
  return object;
}

rules::Result<json> read_protobuf_event(std::string_view frame, objects::Kind kind) {
  json event = json::object();
  try {
    pbf_reader reader = reader_of(frame);
    while (reader.next()) {
      const bool is_bytes = reader.wire_type() == pbf_wire_type::length_delimited;
      if (reader.tag() == 1 && is_bytes) {
        event["type"] = text_of(reader.get_view());
      } else if (reader.tag() == 2 && is_bytes) {
        // runtime.RawExtension
        pbf_reader extension = reader.get_message();
        while (extension.next()) {
          if (extension.tag() != 1 || extension.wire_type() != pbf_wire_type::length_delimited) {
            extension.skip();
            continue;
          }
          auto object = read_protobuf_object(view_of(extension.get_view()), kind);
          if (!object) return object;
          event["object"] = *std::move(object);
        }
      } else {
        reader.skip();
      }
    }
  } catch (const std::exception& thrown) {
    return failed("protobuf event", thrown);
  }
  return event;
}

}  // namespace kubenatd::agent::api
