#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "test/soak/dice.h"

/// Objects of the API as the soak writes them.
namespace kubenatd::soak {

inline const std::string kSpace = "soak";

/// A Service's EndpointSlice of a family, with the ports of a target, "http" TCP 8080 and "dns" UDP 9090, and
/// "diameter" SCTP 3868, which no packet goes to: the kernel need not have SCTP for its rules.
[[nodiscard]] nlohmann::json slice(const std::string& service, bool ipv6, const std::vector<std::string>& addresses);
[[nodiscard]] std::string slice_name(const std::string& service, bool ipv6);
/// A Pod of node-1 that runs, with these addresses and a TCP and a UDP host port to its ports 8080 and 9090.
[[nodiscard]] nlohmann::json pod(const std::string& name, const std::vector<std::string>& addresses, int host_port);
/// node-1, with addresses beside its own.
[[nodiscard]] nlohmann::json node(const std::string& zone, const std::vector<std::string>& more_addresses);

/// One of the Services that no traffic goes to: of any type, with any policies.
[[nodiscard]] nlohmann::json random_service(unsigned number, Dice& dice);
[[nodiscard]] nlohmann::json random_slice(unsigned number, bool ipv6, Dice& dice);
[[nodiscard]] nlohmann::json random_pod(unsigned number, Dice& dice);
[[nodiscard]] std::string random_service_name(unsigned number);
[[nodiscard]] std::string random_pod_name(unsigned number);

}  // namespace kubenatd::soak
