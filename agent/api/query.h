#pragma once

#include <string>
#include <string_view>

namespace kubenatd::agent::api {

/// A value for a query: everything is escaped except letters, digits and "-._~" (RFC 3986).
[[nodiscard]] std::string query_encoded(std::string_view text);

}  // namespace kubenatd::agent::api
