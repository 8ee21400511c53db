#pragma once

#include <sys/utsname.h>

#include <cstdio>

namespace kubenatd::test {

/// Whether the running kernel is of this release or a later one ("5.10.0-32-amd64" is 5.10).
[[nodiscard]] inline bool linux_is_from(int major, int minor) {
  utsname name{};
  int has_major = 0;
  int has_minor = 0;
  if (uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &has_major, &has_minor) != 2) return true;
  return has_major > major || (has_major == major && has_minor >= minor);
}

}  // namespace kubenatd::test

/// Ends a test case of what earlier kernels do not have, with the line that counts it as skipped.
#define KUBENATD_NEEDS_LINUX(major, minor, what)                           \
  do {                                                                     \
    if (!::kubenatd::test::linux_is_from(major, minor)) {                  \
      std::printf("SKIPPED: needs Linux %d.%d: %s\n", major, minor, what); \
      return;                                                              \
    }                                                                      \
  } while (false)
