#pragma once

#include <string>

#include "rules/walk/ruleset.h"

namespace kubenatd::rules::walk::nft {

/// A rule in nft's words, as near to what nft 1.0.6 prints as the statements allow ("tcp dport 80 accept").
[[nodiscard]] std::string to_text(const std::vector<Statement>& statements, const WalkTable& table);
/// An element in nft's words ("10.96.0.10 . tcp . 53", "10.0.0.0/8 : jump pods"); bytes as hexadecimal where the type
/// is not known.
[[nodiscard]] std::string to_text(const SetElement& element, const WalkSet& set);

}  // namespace kubenatd::rules::walk::nft
