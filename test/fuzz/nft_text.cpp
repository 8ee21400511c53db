#include "rules/walk/nft/ruleset_text.h"
#include "test/fuzz/packets.h"

/// What `nft list ruleset` printed.
namespace kubenatd::fuzz {

void check(std::string_view input) {
  rules::walk::Ruleset ruleset;
  (void)rules::walk::nft::looks_like_ruleset(input);
  if (const auto read = rules::walk::nft::read_ruleset_text(input, ruleset); !read) require_short(read.error());
  walk_all(ruleset);
}

}  // namespace kubenatd::fuzz
