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

/// The part of a list that is not its items.
struct ListHead {
  std::string resource_version;
  std::string continue_token;  ///< empty: there is no more
};

/// Reads a list ("ServiceList") from blocks of its text. Each item is handed out as soon as it is complete, so only one
/// item is in memory. `next_block` gives the next bytes, and nothing at the end; a block is valid until the next call.
/// Items get the kind and apiVersion that the list implies; managedFields are skipped. An error names the number of the
/// item; items that were handed out before it stay valid.
[[nodiscard]] rules::Result<ListHead> read_list(const std::string& item_kind, const std::string& api_version,
                                                const std::function<std::string_view()>& next_block,
                                                const std::function<void(nlohmann::json&&)>& visit);

/// One JSON value, without managedFields.
[[nodiscard]] rules::Result<nlohmann::json> read_value(std::string_view text);

/// Cuts blocks into lines. It keeps in memory only a line that is spread over several blocks.
class LineCutter {
 public:
  /// Calls `visit` with each complete line, without its line end, until `visit` returns false. Returns false when a
  /// line is longer than an event can be.
  [[nodiscard]] bool add(std::string_view block, const std::function<bool(std::string_view)>& visit);
  /// True when a part of a line is left.
  [[nodiscard]] bool partial() const { return !rest_.empty(); }

 private:
  std::string rest_;
};

}  // namespace kubenatd::agent::api
