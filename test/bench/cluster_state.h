#pragma once

#include <cstddef>
#include <vector>

#include "agent/objects/objects.h"

namespace kubenatd::bench {

/// A cluster of `services` ClusterIP Services of one TCP port with `endpoints` ready endpoints each, as events. The
/// addresses are spread over 10.96.0.0/12, as an API server hands them out.
[[nodiscard]] std::vector<agent::objects::ObjectEvent> make_cluster(std::size_t services, std::size_t endpoints);

/// The EndpointSlice of one of these Services; `variant` changes its first endpoint.
[[nodiscard]] agent::objects::ObjectEvent make_slice(std::size_t service, std::size_t endpoints, std::size_t variant);

[[nodiscard]] rules::Address cluster_ip(std::size_t service);
inline constexpr std::uint16_t kServicePort = 80;
inline constexpr std::uint16_t kEndpointPort = 8080;

}  // namespace kubenatd::bench
