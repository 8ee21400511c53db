#pragma once

#include <string>
#include <vector>

#include "netlink/walk/expression_reader.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// A rule of iptables' tables as iptables-save prints it, without its "-A CHAIN": of iptables-nft's own expressions
/// (-s, -d, -i, -o, -p, -f, ports, tcp flags, mark, limit, NFLOG), and what `xt_texts` says of the others. What
/// iptables would not write that way is told in nft's words, in brackets.
[[nodiscard]] std::string iptables_text(const rules::walk::WalkRule& rule, const rules::walk::WalkTable& table,
                                        const std::vector<ExpressionReader::XtText>& xt_texts);

}  // namespace kubenatd::netlink::walk
