#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rules/rule.h"
#include "rules/walk/statement.h"

namespace kubenatd::netlink::walk {

/// A match or target of x_tables, as statements and as iptables-save prints it.
struct XtPart {
  std::vector<rules::walk::Statement> statements;
  std::string text;  ///< "-m tcp --dport 80", "-j DNAT --to-destination 10.0.0.1:80"
};

/// `info` is what the kernel keeps (NFTA_MATCH_INFO, NFTA_TARGET_INFO). One that is not known, or whose bytes are not
/// as they should be, gives a statement that cannot be judged (a target: OtherTarget, or what xt::other_target says of
/// its name), named. Pure.
[[nodiscard]] XtPart read_xt_match(std::string_view name, std::uint32_t revision, std::string_view info,
                                   rules::Family family);
[[nodiscard]] XtPart read_xt_target(std::string_view name, std::uint32_t revision, std::string_view info,
                                    rules::Family family);

}  // namespace kubenatd::netlink::walk
