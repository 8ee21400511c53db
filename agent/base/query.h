#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The query of a URL.
namespace kubenatd::agent::base {

/// A value for a query: everything is escaped except letters, digits and "-._~" (RFC 3986).
[[nodiscard]] std::string query_encoded(std::string_view text);

/// The names and values of "a=1&b=%20", decoded; "+" is a blank. None: an escape is broken.
[[nodiscard]] std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view text);

}  // namespace kubenatd::agent::base
