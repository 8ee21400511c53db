#pragma once

#include <string>

#include "agent/trace/report.h"

namespace kubenatd::agent::trace {

/// For people: one packet after the other, with what was predicted. Text from outside is made harmless.
[[nodiscard]] std::string to_text(const Report& report, bool colour);

/// For programs: one JSON object with "schema": "kubenatd.trace/v1". Fields are added, never changed or removed, within
/// v1.
[[nodiscard]] std::string to_json(const Report& report);

// Words that both have in common.
[[nodiscard]] std::string_view name_of(Conclusion conclusion);        ///< as-predicted, differs, unknown
[[nodiscard]] std::string_view name_of(Comparison::Outcome outcome);  ///< as-predicted, differs, not-compared
/// new, established, related, invalid, untracked; empty: not known.
[[nodiscard]] std::string_view state_name(const Packet& packet);
/// "SYN", "SYN,ACK"; empty: no TCP.
[[nodiscard]] std::string tcp_flags(const TracedHeader& header);
/// "prerouting", ...; empty: not known.
[[nodiscard]] std::string hook_of(const Passage& passage, const RuleNames& names);

}  // namespace kubenatd::agent::trace
