#include "agent/daemon/round_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "agent/base/log.h"

namespace kubenatd::agent::daemon {
namespace {

void log_family(const dataplane::RoundReport::Family& family) {
  const std::string name(name_of(family.family));
  if (family.error) {
    base::log_error("sync failed; the kernel keeps what it has",
                    {{"family", name}, {"error", family.error->to_string()}});
    return;
  }
  for (const std::string& remark : family.sync.remarks) base::log_warning(remark, {{"family", name}});
  for (const std::string& problem : family.sync.problems)
    base::log_error("not applied", {{"family", name}, {"what", problem}});
  if (!family.sync.healed.empty()) {
    constexpr std::size_t kNamed = 5;
    std::string chains;
    for (std::size_t i = 0; i < std::min(kNamed, family.sync.healed.size()); ++i)
      chains += (i == 0 ? "" : ", ") + family.sync.healed[i];
    if (family.sync.healed.size() > kNamed) chains += fmt::format(" and {} more", family.sync.healed.size() - kNamed);
    base::log_warning("healed what others had changed", {{"family", name}, {"chains", chains}});
  }
  if (!family.sync.wrote) return;
  base::log_info("synced", {{"family", name},
                            {"chains", family.sync.chains},
                            {"messages", family.sync.messages},
                            {"bytes", family.sync.bytes},
                            {"transactions", family.sync.transactions},
                            {"retries", family.sync.retries}});
}

}  // namespace

void log_round(const dataplane::RoundReport& report) {
  for (const dataplane::RoundReport::Family& family : report.families) log_family(family);
  for (const std::string& problem : report.problems) base::log_error(problem, {});
  for (const std::string& dispute : report.disputes) base::log_warning(dispute, {});
  if (report.conntrack_deleted != 0)
    base::log_info("removed stale UDP conntrack entries", {{"entries", report.conntrack_deleted}});
}

}  // namespace kubenatd::agent::daemon
