#include <unistd.h>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/daemon/advice.h"
#include "agent/dataplane/describe.h"
#include "agent/dataplane/left_behind.h"

namespace kubenatd::agent::cli {

using dataplane::LeftBehind;

int cleanup(const Options& /*options*/) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) {
    base::log_error(daemon::with_kernel_advice(kernel.error()));
    return kExitFailed;
  }
  bool complete = true;
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && ::access("/proc/net/if_inet6", F_OK) != 0) continue;
    const std::string name(name_of(family));
    dataplane::CleanupReport all;
    for (const auto what : {LeftBehind::kIptablesChains, LeftBehind::kKubenatdTable, LeftBehind::kKubeProxyTable}) {
      const auto removed = dataplane::remove(*kernel, family, what);
      if (!removed) {
        base::log_error(daemon::with_kernel_advice(removed.error()), {{"family", name}});
        complete = false;
        continue;
      }
      all.chains += removed->chains;
      all.jumps += removed->jumps;
      all.tables += removed->tables;
      all.emptied.insert(all.emptied.end(), removed->emptied.begin(), removed->emptied.end());
    }
    base::log_info("removed", {{"family", name}, {"chains", all.chains}, {"jumps", all.jumps}, {"tables", all.tables}});
    for (const rules::ObjectRef& chain : all.emptied) {
      base::log_warning("left empty, as a rule of another program jumps to it",
                        {{"family", name}, {"chain", dataplane::describe(chain)}});
      complete = false;
    }
  }
  return complete ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
