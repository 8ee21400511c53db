#include "agent/daemon/http_question.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include "agent/base/descriptor.h"

namespace kubenatd::agent::daemon {
namespace {

using Clock = std::chrono::steady_clock;

bool wait_for(int fd, short events, Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  return left.count() > 0 && ::poll(&waiting, 1, static_cast<int>(left.count())) == 1;
}

socklen_t fill(sockaddr_storage& address, const config::BindAddress& server) {
  // Whoever listens on every address is met on loopback.
  const bool any = server.address.is_unspecified();
  if (server.address.family == rules::Family::kIpv6) {
    auto& typed = reinterpret_cast<sockaddr_in6&>(address);
    typed.sin6_family = AF_INET6;
    typed.sin6_port = htons(server.port);
    typed.sin6_addr = in6addr_loopback;
    if (!any) std::memcpy(&typed.sin6_addr, server.address.bytes.data(), sizeof(typed.sin6_addr));
    return sizeof(typed);
  }
  auto& typed = reinterpret_cast<sockaddr_in&>(address);
  typed.sin_family = AF_INET;
  typed.sin_port = htons(server.port);
  typed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!any) std::memcpy(&typed.sin_addr, server.address.bytes.data(), sizeof(typed.sin_addr));
  return sizeof(typed);
}

/// 0, or the errno.
int connect_to(const base::Descriptor& socket, const config::BindAddress& server, Clock::time_point until) {
  sockaddr_storage address{};
  const socklen_t size = fill(address, server);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!wait_for(socket.get(), POLLOUT, until)) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof(error);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

/// The length that the headers tell, or what there is.
std::size_t told_length(std::string_view headers, std::size_t otherwise) {
  constexpr std::string_view kName = "\r\ncontent-length:";
  std::string lower(headers);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  std::size_t place = lower.find(kName);
  if (place == std::string::npos) return otherwise;
  place = lower.find_first_not_of(' ', place + kName.size());
  if (place == std::string::npos) return otherwise;
  std::size_t length = 0;
  return std::from_chars(lower.data() + place, lower.data() + lower.size(), length).ec == std::errc() ? length
                                                                                                      : otherwise;
}

}  // namespace

rules::Result<HttpAnswer> ask_http(const config::BindAddress& server, std::string_view target, HttpPatience limits) {
  const std::string name = rules::join_host_port(server.address, server.port);
  const auto failed = [&](const char* operation, int code) {
    return rules::fail(name, operation, std::generic_category().message(code), code);
  };
  const auto until = Clock::now() + limits.patience;
  const bool ipv6 = server.address.family == rules::Family::kIpv6;
  const base::Descriptor socket(::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return failed("open a socket", errno);
  if (const int code = connect_to(socket, server, until); code != 0) return failed("connect", code);
  const std::string request = fmt::format("GET {} HTTP/1.0\r\nHost: localhost\r\n\r\n", target);
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return failed("send", errno);
  std::string text;
  std::array<char, 16384> block{};
  bool ended = false;
  const auto is_whole = [&] {
    const std::size_t end = text.find("\r\n\r\n");
    constexpr std::size_t kUnknown = ~std::size_t{0};
    const std::size_t length = end == std::string::npos ? kUnknown : told_length({text.data(), end}, kUnknown);
    return length != kUnknown && text.size() - end - 4 >= length;
  };
  while (!ended && text.size() < limits.longest && !is_whole()) {
    if (!wait_for(socket.get(), POLLIN, until)) break;
    const auto size = ::recv(socket.get(), block.data(), block.size(), 0);
    if (size < 0) return failed("receive", errno);
    ended = size == 0;
    text.append(block.data(), std::min(static_cast<std::size_t>(size), limits.longest - text.size()));
  }
  const std::size_t end = text.find("\r\n\r\n");
  HttpAnswer answer;
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  const bool is_http = text.starts_with("HTTP/1.") && text.size() > kVersion.size();
  if (!ended && text.size() < limits.longest && end == std::string::npos) return failed("receive", ETIMEDOUT);
  if (!is_http || end == std::string::npos ||
      std::from_chars(text.data() + kVersion.size(), text.data() + text.size(), answer.status).ec != std::errc())
    return rules::fail(name, "receive", "the answer is no HTTP");
  answer.body = text.substr(end + 4);
  const std::size_t length = told_length(std::string_view(text).substr(0, end), answer.body.size());
  if (text.size() < limits.longest && answer.body.size() < length)
    return ended ? rules::fail(name, "receive", "the answer is cut off") : failed("receive", ETIMEDOUT);
  return answer;
}

}  // namespace kubenatd::agent::daemon
