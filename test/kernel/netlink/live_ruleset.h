#pragma once

#include <string>
#include <vector>

#include "netlink/walk/ruleset_reader.h"
#include "rules/walk/ruleset.h"

/// All rules of the test's own network namespace.
namespace kubenatd::test {

/// Has nft load a text; the test case fails when it refuses.
void load_rules(const std::string& text);
/// As netlink::walk::read_ruleset() reads them; the test case fails when it does not.
[[nodiscard]] rules::walk::Ruleset read_rules(std::size_t at_once = netlink::walk::kAllAtOnce);

/// "0a000001-0a000002 : drop "its comment" conditional"
[[nodiscard]] std::string element_text(const rules::walk::SetElement& element);
/// Those of a set, sorted; "*" as well.
[[nodiscard]] std::vector<std::string> elements_of(const rules::walk::WalkSet& set);

}  // namespace kubenatd::test
