#pragma once

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace kubenatd::test {

/// Moves the calling thread into a network namespace of its own, with lo up. The namespace ends with the process.
///
/// Without the rights it prints a line that starts with "SKIPPED: no rights:" and returns false: the test then returns
/// at once and CTest counts it as skipped. Call it first, before any thread or socket is made.
[[nodiscard]] inline bool enter_fresh_namespace() {
  if (unshare(CLONE_NEWNET) != 0) {
    std::printf("SKIPPED: no rights: a network namespace of its own: %s\n", std::strerror(errno));
    return false;
  }
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  const bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  if (!up) std::printf("SKIPPED: no rights: lo does not come up: %s\n", std::strerror(errno));
  if (fd >= 0) close(fd);
  return up;
}

}  // namespace kubenatd::test
