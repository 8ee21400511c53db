#include "agent/api/resolver.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "agent/base/printable.h"
#include "agent/base/signals_blocked.h"
#include "agent/base/thread_annotations.h"

namespace kubenatd::agent::api {
namespace {

using Addresses = std::vector<SocketAddress>;

constexpr std::size_t kMostAddresses = 64;

rules::Result<Addresses> ask_resolver(const std::string& host, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  errno = 0;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (code != 0) {
    const int reason = code == EAI_SYSTEM ? errno : 0;
    std::string cause = code == EAI_SYSTEM ? std::strerror(reason) : ::gai_strerror(code);
    if (code == EAI_AGAIN) cause += ": no name server answers; see /etc/resolv.conf";
    return rules::fail("host " + base::in_quotes(host, 253), "resolve its name", std::move(cause), reason);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* one = found; one != nullptr && addresses.size() < kMostAddresses; one = one->ai_next) {
    if (one->ai_family != AF_INET && one->ai_family != AF_INET6) continue;
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
  }
  return addresses;
}

/// One question that somebody waits for.
class Lookup {
 public:
  void answer(rules::Result<Addresses> addresses) KUBENATD_EXCLUDES(mutex_) {
    {
      const base::MutexLock lock(mutex_);
      answer_ = std::move(addresses);
    }
    changed_.notify_all();
  }
  /// Nothing: not in time.
  [[nodiscard]] std::optional<rules::Result<Addresses>> wait(std::chrono::steady_clock::time_point until,
                                                             const std::stop_token& stop) KUBENATD_EXCLUDES(mutex_) {
    base::MutexLock lock(mutex_);
    changed_.wait_until(lock, stop, until, [this] {
      mutex_.is_held();
      return answer_.has_value();
    });
    return answer_;
  }

 private:
  base::Mutex mutex_;
  std::condition_variable_any changed_;
  std::optional<rules::Result<Addresses>> answer_ KUBENATD_GUARDED_BY(mutex_);
};

/// The questions that are not answered yet. It is never freed, as a thread may come back to it at the very end.
struct Open {
  base::Mutex mutex;
  std::map<std::string, std::shared_ptr<Lookup>> lookups KUBENATD_GUARDED_BY(mutex);
};

Open& open_lookups() {
  static auto* open = new Open;
  return *open;
}

rules::Result<std::shared_ptr<Lookup>> ask(const std::string& host) {
  Open& open = open_lookups();
  const base::MutexLock lock(open.mutex);
  if (const auto found = open.lookups.find(host); found != open.lookups.end()) return found->second;
  auto lookup = std::make_shared<Lookup>();
  open.lookups[host] = lookup;
  const base::SignalsBlocked blocked;
  try {
    std::thread([&open, host, lookup] {
      auto addresses = ask_resolver(host, 0);
      {
        const base::MutexLock inner(open.mutex);
        open.lookups.erase(host);
      }
      lookup->answer(std::move(addresses));
    }).detach();
  } catch (const std::system_error& thrown) {
    open.lookups.erase(host);
    return rules::fail("host " + base::in_quotes(host, 253), "start a thread to resolve its name",
                       base::one_line(thrown.what()), thrown.code().value());
  }
  return lookup;
}

rules::Result<Addresses> addresses_of(const std::string& host, std::chrono::steady_clock::time_point until,
                                      const std::stop_token& stop) {
  if (auto numeric = ask_resolver(host, AI_NUMERICHOST)) return numeric;
  const auto lookup = ask(host);
  if (!lookup) return std::unexpected(lookup.error());
  auto answer = (*lookup)->wait(until, stop);
  if (answer) return std::move(*answer);
  const std::string object = "host " + base::in_quotes(host, 253);
  if (stop.stop_requested()) return rules::fail(object, "resolve its name", "stopped", ECANCELED);
  return rules::fail(object, "resolve its name", "the resolver does not answer; see /etc/resolv.conf", ETIMEDOUT);
}

}  // namespace

std::string SocketAddress::host() const {
  char text[INET6_ADDRSTRLEN] = "";
  const void* address = family() == AF_INET6
                            ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr)
                            : &reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr;
  return ::inet_ntop(family(), address, text, sizeof(text)) == nullptr ? "?" : text;
}

std::string SocketAddress::to_string() const {
  if (family() == AF_INET)
    return fmt::format("{}:{}", host(), ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port));
  const auto* typed = reinterpret_cast<const sockaddr_in6*>(&storage);
  const std::string zone = typed->sin6_scope_id == 0 ? "" : fmt::format("%{}", typed->sin6_scope_id);
  return fmt::format("[{}{}]:{}", host(), zone, ntohs(typed->sin6_port));
}

rules::Result<std::vector<SocketAddress>> resolve(const std::string& host, std::uint16_t port,
                                                  std::chrono::steady_clock::time_point until,
                                                  const std::stop_token& stop) {
  auto addresses = addresses_of(host, until, stop);
  if (!addresses) return addresses;
  if (addresses->empty())
    return rules::fail("host " + base::in_quotes(host, 253), "resolve its name", "has no address");
  for (SocketAddress& address : *addresses) {
    if (address.family() == AF_INET6)
      reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port = htons(port);
    else
      reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port = htons(port);
  }
  return addresses;
}

}  // namespace kubenatd::agent::api
