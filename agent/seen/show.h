#pragma once

#include <string>

#include "agent/seen/services.h"
#include "agent/seen/status.h"

/// The documents as text for a terminal. What came from elsewhere is escaped.
namespace kubenatd::agent::seen {

/// Problems first, then what there is to know. Ends are told from the document's own time.
[[nodiscard]] std::string to_text(const Status& status);

/// For a table of nodes, of one tab between fields: a line of headings, one of values, and a line for each problem.
[[nodiscard]] std::string to_row(const Status& status);

enum class Width : std::uint8_t { kUsual, kWide };
/// A table, as kubectl prints them; with the detail of each Service under it, where the page has that. `now` is RFC
/// 3339.
[[nodiscard]] std::string to_text(const ServicesPage& page, Width width, const std::string& now);

}  // namespace kubenatd::agent::seen
