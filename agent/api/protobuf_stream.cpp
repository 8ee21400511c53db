#include "agent/api/protobuf_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <protozero/types.hpp>
#include <utility>

#include "agent/api/protobuf_reader.h"
#include "agent/api/protobuf_schema.h"
#include "agent/base/json_members.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

using base::text_of;
using nlohmann::json;

constexpr std::size_t kLongestCause = 200;

using Wire = protozero::pbf_wire_type;

/// Bytes that come block by block. After a failure nothing is read any more.
class ByteStream {
 public:
  explicit ByteStream(const std::function<std::string_view()>& next) : next_(next) {}

  /// Whether there is another byte.
  [[nodiscard]] bool more() {
    while (block_.empty() && !ended_) {
      block_ = next_();
      ended_ = block_.empty();
    }
    return !block_.empty();
  }
  [[nodiscard]] std::uint64_t position() const { return position_; }

  /// Ten bytes at most; nothing at the end of the stream, or when it is longer.
  [[nodiscard]] std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (!more()) return std::nullopt;
      const auto byte = static_cast<unsigned char>(block_.front());
      advance(1);
      value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
      if ((byte & 0x80U) == 0) return value;
    }
    return std::nullopt;
  }
  /// So many bytes, in the block where they are all in one.
  [[nodiscard]] std::optional<std::string_view> bytes(std::size_t count) {
    if (count == 0) return std::string_view();
    if (!more()) return std::nullopt;
    if (block_.size() >= count) {
      const std::string_view whole = block_.substr(0, count);
      advance(count);
      return whole;
    }
    kept_.clear();
    while (kept_.size() < count) {
      if (!more()) return std::nullopt;
      const std::string_view part = block_.substr(0, count - kept_.size());
      kept_.append(part);
      advance(part.size());
    }
    return kept_;
  }
  [[nodiscard]] bool skip(std::uint64_t count) {
    while (count > 0) {
      if (!more()) return false;
      const std::size_t part = std::min<std::uint64_t>(count, block_.size());
      advance(part);
      count -= part;
    }
    return true;
  }

 private:
  void advance(std::size_t count) {
    block_.remove_prefix(count);
    position_ += count;
  }

  const std::function<std::string_view()>& next_;
  std::string_view block_;
  std::string kept_;
  std::uint64_t position_ = 0;
  bool ended_ = false;
};

/// The head of a field: its number, and its length where it has one.
struct FieldHead {
  std::uint32_t number = 0;
  Wire wire = Wire::length_delimited;
  std::uint64_t length = 0;  ///< of what follows
};

std::optional<FieldHead> read_head(ByteStream& stream) {
  const auto tag = stream.varint();
  if (!tag || *tag > UINT32_MAX) return std::nullopt;
  FieldHead head{static_cast<std::uint32_t>(*tag >> 3U), static_cast<Wire>(*tag & 7U), 0};
  switch (head.wire) {
    case Wire::varint:
      if (!stream.varint()) return std::nullopt;
      return head;
    case Wire::fixed64: head.length = 8; return head;
    case Wire::fixed32: head.length = 4; return head;
    case Wire::length_delimited:
      if (const auto length = stream.varint()) {
        head.length = *length;
        return head;
      }
      return std::nullopt;
    default: return std::nullopt;
  }
}

class ListReader {
 public:
  ListReader(objects::Kind kind, const std::string& api_version, const std::function<std::string_view()>& next_block,
             const std::function<void(json&&)>& visit)
      : kind_(kind),
        list_kind_(std::string(name_of(kind)) + "List"),
        api_version_(api_version),
        visit_(visit),
        stream_(next_block) {}

  rules::Result<ListHead> read() {
    const auto magic = stream_.bytes(kProtobufMagic.size());
    if (!magic || *magic != kProtobufMagic) return failed("does not begin as the API server's objects do");
    while (stream_.more()) {
      const auto head = read_head(stream_);
      if (!head) return failed("ends within a field");
      rules::Status taken;
      if (head->number == 1 && head->wire == Wire::length_delimited)
        taken = take_type(head->length);
      else if (head->number == 2 && head->wire == Wire::length_delimited)
        taken = take_content(head->length);
      else if (head->number == 3 && head->wire == Wire::length_delimited && head->length > 0)
        taken = failed("its content is encoded once more");
      else if (!stream_.skip(head->length))
        taken = failed("ends within a field");
      if (!taken) return std::unexpected(taken.error());
    }
    // Without this any answer that begins alike would be a list without items: nothing is left.
    if (!head_) return failed("has no content");
    return *std::move(head_);
  }

 private:
  [[nodiscard]] std::unexpected<rules::Error> failed(std::string_view cause) const {
    return rules::fail(list_kind_, fmt::format("read, after {} items", items_), base::one_line(cause, kLongestCause));
  }

  /// A field that is taken into memory as a whole.
  rules::Result<std::string_view> whole(std::uint64_t length) {
    if (length > kLargestObject) return failed(fmt::format("an item of more than {} bytes", kLargestObject));
    const auto bytes = stream_.bytes(length);
    if (!bytes) return failed("ends within a field");
    return *bytes;
  }

  rules::Status take_type(std::uint64_t length) {
    const auto bytes = whole(length);
    if (!bytes) return std::unexpected(bytes.error());
    const auto type = read_protobuf_message(*bytes, protobuf_type_meta());
    if (!type) return failed(type.error().cause);
    const std::string kind = text_of(*type, "kind");
    if (kind != list_kind_) return failed(fmt::format("kind is {}, not {}", base::in_quotes(kind), list_kind_));
    typed_ = true;
    return {};
  }

  rules::Status take_content(std::uint64_t length) {
    if (!typed_) return failed("has no kind");
    if (length > UINT64_MAX - stream_.position()) return failed("ends within a field");
    head_.emplace();
    const std::uint64_t end = stream_.position() + length;
    while (stream_.position() < end) {
      const auto head = read_head(stream_);
      if (!head || stream_.position() > end || head->length > end - stream_.position())
        return failed("ends within a field");
      rules::Status taken;
      if (head->number == 1 && head->wire == Wire::length_delimited)
        taken = take_list_meta(head->length);
      else if (head->number == 2 && head->wire == Wire::length_delimited)
        taken = take_item(head->length);
      else if (!stream_.skip(head->length))
        taken = failed("ends within a field");
      if (!taken) return taken;
    }
    return {};
  }

  rules::Status take_list_meta(std::uint64_t length) {
    const auto bytes = whole(length);
    if (!bytes) return std::unexpected(bytes.error());
    const auto meta = read_protobuf_message(*bytes, protobuf_list_meta());
    if (!meta) return failed(meta.error().cause);
    head_->resource_version = text_of(*meta, "resourceVersion");
    head_->continue_token = text_of(*meta, "continue");
    return {};
  }

  rules::Status take_item(std::uint64_t length) {
    const auto bytes = whole(length);
    if (!bytes) return std::unexpected(bytes.error());
    auto item = read_protobuf_message(*bytes, *protobuf_message(kind_));
    if (!item) return failed(item.error().cause);
    (*item)["kind"] = name_of(kind_);
    (*item)["apiVersion"] = api_version_;
    ++items_;
    visit_(*std::move(item));
    return {};
  }

  objects::Kind kind_;
  std::string list_kind_;
  const std::string& api_version_;
  const std::function<void(json&&)>& visit_;
  ByteStream stream_;
  std::size_t items_ = 0;
  bool typed_ = false;
  std::optional<ListHead> head_;
};

constexpr std::size_t kLengthBytes = 4;

/// Of the frame at the beginning; nothing while its length is not known.
std::optional<std::size_t> frame_size(std::string_view bytes) {
  if (bytes.size() < kLengthBytes) return std::nullopt;
  std::size_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) length = length << 8U | static_cast<unsigned char>(bytes[i]);
  return kLengthBytes + length;
}

}  // namespace

rules::Result<ListHead> read_protobuf_list(objects::Kind kind, const std::string& api_version,
                                           const std::function<std::string_view()>& next_block,
                                           const std::function<void(json&&)>& visit) {
  if (protobuf_message(kind) == nullptr)
    return rules::fail(std::string(name_of(kind)) + "List", "read", "is not read in protobuf");
  return ListReader(kind, api_version, next_block, visit).read();
}

bool FrameCutter::add(std::string_view block, const std::function<bool(std::string_view)>& visit) {
  constexpr std::size_t kMost = kLengthBytes + kLargestObject;
  // The frame that an earlier block began.
  while (!rest_.empty() && !block.empty()) {
    const std::size_t wanted = frame_size(rest_).value_or(kLengthBytes);
    const std::string_view part = block.substr(0, wanted - rest_.size());
    rest_.append(part);
    block.remove_prefix(part.size());
    const auto size = frame_size(rest_);
    if (size && *size > kMost) return false;
    if (size != rest_.size()) continue;
    const std::string frame = std::exchange(rest_, {});
    if (!visit(std::string_view(frame).substr(kLengthBytes))) return true;
  }
  while (!block.empty()) {
    const auto size = frame_size(block);
    if (size && *size > kMost) return false;
    if (!size || *size > block.size()) {
      rest_.assign(block);
      return true;
    }
    if (!visit(block.substr(kLengthBytes, *size - kLengthBytes))) return true;
    block.remove_prefix(*size);
  }
  return true;
}

}  // namespace kubenatd::agent::api
