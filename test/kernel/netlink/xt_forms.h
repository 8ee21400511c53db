#pragma once

#include <span>
#include <string_view>

namespace kubenatd::test {

/// A rule with a match or target of x_tables, as iptables is given it.
struct XtForm {
  std::string_view families;  ///< "4", "6" or "46"
  std::string_view table;
  std::string_view chain;
  std::string_view rule;
  bool judged = true;  ///< every part of it is one that a walk of a packet can judge
};

/// Every match and target that a walk knows, negated too.
[[nodiscard]] std::span<const XtForm> xt_forms();

}  // namespace kubenatd::test
