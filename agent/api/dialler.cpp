#include "agent/api/dialler.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "agent/api/stop_poll.h"

namespace kubenatd::agent::api {
namespace {

using Clock = std::chrono::steady_clock;

/// A connection whose other side vanished without a word is found out within half a minute, not when the watch ends:
/// probes after 15 s of silence, three of them 5 s apart (client-go: HTTP/2 pings after 30 s, 15 s for the answer).
void enable_probes(int descriptor) {
  const auto set = [descriptor](int level, int option, int value) {
    ::setsockopt(descriptor, level, option, &value, sizeof(value));  // without it the watch's own end still stands
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

class Race {
 public:
  Race(std::vector<SocketAddress> addresses, const ApiTiming& timing, Clock::time_point until)
      : addresses_(std::move(addresses)), timing_(timing), until_(until) {}

  [[nodiscard]] rules::Result<Dialled> run(const std::stop_token& stop) {
    const StopPoll poll(stop);
    for (;;) {
      const auto now = Clock::now();
      while (started_ < addresses_.size() && (attempts_.empty() || now >= next_start_)) start(now);
      if (attempts_.empty()) return failed();
      auto wake = until_;
      if (started_ < addresses_.size()) wake = std::min(wake, next_start_);
      std::vector<pollfd> waiting;
      for (const Attempt& attempt : attempts_) {
        wake = std::min(wake, attempt.until);
        waiting.push_back({attempt.socket.get(), POLLOUT, 0});
      }
      if (poll.wait(waiting, wake) == StopPoll::State::kStopped) return failed("stopped", ECANCELED);
      if (auto winner = look(waiting)) return std::move(*winner);
      drop_late(Clock::now());
      if (Clock::now() >= until_) return failed();
    }
  }

 private:
  struct Attempt {
    base::Descriptor socket;
    std::size_t address;
    Clock::time_point until;
  };

  void start(Clock::time_point now) {
    const std::size_t index = started_++;
    const SocketAddress& address = addresses_[index];
    base::Descriptor socket(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
    if (!socket) return note(index, errno);
    enable_probes(socket.get());
    const int status = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size);
    if (status != 0 && errno != EINPROGRESS) return note(index, errno);
    attempts_.push_back({std::move(socket), index, std::min(until_, now + timing_.connect)});
    next_start_ = now + timing_.head_start;
  }

  [[nodiscard]] std::optional<Dialled> look(const std::vector<pollfd>& polled) {
    std::vector<Attempt> left;
    for (std::size_t i = 0; i < polled.size(); ++i) {
      int code = 0;
      socklen_t size = sizeof(code);
      if (polled[i].revents != 0 && ::getsockopt(polled[i].fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0) code = errno;
      if (polled[i].revents != 0 && code == 0)
        return Dialled{std::move(attempts_[i].socket), addresses_[attempts_[i].address]};
      if (polled[i].revents == 0) {
        left.push_back(std::move(attempts_[i]));
        continue;
      }
      note(attempts_[i].address, code);
      next_start_ = Clock::now();
    }
    attempts_ = std::move(left);
    return std::nullopt;
  }

  void drop_late(Clock::time_point now) {
    std::erase_if(attempts_, [&](const Attempt& attempt) {
      if (now < attempt.until) return false;
      note(attempt.address, ETIMEDOUT);
      return true;
    });
  }

  void note(std::size_t address, int code) {
    if (code_ == 0) code_ = code;
    failures_.push_back(fmt::format("{}: {}", addresses_[address].to_string(), std::strerror(code)));
  }

  [[nodiscard]] std::unexpected<rules::Error> failed() {
    return failed(fmt::format("{}", fmt::join(failures_, "; ")), code_ == 0 ? ETIMEDOUT : code_);
  }
  [[nodiscard]] static std::unexpected<rules::Error> failed(std::string cause, int code) {
    return rules::fail("TCP", "connect", std::move(cause), code);
  }

  const std::vector<SocketAddress> addresses_;
  const ApiTiming& timing_;
  const Clock::time_point until_;
  std::size_t started_ = 0;
  Clock::time_point next_start_{};
  std::vector<Attempt> attempts_;
  std::vector<std::string> failures_;
  int code_ = 0;
};

}  // namespace

std::vector<SocketAddress> dial_order(const std::vector<SocketAddress>& addresses, const std::string& last_resort) {
  std::vector<SocketAddress> first;
  std::vector<SocketAddress> second;
  std::vector<SocketAddress> late;
  for (const SocketAddress& address : addresses) {
    if (!last_resort.empty() && address.to_string() == last_resort)
      late.push_back(address);
    else
      (address.family() == addresses.front().family() ? first : second).push_back(address);
  }
  std::vector<SocketAddress> order;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) order.push_back(first[i]);
    if (i < second.size()) order.push_back(second[i]);
  }
  order.insert(order.end(), late.begin(), late.end());
  return order;
}

rules::Result<Dialled> dial(const std::string& host, std::uint16_t port, const ApiTiming& timing,
                            std::chrono::steady_clock::time_point until, const std::stop_token& stop,
                            const std::string& last_resort) {
  const auto addresses = resolve(host, port, until, stop);
  if (!addresses) return std::unexpected(addresses.error());
  return dial_addresses(dial_order(*addresses, last_resort), timing, until, stop);
}

rules::Result<Dialled> dial_addresses(std::vector<SocketAddress> order, const ApiTiming& timing,
                                      std::chrono::steady_clock::time_point until, const std::stop_token& stop) {
  return Race(std::move(order), timing, until).run(stop);
}

}  // namespace kubenatd::agent::api
