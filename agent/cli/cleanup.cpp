#include <unistd.h>

#include <optional>

#include "agent/base/log.h"
#include "agent/cli/commands.h"
#include "agent/daemon/advice.h"
#include "agent/dataplane/dataplane.h"
#include "agent/dataplane/describe.h"

namespace kubenatd::agent::cli {

int cleanup(const Options& /*options*/) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) {
    base::log_error(daemon::with_kernel_advice(kernel.error()));
    return kExitFailed;
  }
  const config::Config config = config::default_config();
  const config::Environment environment;
  const std::optional<objects::Node> node;
  bool complete = true;
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && ::access("/proc/net/if_inet6", F_OK) != 0) continue;
    const std::string name(name_of(family));
    const dataplane::NodeFacts nothing{
        .config = config, .environment = environment, .node = node, .known_endpoints = 0, .service_cidrs = {}};
    dataplane::CleanupReport all;
    for (const auto& mode : dataplane::other_dataplanes(std::nullopt, family, nothing)) {
      const auto removed = mode->clean_up(*kernel);
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
