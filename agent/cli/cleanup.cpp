#include "agent/dataplane/iptables/cleanup.h"

#include <unistd.h>

#include "agent/base/log.h"
#include "agent/cli/commands.h"

namespace kubenatd::agent::cli {

int cleanup(const Options& /*options*/) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) {
    base::log_error(kernel.error().to_string(), {});
    return kExitFailed;
  }
  bool complete = true;
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && ::access("/proc/net/if_inet6", F_OK) != 0) continue;
    const std::string name(name_of(family));
    auto removed = dataplane::iptables::remove_all(*kernel, family);
    if (!removed) {
      base::log_error(removed.error().to_string(), {{"family", name}});
      complete = false;
      continue;
    }
    auto table = dataplane::iptables::remove_nftables_table(*kernel, family);
    if (!table) {
      base::log_error(table.error().to_string(), {{"family", name}});
      complete = false;
    }
    base::log_info("removed", {{"family", name},
                               {"chains", std::to_string(removed->chains)},
                               {"jumps", std::to_string(removed->jumps)},
                               {"tables", table && *table ? 1 : 0}});
    for (const std::string& chain : removed->left) {
      base::log_warning("left empty, as a rule of another program jumps to it", {{"family", name}, {"chain", chain}});
      complete = false;
    }
  }
  return complete ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
