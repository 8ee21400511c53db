#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "rules/address.h"
#include "rules/error.h"

namespace kubenatd::agent::objects {

/// An object that was refused, passed over or taken in part, and what it would have had.
struct PassedOver {
  std::string object;  ///< "Service demo/web"; of a file that could not be read: "file PATH"
  std::string reason;  ///< "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"
  std::vector<rules::Address> addresses;
  std::vector<std::uint16_t> node_ports;  ///< and ports of the node that a Pod asks for
  bool operator==(const PassedOver&) const = default;
};

/// A line about an object ("Service demo/web: spec.x: why") with the addresses and ports of the node that stand in its
/// document, as far as they can be read. A Pod in the node's own network has none of its own. Pure; whatever the
/// document is. Cost: linear; only the first thousand of each are kept.
[[nodiscard]] PassedOver passed_over(const nlohmann::json& document, std::string_view line);
[[nodiscard]] PassedOver passed_over(const nlohmann::json& document, const rules::Error& refusal);

/// Whether an object of the kind could have had anything to do with packets.
[[nodiscard]] bool is_worth_telling(const PassedOver& one);

}  // namespace kubenatd::agent::objects
