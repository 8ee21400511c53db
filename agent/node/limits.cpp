#include "agent/node/limits.h"

#include <fmt/format.h>
#include <sys/inotify.h>

#include <cerrno>
#include <system_error>

#include "agent/base/descriptor.h"
#include "agent/base/descriptor_limit.h"
#include "agent/base/sysctl.h"

namespace kubenatd::agent::node {
namespace {

int try_inotify() {
  const base::Descriptor watcher(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watcher) return errno;
  return ::inotify_add_watch(watcher.get(), "/", IN_CREATE) < 0 ? errno : 0;
}

std::string text_of(std::optional<std::size_t> number) {
  return number ? std::to_string(*number) : "not known";
}

Finding judge_descriptors(const Limits& limits, std::size_t least) {
  // So many health check ports and clients a node with many Services has.
  constexpr std::size_t kPlenty = 1024;
  Finding finding{.name = "descriptors"};
  finding.what = fmt::format("soft limit {}, hard limit {}", limits.descriptors, limits.most_descriptors);
  if (limits.most_descriptors >= kPlenty) return finding;
  finding.state = State::kWarning;
  finding.what += limits.most_descriptors <= least
                      ? "; the work itself may need more"
                      : "; health check ports of some Services or some clients may go without";
  finding.remedy = "raise the hard limit: LimitNOFILE= of the unit, or the container runtime's default";
  return finding;
}

Finding judge_inotify(const Limits& limits) {
  Finding finding{.name = "inotify"};
  finding.what = fmt::format("max_user_instances {}, max_user_watches {}", text_of(limits.inotify_instances),
                             text_of(limits.inotify_watches));
  if (limits.inotify == 0) return finding;
  finding.state = State::kWarning;
  finding.what = fmt::format("it does not work ({}; {}): files are looked at every few seconds instead",
                             std::generic_category().message(limits.inotify), finding.what);
  finding.remedy =
      limits.inotify == ENOSPC ? "raise fs.inotify.max_user_watches" : "raise fs.inotify.max_user_instances";
  return finding;
}

}  // namespace

Limits read_limits() {
  return {.descriptors = base::descriptor_limit(),
          .most_descriptors = base::most_descriptors(),
          .inotify = try_inotify(),
          .inotify_instances = base::read_sysctl_number("fs/inotify/max_user_instances"),
          .inotify_watches = base::read_sysctl_number("fs/inotify/max_user_watches")};
}

Findings judge(const Limits& limits, std::size_t least) {
  return {judge_descriptors(limits, least), judge_inotify(limits)};
}

}  // namespace kubenatd::agent::node
