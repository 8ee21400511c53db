#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "agent/base/log.h"
#include "agent/base/sysctl.h"
#include "agent/cli/commands.h"
#include "agent/daemon/advice.h"
#include "agent/dataplane/describe.h"
#include "agent/dataplane/left_behind.h"
#include "agent/dataplane/table_owner.h"
#include "netlink/host/interfaces.h"
#include "netlink/host/switches.h"

namespace kubenatd::agent::cli {

using dataplane::LeftBehind;

namespace {

constexpr std::array kAll{LeftBehind::kIptablesChains, LeftBehind::kKubenatdTable, LeftBehind::kKubeProxyTable};

bool has_ipv6() {
  return ::access("/proc/net/if_inet6", F_OK) == 0;
}

/// Nothing is removed while something of it belongs to a program that runs: half of the rules would be worse than all.
bool tell_owners(netlink::NfTables& kernel) {
  bool any = false;
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && !has_ipv6()) continue;
    for (const LeftBehind what : kAll) {
      const auto owner = dataplane::owner_of(kernel, family, what);
      if (!owner || !*owner) continue;
      any = true;
      base::log_error(
          "nothing is removed: a table belongs to a program that runs, and nobody else may change it; end "
          "that program first",
          {{"family", std::string(name_of(family))},
           {"what", std::string(name_of(what))},
           {"owner", dataplane::name_of_owner(**owner)}});
    }
  }
  return any;
}

/// run sets route_localnet and never takes it back, as others may need it. Without the guard of 127.0.0.0/8, which may
/// have gone now, it lets neighbours reach what listens there (CVE-2020-8558).
void tell_localhost_routing() {
  constexpr std::size_t kMostNames = 8;
  const auto links = netlink::host::read_links();
  if (!links) return;
  const auto all = base::read_sysctl(base::kSysctlRouteLocalnet);
  const bool everywhere = all && *all != "0";
  std::vector<std::string> open;
  if (!everywhere)
    for (const auto& [name, link] : *links)
      if (name != "lo" && netlink::host::routes_localnet(name).value_or(false)) open.push_back(name);
  if (!everywhere && open.empty()) return;
  const std::size_t more = open.size() - std::min(open.size(), kMostNames);
  open.resize(open.size() - more);
  std::string where = everywhere ? "all" : fmt::format("{}", fmt::join(open, " "));
  if (more != 0) where += fmt::format(" and {} more", more);
  base::log_warning(
      "left as it is, as another program may need it: the setting route_localnet, by which neighbours reach what "
      "listens "
      "on 127.0.0.0/8 where no rule keeps them from it (CVE-2020-8558)",
      {{"interfaces", where},
       {"help",
        "kube-proxy and portmap need it where NodePorts and hostPorts answer on localhost; else set "
        "net.ipv4.conf.*.route_localnet to 0"}});
}

}  // namespace

int cleanup(const Options& /*options*/) {
  auto kernel = netlink::NfTables::open();
  if (!kernel) {
    base::log_error(daemon::with_kernel_advice(kernel.error()));
    return kExitFailed;
  }
  if (tell_owners(*kernel)) return kExitFailed;
  bool complete = true;
  for (const rules::Family family : rules::kFamilies) {
    if (family == rules::Family::kIpv6 && !has_ipv6()) continue;
    const std::string name(name_of(family));
    dataplane::CleanupReport all;
    for (const LeftBehind what : kAll) {
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
  tell_localhost_routing();
  return complete ? kExitOk : kExitFailed;
}

}  // namespace kubenatd::agent::cli
