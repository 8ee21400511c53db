#include "agent/base/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace kubenatd::agent::base {
namespace {

/// What Linux allows a process at most when nobody set a limit (fs.nr_open's default).
constexpr rlim_t kMost = 1U << 20U;

rlimit read_limit() {
  rlimit limit{};
  // Does not fail for the process itself.
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) limit = {.rlim_cur = 1024, .rlim_max = 1024};
  return limit;
}

}  // namespace

std::size_t descriptor_limit() {
  return static_cast<std::size_t>(std::min(read_limit().rlim_cur, kMost));
}

std::size_t most_descriptors() {
  return static_cast<std::size_t>(std::min(read_limit().rlim_max, kMost));
}

std::size_t raise_descriptor_limit() {
  const rlimit before = read_limit();
  if (before.rlim_cur < before.rlim_max) {
    const rlimit raised{.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) return descriptor_limit();
  }
  return descriptor_limit();
}

}  // namespace kubenatd::agent::base
