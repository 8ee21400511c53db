#include "agent/api/tunnel.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "agent/api/stop_poll.h"
#include "agent/api/url.h"
#include "agent/base/printable.h"

namespace kubenatd::agent::api {
namespace {

constexpr std::size_t kLongestHead = 64U << 10;

class Tunnel {
 public:
  Tunnel(int descriptor, const Proxy& proxy, std::chrono::steady_clock::time_point until, const std::stop_token& stop)
      : descriptor_(descriptor), proxy_(proxy), until_(until), poll_(stop) {}

  [[nodiscard]] rules::Status connect(const ServerUrl& server);
  [[nodiscard]] rules::Status socks(const ServerUrl& server);

 private:
  [[nodiscard]] rules::Status send_all(std::string_view bytes);
  [[nodiscard]] rules::Status receive(std::span<char> bytes);
  /// Up to the empty line, and nothing behind it.
  [[nodiscard]] rules::Result<std::string> receive_head();
  [[nodiscard]] rules::Status authenticate();
  [[nodiscard]] rules::Status wait(short events);
  [[nodiscard]] std::unexpected<rules::Error> failed(std::string operation, std::string cause, int code = 0) const {
    return rules::fail("proxy " + proxy_.to_string(), std::move(operation), std::move(cause), code);
  }

  const int descriptor_;
  const Proxy& proxy_;
  const std::chrono::steady_clock::time_point until_;
  const StopPoll poll_;
};

rules::Status Tunnel::wait(short events) {
  pollfd one{descriptor_, events, 0};
  switch (poll_.wait({&one, 1}, until_)) {
    case StopPoll::State::kReady: return {};
    case StopPoll::State::kStopped: return failed("open a tunnel", "stopped", ECANCELED);
    case StopPoll::State::kTimeout: break;
  }
  return failed("open a tunnel", "no answer in time", ETIMEDOUT);
}

rules::Status Tunnel::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return failed("send", std::strerror(errno), errno);
    if (auto status = wait(POLLOUT); !status) return status;
  }
  return {};
}

rules::Status Tunnel::receive(std::span<char> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::recv(descriptor_, bytes.data(), bytes.size(), 0);
    if (got > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(got));
      continue;
    }
    if (got == 0) return failed("open a tunnel", "it ends the connection", ECONNRESET);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return failed("receive", std::strerror(errno), errno);
    if (auto status = wait(POLLIN); !status) return std::unexpected(status.error());
  }
  return {};
}

rules::Result<std::string> Tunnel::receive_head() {
  // The proxy's answer is short, and comes once in the life of a connection: byte for byte is good enough.
  std::string head;
  while (!head.ends_with("\r\n\r\n") && !head.ends_with("\n\n")) {
    char byte = 0;
    if (auto status = receive({&byte, 1}); !status) return std::unexpected(status.error());
    head.push_back(byte);
    if (head.size() > kLongestHead) return failed("CONNECT", "its answer has no end");
  }
  return head;
}

rules::Status Tunnel::connect(const ServerUrl& server) {
  const std::string target = server.authority();
  std::string ask =
      fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\nUser-Agent: kubenatd/" KUBENATD_VERSION "\r\n", target);
  if (proxy_.user) ask += "Proxy-Authorization: " + proxy_.user->header() + "\r\n";
  if (auto status = send_all(ask + "\r\n"); !status) return status;
  const auto head = receive_head();
  if (!head) return std::unexpected(head.error());
  const std::string_view line = base::trimmed(std::string_view(*head).substr(0, head->find('\n')));
  const auto blank = line.find(' ');
  unsigned code = 0;
  if (blank != std::string_view::npos) std::from_chars(line.data() + blank + 1, line.data() + line.size(), code);
  if (!line.starts_with("HTTP/1.") || code == 0)
    return failed("CONNECT " + target, base::in_quotes(line, 80) + " is no answer of an HTTP proxy");
  if (code == 200) return {};
  std::string cause = "it answers " + base::one_line(line.substr(blank + 1), 200);
  if (code == 407) cause += ": put a user and a password into its address";
  if (code == 403) cause += ": it does not allow this server; NO_PROXY goes past it";
  return failed("CONNECT " + target, std::move(cause));
}

rules::Status Tunnel::authenticate() {
  constexpr std::size_t kLongest = 255;
  const UserPassword user = proxy_.user.value_or(UserPassword());
  if (user.user.empty() || user.user.size() > kLongest || user.password.size() > kLongest)
    return failed("SOCKS5", "its user or password is empty or too long");
  std::string ask = "\x01";
  ask += static_cast<char>(user.user.size());
  ask += user.user;
  ask += static_cast<char>(user.password.size());
  ask += user.password;
  char answer[2];
  if (auto status = send_all(ask); !status) return status;
  if (auto status = receive(answer); !status) return status;
  if (answer[1] != 0) return failed("SOCKS5", "it does not accept user and password");
  return {};
}

rules::Status Tunnel::socks(const ServerUrl& server) {
  constexpr char kNone = 0;
  constexpr char kPassword = 2;
  std::string ask = "\x05";
  ask += static_cast<char>(proxy_.user ? 2 : 1);
  ask += kNone;
  if (proxy_.user) ask += kPassword;
  char method[2];
  if (auto status = send_all(ask); !status) return status;
  if (auto status = receive(method); !status) return status;
  if (method[0] != 5) return failed("SOCKS5", "what it answers is not SOCKS5");
  if (method[1] == kPassword && proxy_.user) {
    if (auto status = authenticate(); !status) return status;
  } else if (method[1] != kNone) {
    return failed("SOCKS5", "it wants another way to log in: put a user and a password into its address");
  }

  ask.assign("\x05\x01\x00", 3);
  char address[16];
  const std::string host = server.host.substr(0, server.host.find('%'));
  if (::inet_pton(AF_INET, host.c_str(), address) == 1) {
    ask.append("\x01").append(address, 4);
  } else if (::inet_pton(AF_INET6, host.c_str(), address) == 1) {
    ask.append("\x04").append(address, 16);
  } else {
    ask += '\x03';
    ask += static_cast<char>(host.size());
    ask += host;
  }
  ask += static_cast<char>(server.port >> 8);
  ask += static_cast<char>(server.port & 0xff);
  char head[4];
  if (auto status = send_all(ask); !status) return status;
  if (auto status = receive(head); !status) return status;
  constexpr const char* kReasons[] = {"",
                                      "it failed",
                                      "its rules do not allow this server",
                                      "the network is unreachable",
                                      "the host is unreachable",
                                      "the server refuses the connection",
                                      "the server does not answer",
                                      "it does not know the command",
                                      "it does not know this kind of address"};
  const auto reason = static_cast<unsigned char>(head[1]);
  if (head[0] != 5) return failed("SOCKS5", "what it answers is not SOCKS5");
  if (reason != 0)
    return failed("SOCKS5 to " + server.authority(),
                  reason < std::size(kReasons) ? kReasons[reason] : fmt::format("it answers code {}", reason));
  // The address that it uses, which is of no interest.
  std::size_t more = head[3] == 1 ? 4 : 16;
  if (head[3] == 3) {
    char length = 0;
    if (auto status = receive({&length, 1}); !status) return status;
    more = static_cast<unsigned char>(length);
  }
  char rest[255 + 2];
  return receive(std::span(rest).first(more + 2));
}

}  // namespace

rules::Status open_tunnel(int descriptor, const Proxy& proxy, const ServerUrl& server,
                          std::chrono::steady_clock::time_point until, const std::stop_token& stop) {
  Tunnel tunnel(descriptor, proxy, until, stop);
  return proxy.kind == Proxy::Kind::kSocks5 ? tunnel.socks(server) : tunnel.connect(server);
}

}  // namespace kubenatd::agent::api
