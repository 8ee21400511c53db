#include "agent/explain/sources.h"
#include "test/fuzz/packets.h"

/// A file of --rules, whatever tool wrote it: `nft -j` above all; nft_text and iptables_save have the other two.
namespace kubenatd::fuzz {

void check(std::string_view input) {
  std::vector<std::string> remarks;
  const auto ruleset =
      agent::explain::read_saved_texts({{"file", agent::explain::as_utf8(std::string(input))}}, remarks);
  if (!ruleset) {
    require_short(ruleset.error());
    return;
  }
  (void)agent::explain::uses_nfacct(*ruleset);
  walk_all(*ruleset);
}

}  // namespace kubenatd::fuzz
