#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "agent/api/json_stream.h"
#include "agent/objects/objects.h"
#include "rules/error.h"

namespace kubenatd::agent::api {

/// Reads a list ("ServiceList") in protobuf from blocks of its bytes, as read_list() reads JSON: an item is handed out
/// as soon as it is complete, and only one is in memory. An item that is no message of its kind is an error of the
/// whole list, as in JSON.
[[nodiscard]] rules::Result<ListHead> read_protobuf_list(objects::Kind kind, const std::string& api_version,
                                                         const std::function<std::string_view()>& next_block,
                                                         const std::function<void(nlohmann::json&&)>& visit);

/// Cuts the blocks of a watch into frames: four bytes of length, the highest first, and so many bytes
/// (apimachinery's pkg/util/framer). It keeps in memory only a frame that is spread over several blocks.
class FrameCutter {
 public:
  /// Calls `visit` with each complete frame until `visit` returns false. Returns false when a frame is longer than an
  /// event can be.
  [[nodiscard]] bool add(std::string_view block, const std::function<bool(std::string_view)>& visit);
  /// True when a part of a frame is left.
  [[nodiscard]] bool partial() const { return !rest_.empty(); }

 private:
  std::string rest_;
};

}  // namespace kubenatd::agent::api
