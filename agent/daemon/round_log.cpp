#include "agent/daemon/round_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "agent/base/log.h"
#include "agent/daemon/advice.h"
#include "agent/dataplane/describe.h"

namespace kubenatd::agent::daemon {
namespace {

using dataplane::Drift;
using dataplane::LeftBehind;
using dataplane::OtherProxies;
using dataplane::RoundReport;

/// Objects that a line names; a table that is flushed again and again has thousands.
constexpr std::size_t kNamed = 5;
constexpr std::size_t kNamedDisputes = 8;
/// Lines about clashes in one round.
constexpr std::size_t kNamedClashes = 100;

/// "nat KUBE-SERVICES, nat KUBE-SVC-X and 7 more"
std::string list(const std::vector<rules::ObjectRef>& objects) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamed, objects.size()); ++i)
    text += (i == 0 ? "" : ", ") + dataplane::describe(objects[i]);
  if (objects.size() > kNamed) text += fmt::format(" and {} more", objects.size() - kNamed);
  return text;
}

void log_disputes(const std::vector<Drift::Dispute>& disputes, const std::string& family, const std::string& writer) {
  for (std::size_t i = 0; i < std::min(kNamedDisputes, disputes.size()); ++i)
    base::log_warning("changed again and again: healing it waits from now on",
                      {{"family", family},
                       {"object", dataplane::describe(disputes[i].object)},
                       {"writer", writer},
                       {"wait_ms", std::chrono::duration_cast<std::chrono::milliseconds>(disputes[i].delay).count()}});
  if (disputes.size() > kNamedDisputes)
    base::log_warning("more are changed again and again",
                      {{"family", family}, {"objects", disputes.size() - kNamedDisputes}});
}

/// "demo/blue:http, demo/green:http and 7 more"
std::string list(const std::vector<std::string>& names) {
  const std::size_t named = std::min(kNamed, names.size());
  std::string text =
      fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(named), ", "));
  if (names.size() > named) text += fmt::format(" and {} more", names.size() - named);
  return text;
}

void log_clash(const RoundReport::Clash& told) {
  const std::string family(name_of(told.family));
  const rules::Clash& clash = told.clash;
  if (clash.claimants.size() < 2) {
    base::log_info("no longer claimed by several Services",
                   {{"family", family}, {"frontend", rules::to_text(clash.frontend)}});
    return;
  }
  base::log_warning("several Services claim one frontend: the first by name with usable endpoints serves it",
                    {{"family", family},
                     {"frontend", rules::to_text(clash.frontend)},
                     {"services", list(clash.claimants)},
                     {"serves", clash.serves.empty() ? "none, for want of endpoints" : clash.serves}});
}

void log_clashes(const std::vector<RoundReport::Clash>& clashes) {
  for (std::size_t i = 0; i < std::min(kNamedClashes, clashes.size()); ++i) log_clash(clashes[i]);
  if (clashes.size() > kNamedClashes)
    base::log_warning("more frontends are claimed by several Services, or no longer",
                      {{"frontends", clashes.size() - kNamedClashes}});
}

/// Who may change the table from now on. That another program owns it is the error of the sync.
void log_ownership(const dataplane::TableOwnership& ownership, const std::string& family) {
  using State = dataplane::TableOwnership::State;
  using How = dataplane::TableOwnership::How;
  switch (ownership.state) {
    case State::kUnknown:
    case State::kForeign: return;
    case State::kOwned: {
      const char* how = ownership.how == How::kMade      ? "made"
                        : ownership.how == How::kAdopted ? "taken over from an owner that is gone"
                                                         : "made anew in place of one that could not be owned";
      base::log_info("owns its table: no other program can change it while this one runs",
                     {{"family", family}, {"table", how}, {"netlink_port", ownership.port}});
      return;
    }
    case State::kOff:
      base::log_info("does not own its table, as --own-table off or --once says; what others change is healed",
                     {{"family", family}});
      return;
    case State::kUnsupported:
      base::log_info("does not own its table, for which Linux 6.9 is needed; what others change is healed",
                     {{"family", family}});
      return;
  }
}

/// Devices come and go with pods: that is worth a line only where something is wrong.
void log_fast_path(const dataplane::FastPathState& fast_path, const std::string& family) {
  if (fast_path.in_force == rules::nftables::FastPath::kOff) return;
  if (!fast_path.problem.empty()) {
    base::log_error("the fast path lacks devices", {{"family", family}, {"error", fast_path.problem}});
    return;
  }
  base::log_debug("devices of the fast path",
                  {{"family", family}, {"devices", fast_path.devices.size()}, {"named", list(fast_path.devices)}});
}

void log_family(const RoundReport::Family& family, const std::string& writer) {
  const std::string name(name_of(family.family));
  if (family.ownership) log_ownership(*family.ownership, name);
  if (family.fast_path) log_fast_path(*family.fast_path, name);
  if (family.error) {
    base::log_error("sync failed; the kernel keeps what it has",
                    {{"family", name}, {"error", with_kernel_advice(*family.error).to_string()}});
    return;
  }
  const dataplane::SyncReport& sync = family.sync;
  for (const auto& claim : sync.removed) base::log_warning(to_text_of_removed(claim), {{"family", name}});
  for (const auto& remark : sync.host_ports) base::log_warning(to_text(remark), {{"family", name}});
  for (const auto& refused : sync.refused)
    base::log_error("not applied", {{"family", name}, {"what", dataplane::describe(refused)}});
  for (const auto& chain : sync.emptied)
    base::log_error("not applied", {{"family", name},
                                    {"what", fmt::format("{}: left empty, as a rule of another program jumps to it",
                                                         dataplane::describe(chain))}});
  for (const std::string& object : sync.in_force)
    base::log_info("the kernel takes now what it had refused", {{"family", name}, {"what", object}});
  if (!sync.drift.healed.empty())
    base::log_warning("healed what others had changed", {{"family", name}, {"chains", list(sync.drift.healed)}});
  log_disputes(sync.drift.disputes, name, writer);
  if (!sync.wrote) return;
  base::log_info("synced", {{"family", name},
                            {"chains", sync.chains},
                            {"messages", sync.messages},
                            {"bytes", sync.bytes},
                            {"transactions", sync.transactions},
                            {"retries", sync.retries}});
}

/// What ends it at once, for somebody who knows that no other proxy runs.
std::string remedy_for(const OtherProxies::News& news) {
  const char* family = news.family == rules::Family::kIpv4 ? "ip" : "ip6";
  switch (news.what) {
    case LeftBehind::kKubeProxyTable: return fmt::format("nft delete table {} {}", family, dataplane::kKubeProxyTable);
    case LeftBehind::kKubenatdTable: return fmt::format("nft delete table {} kubenatd", family);
    case LeftBehind::kIptablesChains: return "kube-proxy --cleanup";
  }
  return {};
}

void log_other_proxy(const OtherProxies::News& news) {
  using Kind = OtherProxies::News::Kind;
  const std::string family(name_of(news.family));
  const std::string what(name_of(news.what));
  const std::string maker(maker_of(news.what));
  const std::string writer = news.writer.empty() ? "not seen" : news.writer;
  switch (news.kind) {
    case Kind::kRemoved:
      base::log_info("removed what another proxy had left behind", {{"family", family},
                                                                    {"what", what},
                                                                    {"maker", maker},
                                                                    {"chains", news.removed.chains},
                                                                    {"jumps", news.removed.jumps},
                                                                    {"tables", news.removed.tables},
                                                                    {"writer", writer}});
      return;
    case Kind::kRemovedAgain:
      base::log_warning("removed rules of another proxy that had come back",
                        {{"family", family}, {"what", what}, {"maker", maker}, {"writer", writer}});
      return;
    case Kind::kAnswers:
      base::log_warning(
          "another proxy runs on this node, and its rules translate for Services beside ours: take it off the node; "
          "its rules are left until it does not answer any more",
          {{"family", family}, {"what", what}, {"maker", maker}, {"answers_at", news.where}});
      return;
    case Kind::kOwned:
      base::log_warning(
          "a table of another proxy, or of kubenatd in nftables mode, belongs to a program that runs: take that off "
          "the node; the table is removed when it has ended",
          {{"family", family}, {"what", what}, {"maker", maker}, {"owner", news.where}});
      return;
    case Kind::kComesBack:
      base::log_warning(
          "rules of another proxy come back again and again, and are left now: take it off the node; they are removed "
          "when nobody has written them for some time",
          {{"family", family},
           {"what", what},
           {"maker", maker},
           {"writer", writer},
           {"wait_min", std::chrono::duration_cast<std::chrono::minutes>(OtherProxies::kPeriod).count()},
           {"or", remedy_for(news)}});
      return;
  }
}

}  // namespace

void log_round(const RoundReport& report) {
  for (const RoundReport::Family& family : report.families) log_family(family, report.last_writer);
  log_clashes(report.clashes);
  for (const OtherProxies::News& news : report.other_proxies) log_other_proxy(news);
  for (const rules::Error& problem : report.problems) base::log_error(problem);
  if (report.conntrack_deleted != 0)
    base::log_info("removed stale UDP conntrack entries", {{"entries", report.conntrack_deleted}});
}

}  // namespace kubenatd::agent::daemon
