#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rules/walk/walker.h"

namespace kubenatd::agent::explain {

/// On this way.
[[nodiscard]] bool fits(const rules::walk::Hop& hop);

/// MASQUERADE, SNAT, or a rule that writes the header: the source is another one, or is replaced by itself.
[[nodiscard]] bool is_source_replaced(const rules::walk::PacketState& state);
/// Whether the new source may be the old one.
[[nodiscard]] bool may_keep_source(const rules::walk::PacketState& state);

/// Why the source of a packet on this path is replaced: the rule that marked it, or that replaces it, says it by where
/// it stands.
[[nodiscard]] std::string describe_masquerade(const rules::walk::Walk& walk, const std::vector<std::uint32_t>& path,
                                              const rules::walk::Outcome& outcome);

}  // namespace kubenatd::agent::explain
