#include <map>
#include <nlohmann/json.hpp>

#include "agent/api/json_stream.h"
#include "agent/api/protobuf_stream.h"
#include "agent/api/resource_watch.h"
#include "test/fuzz/fuzz.h"

/// What a watch makes of events that an API server sends, in lines of JSON or frames of protobuf.
namespace kubenatd::agent::api {

class WatchLines {
 public:
  WatchLines(ResourceWatch& watch, Encoding encoding) : watch_(watch), encoding_(encoding) {}
  /// As read_events() does it; false when the watch ends with this event.
  [[nodiscard]] bool take(std::string_view text) {
    const auto verdict = watch_.take_text(text, encoding_, initial_);
    if (verdict) fuzz::require_line(verdict->problem);
    return !verdict;
  }
  [[nodiscard]] std::size_t known() const { return watch_.known_.size(); }
  void begin(bool initial) {
    initial_ = initial;
    if (initial) watch_.known_.begin_list();
  }
  [[nodiscard]] bool is_in_list() const { return initial_; }

 private:
  ResourceWatch& watch_;
  const Encoding encoding_;
  bool initial_ = false;
};

}  // namespace kubenatd::agent::api

namespace kubenatd::fuzz {
namespace {

using namespace agent::api;
using agent::objects::Kind;

/// Keeps what the events say is there.
class Mirror final : public WatchSink {
 public:
  explicit Mirror(Kind kind) : kind_(kind) {}

  void changed(agent::objects::ObjectEvent event) override {
    require(event.kind == kind_, "an event is of the kind that is watched");
    require(event.object == nullptr || kind_of(*event.object) == kind_, "an object is of the kind that is watched");
    const std::pair key{event.key.ns, event.key.name};
    const auto found = objects_.find(key);
    if (event.object == nullptr) {
      require(found != objects_.end(), "what goes was there", event.key.name);
      objects_.erase(found);
      return;
    }
    require(found == objects_.end() || *found->second != *event.object, "what changes is another one", event.key.name);
    objects_[key] = event.object;
  }
  void problem(std::string line) override { require_line(line); }
  void remark(std::string line) override { require_line(line); }
  void state(const WatchState& state) override { require_line(state.failure); }

  [[nodiscard]] std::size_t size() const { return objects_.size(); }

 private:
  Kind kind_;
  std::map<std::pair<std::string, std::string>, agent::objects::ObjectPtr> objects_;
};

WatchedResource resource_of(std::uint8_t choice) {
  switch (choice % 5) {
    case 0: return {.kind = Kind::kService, .name = "services", .path = "/api/v1/services", .api_version = "v1"};
    case 1:
      return {.kind = Kind::kEndpointSlice,
              .name = "endpointslices",
              .path = "/apis/discovery.k8s.io/v1/endpointslices",
              .api_version = "discovery.k8s.io/v1"};
    case 2: return {.kind = Kind::kNode, .name = "nodes", .path = "/api/v1/nodes", .api_version = "v1"};
    case 3: return {.kind = Kind::kPod, .name = "pods", .path = "/api/v1/pods", .api_version = "v1"};
    default:
      return {.kind = Kind::kServiceCidr,
              .name = "servicecidrs",
              .path = "/apis/networking.k8s.io/v1/servicecidrs",
              .api_version = "networking.k8s.io/v1"};
  }
}

}  // namespace

void check(std::string_view input) {
  static const ApiTiming timing;
  static const std::shared_ptr<Credentials> credentials = [] {
    ClusterAccess access;
    access.server = {.tls = false, .host = "127.0.0.1", .port = 1, .path = {}, .user = {}};
    return Credentials::open(access, std::chrono::hours(1)).value();
  }();
  const std::uint8_t choice = take_byte(input);
  Mirror mirror(resource_of(choice).kind);
  const Encoding encoding = (choice & 0x40U) != 0 ? Encoding::kProtobuf : Encoding::kJson;
  ResourceWatch watch(resource_of(choice), credentials, timing, encoding, mirror);
  WatchLines lines(watch, encoding);
  lines.begin(choice >= 0x80);
  LineCutter line_cutter;
  FrameCutter frame_cutter;
  bool goes_on = true;
  for (const std::string_view piece : in_pieces(input, choice)) {
    const auto take = [&](std::string_view text) { return goes_on = lines.take(text); };
    const bool fits = encoding == Encoding::kProtobuf ? frame_cutter.add(piece, take) : line_cutter.add(piece, take);
    if (!fits) return;
    if (!goes_on) return;
    require(lines.known() == mirror.size(), "what is known is what the events said");
  }
}

}  // namespace kubenatd::fuzz
