#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "rules/error.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk::xt {

/// What a text left out or was taken in part, one line each.
using Remarks = std::vector<std::string>;

/// Reads what iptables-save, ip6tables-save, their -legacy and -nft forms or xtables-save printed, or `kubenatd
/// render`, as people paste it: both families in one text, several dumps one after the other, shell prompts, code
/// fences, leading blanks, byte order marks, UTF-16. Adds its tables to `into`. The family of a part is told by its
/// heading, else by what is in its rules. A second dump of the same table is taken when headings say that one is
/// iptables-legacy's and one is not; else it is an error.
///
/// Failure: a text without any table is an error, and so is a line that is not of iptables-save; the error names the
/// line and, for what `iptables -S`, `-L` or another tool printed, what to give instead. `into` is then as far as it
/// was read. Cost: linear.
[[nodiscard]] Status read_save_text(std::string_view text, Ruleset& into, Remarks& remarks);

}  // namespace kubenatd::rules::walk::xt
