#pragma once

#include <cstdint>
#include <string_view>

#include "rules/rule.h"

namespace kubenatd::netlink::iptables {

/// An x_tables match or target as a rule carries it.
struct XtExtension {
  std::string_view name;
  std::uint32_t revision = 0;
  std::string_view info;  ///< the extension's structure
};

/// Adds the match to the rule; false when it is beyond the model, whatever its bytes.
[[nodiscard]] bool decode_xt_match(const XtExtension& extension, rules::Family family, rules::Rule& rule);

/// Sets the target of the rule; false when it is beyond the model.
[[nodiscard]] bool decode_xt_target(const XtExtension& extension, rules::Family family, rules::Rule& rule);

}  // namespace kubenatd::netlink::iptables
