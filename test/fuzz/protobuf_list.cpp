#include <nlohmann/json.hpp>

#include "agent/api/protobuf_schema.h"
#include "agent/api/protobuf_stream.h"
#include "agent/objects/decode.h"
#include "test/fuzz/fuzz.h"

/// Lists that an API server sends in protobuf, and frames of a watch, in whatever pieces they come.
namespace kubenatd::fuzz {
namespace {

using agent::api::FrameCutter;
using agent::objects::Kind;
using nlohmann::json;

struct Resource {
  Kind kind;
  std::string api_version;
};

const Resource& resource_of(std::uint8_t choice) {
  static const std::vector<Resource> kAll{{Kind::kService, "v1"},
                                          {Kind::kEndpointSlice, "discovery.k8s.io/v1"},
                                          {Kind::kNode, "v1"},
                                          {Kind::kPod, "v1"},
                                          {Kind::kServiceCidr, "networking.k8s.io/v1"}};
  return kAll[choice % kAll.size()];
}

struct List {
  bool read = false;
  agent::api::ListHead head;
  std::vector<std::string> items;
};

List list_of(const Resource& resource, const std::vector<std::string_view>& pieces) {
  List list;
  std::size_t next = 0;
  const auto next_block = [&]() -> std::string_view {
    // An empty block is the end.
    while (next < pieces.size() && pieces[next].empty()) ++next;
    return next < pieces.size() ? pieces[next++] : std::string_view();
  };
  const auto read = agent::api::read_protobuf_list(resource.kind, resource.api_version, next_block, [&](json&& item) {
    list.items.push_back(item.dump());  // throws when a text is no UTF-8
    require(item.at("kind") == name_of(resource.kind), "an item is of the list's kind");
    const auto decoded = agent::objects::decode_object(item, agent::objects::Origin::kServer);
    if (!decoded) require_line(decoded.error());
  });
  list.read = read.has_value();
  if (read) list.head = *read;
  if (!read) require_line(read.error());
  return list;
}

struct Frames {
  std::vector<std::string> frames;
  bool fits = true;
  bool partial = false;
};

Frames frames_of(const std::vector<std::string_view>& pieces) {
  Frames all;
  FrameCutter cutter;
  for (const std::string_view piece : pieces) {
    all.fits = cutter.add(piece, [&](std::string_view frame) {
      all.frames.emplace_back(frame);
      return true;
    });
    if (!all.fits) return all;
  }
  all.partial = cutter.partial();
  return all;
}

}  // namespace

void check(std::string_view input) {
  const std::uint8_t seed = take_byte(input);
  const Resource& resource = resource_of(seed);
  const List whole = list_of(resource, {input}), parts = list_of(resource, in_pieces(input, seed));
  require(whole.read == parts.read && whole.items == parts.items, "a list in pieces is the same list");
  require(whole.head.resource_version == parts.head.resource_version &&
              whole.head.continue_token == parts.head.continue_token,
          "a list in pieces has the same head");

  const Frames all = frames_of({input}), cut = frames_of(in_pieces(input, seed));
  require(all.fits == cut.fits && all.frames == cut.frames && all.partial == cut.partial,
          "frames in pieces are the same frames");
}

}  // namespace kubenatd::fuzz
