#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <type_traits>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kubenatd::bench {

/// Runs `measure` in a child process with a network namespace of its own, and returns what it returned: memory and
/// kernel state of one measurement do not reach another. Ends the program when the child fails.
template <class T>
[[nodiscard]] T isolated(const std::function<T()>& measure) {
  static_assert(std::is_trivially_copyable_v<T>);
  int pipe_fds[2];
  if (::pipe(pipe_fds) != 0) {
    std::perror("pipe");
    std::exit(1);
  }
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::unshare(CLONE_NEWNET) != 0) {
      std::perror("a network namespace of its own");
      ::_exit(1);
    }
    const T result = measure();
    const bool written = ::write(pipe_fds[1], &result, sizeof result) == static_cast<ssize_t>(sizeof result);
    ::_exit(written ? 0 : 1);
  }
  ::close(pipe_fds[1]);
  T result{};
  const bool complete = ::read(pipe_fds[0], &result, sizeof result) == static_cast<ssize_t>(sizeof result);
  ::close(pipe_fds[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0 || !complete) {
    std::fprintf(stderr, "a measurement failed\n");
    std::exit(1);
  }
  return result;
}

}  // namespace kubenatd::bench
