#include "agent/base/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <system_error>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::base {
namespace {

constexpr std::size_t kLongestStatus = 300;
constexpr timeval kLongestSend{.tv_sec = 1, .tv_usec = 0};

/// The value of an environment variable as a whole number above 0.
std::optional<std::int64_t> number_of(const char* name) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any
  if (text == nullptr) return std::nullopt;
  std::int64_t number = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  return error == std::errc() && stop == end && number > 0 ? std::optional(number) : std::nullopt;
}

/// Of CLOCK_MONOTONIC, which systemd compares with its own.
std::int64_t monotonic_usec() {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

}  // namespace

ServiceManager ServiceManager::of_environment() {
  ServiceManager manager;
  const char* name = std::getenv("NOTIFY_SOCKET");  // NOLINT(concurrency-mt-unsafe): nobody sets any
  if (name == nullptr || *name == '\0') return manager;
  // Anything else is of a family that systemd uses for virtual machines.
  const bool is_abstract = *name == '@';
  if ((!is_abstract && *name != '/') || std::strlen(name) >= sizeof(sockaddr_un::sun_path)) {
    log_warning("the service manager cannot be told how we are: NOTIFY_SOCKET is no address of a unix socket",
                {{"value", name}});
    return manager;
  }
  manager.address_ = name;
  if (is_abstract) manager.address_.front() = '\0';
  manager.socket_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (manager.socket_)
    (void)::setsockopt(manager.socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kLongestSend, sizeof kLongestSend);
  const auto pid = number_of("WATCHDOG_PID");
  if (const auto period = number_of("WATCHDOG_USEC"); period && (!pid || *pid == ::getpid()))
    manager.watchdog_ = std::chrono::microseconds(*period);
  return manager;
}

void ServiceManager::tell(const std::string& message) {
  if (!socket_) return;
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::ranges::copy(address_, static_cast<char*>(address.sun_path));
  // A path ends with a zero, an abstract name with its last byte.
  const std::size_t ends = address_.front() == '\0' ? 0 : 1;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size() + ends);
  ssize_t sent = 0;
  do {
    sent = ::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address), length);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0 || failure_told_) return;
  failure_told_ = true;
  log_warning("the service manager could not be told how we are (NOTIFY_SOCKET)",
              {{"error", std::generic_category().message(errno)}});
}

void ServiceManager::ready(std::string_view status) {
  status_ = one_line(status, kLongestStatus);
  is_ready_ = true;
  tell(fmt::format("READY=1\nSTATUS={}", status_));
}

void ServiceManager::reloading() {
  status_ = "reading the configuration again";
  // systemd leaves out a READY that is older than its request to reload (Type=notify-reload).
  tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS={}", monotonic_usec(), status_));
}

void ServiceManager::stopping() {
  tell("STOPPING=1\nSTATUS=stopping; the rules stay");
}

void ServiceManager::status(std::string_view line) {
  if (!socket_) return;
  std::string text = one_line(line, kLongestStatus);
  if (text == status_) return;
  status_ = std::move(text);
  tell("STATUS=" + status_);
}

void ServiceManager::alive(Clock::time_point now) {
  if (!socket_ || !watchdog_ || now < next_alive_) return;
  next_alive_ = now + *watchdog_ / 2;
  // The watchdog looks from READY on; before that it is the limit of the start, which a start that goes on moves.
  tell(is_ready_ ? std::string("WATCHDOG=1") : fmt::format("EXTEND_TIMEOUT_USEC={}", watchdog_->count()));
}

std::optional<ServiceManager::Clock::time_point> ServiceManager::next_alive() const {
  return socket_ && watchdog_ ? std::optional(next_alive_) : std::nullopt;
}

}  // namespace kubenatd::agent::base
