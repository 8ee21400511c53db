#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "rules/error.h"

namespace kubenatd::agent::api {

/// Bytes of one object. etcd takes 1.5 MiB by default, the API server 3 MiB a request.
inline constexpr std::size_t kLargestObject = 4U << 20;

/// What a list says of itself.
struct ListHead {
  std::string resource_version;
  std::string continue_token;  ///< empty: there is no more
};

/// Reads a list ("ServiceList") from blocks of its text and hands out each item when it is complete, so that memory is
/// bounded by one item. `next_block` gives the next bytes, none at the end; a block is valid until the next call. Items
/// have the kind and apiVersion that the list implies; managedFields are never built.
/// An error names the number of the item; what was handed out before stays.
[[nodiscard]] rules::Result<ListHead> read_list(const std::string& item_kind, const std::string& api_version,
                                                const std::function<std::string_view()>& next_block,
                                                const std::function<void(nlohmann::json&&)>& visit);

/// One JSON value, without managedFields.
[[nodiscard]] rules::Result<nlohmann::json> read_value(std::string_view text);

/// Cuts blocks into lines. Memory is that of a line that spreads over several blocks.
class LineCutter {
 public:
  /// Calls `visit` with every line that is complete, without its end, until it returns false. False: a line is longer
  /// than an event can be.
  [[nodiscard]] bool add(std::string_view block, const std::function<bool(std::string_view)>& visit);
  /// Something is there that is no whole line.
  [[nodiscard]] bool partial() const { return !rest_.empty(); }

 private:
  std::string rest_;
};

}  // namespace kubenatd::agent::api
