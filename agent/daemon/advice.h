#pragma once

#include <string>
#include <string_view>

#include "rules/error.h"

/// What a user can do about an error: the right, the kernel module, the flag or the field that helps.
namespace kubenatd::agent::daemon {

/// The same error, with advice where the kernel did not let netlink be used: CAP_NET_ADMIN, nf_tables. Meant for errors
/// that come from there.
[[nodiscard]] rules::Error with_kernel_advice(rules::Error error);

/// The error of a server that could not be opened, with what changes its address. `server` is its name: it begins with
/// "healthz", "metrics" or "health check".
[[nodiscard]] rules::Error with_server_advice(std::string_view server, rules::Error error);

/// The error of a file or folder that cannot be read, with the flag or field that named it.
[[nodiscard]] rules::Error with_origin(rules::Error error, std::string_view origin);

}  // namespace kubenatd::agent::daemon
