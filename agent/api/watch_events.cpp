#include "agent/api/resource_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/api/json_stream.h"
#include "agent/api/protobuf_reader.h"
#include "agent/base/json_members.h"
#include "agent/base/printable.h"
#include "agent/objects/decode.h"

/// What a watch, or a list as a stream, says.
namespace kubenatd::agent::api {
namespace {

using base::member;
using base::text_of;
using nlohmann::json;

/// What is longer than `longest` is none.
std::string version_of(const json& object, std::size_t longest) {
  std::string version = text_of(member(object, "metadata"), "resourceVersion");
  return version.size() > longest ? std::string() : version;
}

objects::ObjectKey key_of(const json& object, objects::Kind kind) {
  const json& metadata = member(object, "metadata");
  if (metadata.is_null()) return {};
  objects::ObjectKey key{objects::has_namespace(kind) ? text_of(metadata, "namespace") : std::string(),
                         text_of(metadata, "name")};
  if (objects::has_namespace(kind) && key.ns.empty()) key.ns = "default";  // as decode_object() has it
  return key;
}

}  // namespace

ResourceWatch::Verdict ResourceWatch::take_text(std::string_view text, Encoding encoding, bool& initial) {
  if (encoding == Encoding::kJson && base::trimmed(text).empty()) return std::nullopt;
  const auto event = encoding == Encoding::kProtobuf ? read_protobuf_event(text, resource_.kind) : read_value(text);
  if (event) return take_event(*event, initial);
  return Outcome{Outcome::Next::kRetry,
                 fmt::format("an event that is no {}: {}", encoding == Encoding::kProtobuf ? "protobuf" : "JSON",
                             event.error().cause),
                 {},
                 true};
}

ResourceWatch::Verdict ResourceWatch::take_event(const json& event, bool& initial) {
  const std::string type = text_of(event, "type");
  const json& object = member(event, "object");
  if (!object.is_object())
    return Outcome{
        Outcome::Next::kRetry, fmt::format("an event {} without an object", base::in_quotes(type)), {}, true};
  if (type == "ERROR") {
    Outcome outcome = take_error(object);
    if (!initial || outcome.next == Outcome::Next::kRelist) return outcome;
    // An API server (v1.36) before an etcd that reports no progress (3.4.24 and older) accepts the request and then
    // says so here. Pages are the surer way, whatever it is.
    sink_.remark(fmt::format("{}: {}; lists are read in pages", resource_.name, outcome.problem));
    streamed_lists_ = false;
    return Outcome{};
  }
  if (type == "BOOKMARK") {
    take_bookmark(object, initial);
    return std::nullopt;
  }
  if (type != "ADDED" && type != "MODIFIED" && type != "DELETED")
    return Outcome{Outcome::Next::kRetry, fmt::format("an event of unknown type {}", base::in_quotes(type)), {}, true};
  take_object(object, type == "DELETED");
  ++events_;
  if (initial) return std::nullopt;  // those of a list are in no order
  relists_ = bad_streams_ = 0;
  if (std::string version = version_of(object, kLongestVersion); !version.empty()) version_ = std::move(version);
  return std::nullopt;
}

ResourceWatch::Outcome ResourceWatch::take_error(const json& status) const {
  const std::string reason = text_of(status, "reason");
  const bool gone = member(status, "code") == kGone || reason == "Expired" || reason == "Gone";
  Outcome outcome;
  outcome.next = gone ? Outcome::Next::kRelist : Outcome::Next::kRetry;
  outcome.problem =
      fmt::format("the watch says {}: {}", base::one_line(reason), base::one_line(text_of(status, "message"), 300));
  outcome.from_stream = !gone;
  if (const json& after = member(member(status, "details"), "retryAfterSeconds"); after.is_number_unsigned())
    outcome.retry_after = std::chrono::seconds(std::min<std::uint64_t>(after.get<std::uint64_t>(), 86'400));
  return outcome;
}

void ResourceWatch::take_bookmark(const json& object, bool& initial) {
  std::string version = version_of(object, kLongestVersion);
  if (version.empty()) return;
  ++events_;
  if (!initial) {
    relists_ = bad_streams_ = 0;
    version_ = std::move(version);
    return;
  }
  const json& annotations = member(member(object, "metadata"), "annotations");
  if (text_of(annotations, "k8s.io/initial-events-end") != "true") return;
  initial = false;
  version_ = std::move(version);
  list_complete("as a stream");
  enter(WatchState::Phase::kWatching);
}

void ResourceWatch::list_complete(std::string_view how) {
  known_.end_list();
  state_.synced = true;
  ++state_.lists;
  sink_.remark(
      fmt::format("{}: {} listed {} at version {}", resource_.name, known_.size(), how, base::one_line(version_)));
  enter(state_.phase);
}

void ResourceWatch::take_object(const json& object, bool deleted) {
  const objects::ObjectKey key = key_of(object, resource_.kind);
  if (deleted) {
    if (key.name.empty())
      sink_.problem(fmt::format("{}: an event DELETED without a name", resource_.name));
    else
      known_.remove(key);
    return;
  }
  auto decoded = objects::decode_object(object, objects::Origin::kServer);
  if (!decoded) {
    const bool stays = known_.contains(key);
    sink_.left_out(objects::passed_over(object, decoded.error()));
    sink_.problem(decoded.error().to_string() + (stays ? "; it stays as it was" : ""));
    if (stays) known_.keep(key);
    return;
  }
  for (std::string& remark : decoded->remarks) {
    sink_.left_out(objects::passed_over(object, remark));
    sink_.remark(std::move(remark));
  }
  if (decoded->object && kind_of(*decoded->object) == resource_.kind) {
    known_.put(key, std::move(*decoded->object));
    return;
  }
  known_.remove(key);  // an EndpointSlice of names, say: there is nothing to be done with it
  if (!decoded->object) sink_.left_out(objects::passed_over(object, decoded->passed_over));
  if (decoded->object || text_of(object, "kind") != name_of(resource_.kind))
    sink_.problem(fmt::format("{}: an object of kind {} among them is left out", resource_.name,
                              base::in_quotes(text_of(object, "kind"))));
}

}  // namespace kubenatd::agent::api
