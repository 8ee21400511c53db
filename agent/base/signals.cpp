#include "agent/base/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace kubenatd::agent::base {

rules::Result<Signals> Signals::open() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, signal);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  (void)std::signal(SIGPIPE, SIG_IGN);  // a client of ours that goes away is no reason to end
  Descriptor descriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor) return rules::fail("signals", "open a signalfd", std::generic_category().message(errno), errno);
  return Signals(std::move(descriptor));
}

Signals::Request Signals::take() {
  Request request = Request::kNone;
  signalfd_siginfo info{};
  while (::read(descriptor_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo != SIGHUP) return Request::kStop;
    request = Request::kReload;
  }
  return request;
}

}  // namespace kubenatd::agent::base
