#include "agent/cli/round_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "agent/cli/log.h"

namespace kubenatd::agent {
namespace {

void log_family(const RoundReport::Family& family) {
  const std::string name(name_of(family.family));
  if (family.error) {
    log_error("sync failed; the kernel keeps what it has", {{"family", name}, {"error", family.error->to_string()}});
    return;
  }
  for (const std::string& remark : family.sync.remarks) log_warning(remark, {{"family", name}});
  for (const std::string& problem : family.sync.problems)
    log_error("not applied", {{"family", name}, {"what", problem}});
  if (!family.sync.healed.empty()) {
    constexpr std::size_t kNamed = 5;
    std::string chains;
    for (std::size_t i = 0; i < std::min(kNamed, family.sync.healed.size()); ++i)
      chains += (i == 0 ? "" : ", ") + family.sync.healed[i];
    if (family.sync.healed.size() > kNamed) chains += fmt::format(" and {} more", family.sync.healed.size() - kNamed);
    log_warning("healed what others had changed", {{"family", name}, {"chains", chains}});
  }
  if (!family.sync.wrote) return;
  log_info("synced", {{"family", name},
                      {"chains", family.sync.chains},
                      {"messages", family.sync.messages},
                      {"bytes", family.sync.bytes},
                      {"transactions", family.sync.transactions},
                      {"retries", family.sync.retries}});
}

}  // namespace

void log_round(const RoundReport& report) {
  for (const RoundReport::Family& family : report.families) log_family(family);
  for (const std::string& problem : report.problems) log_error(problem, {});
  for (const std::string& dispute : report.disputes) log_warning(dispute, {});
  if (report.conntrack_deleted != 0)
    log_info("removed stale UDP conntrack entries", {{"entries", report.conntrack_deleted}});
}

}  // namespace kubenatd::agent
