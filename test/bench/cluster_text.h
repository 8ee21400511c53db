#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kubenatd::bench {

/// Objects of the cluster of make_cluster() (cluster_state.h), as JSON that an API server takes or sends. `metadata` is
/// put into the metadata as it stands: empty, or members that end with a comma.
[[nodiscard]] std::string service_json(std::size_t service, std::string_view metadata);
[[nodiscard]] std::string slice_json(std::size_t service, std::size_t endpoints, std::size_t variant,
                                     std::string_view metadata);

}  // namespace kubenatd::bench
