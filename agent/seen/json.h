#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/seen/history.h"
#include "agent/seen/services.h"
#include "agent/seen/status.h"
#include "rules/error.h"

/// The documents that the agent serves below /kubenatd/v1/, written and read. Text that is not UTF-8 is written with
/// U+FFFD. Fields that a reader does not know are passed over; one that is missing keeps its default.
namespace kubenatd::agent::seen {

[[nodiscard]] std::string to_json(const Status& status);
[[nodiscard]] std::string to_json(const ServicesPage& page);
/// `last` is the number of the newest happening that there is.
[[nodiscard]] std::string to_json(const std::vector<Happening>& happenings, std::uint64_t last);

[[nodiscard]] rules::Result<Status> read_status(std::string_view text);
[[nodiscard]] rules::Result<ServicesPage> read_services(std::string_view text);

inline constexpr const char* kHistorySchema = "kubenatd.history/v1";

}  // namespace kubenatd::agent::seen
