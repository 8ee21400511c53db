#include "test/unit/serve/http_client.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "agent/serve/listen_socket.h"

namespace kubenatd::test {
namespace {

constexpr int kPatience = 10'000;  // milliseconds

std::runtime_error trouble(const std::string& what) {
  return std::runtime_error(what + ": " + std::strerror(errno));
}

}  // namespace

Connection::Connection(const std::string& address, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
    throw std::runtime_error("no address: " + address);
  fd_ = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = fd_ >= 0 && ::connect(fd_, found->ai_addr, found->ai_addrlen) == 0;
  ::freeaddrinfo(found);
  if (connected) return;
  const auto error = trouble("connect to " + address + " " + std::to_string(port));
  if (fd_ >= 0) ::close(fd_);
  throw error;
}

Connection::Connection(Connection&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Connection::~Connection() {
  if (fd_ >= 0) ::close(fd_);
}

bool Connection::send(const std::string& text) {
  std::size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

std::string Connection::read_to_end() {
  return read(nullptr);
}

std::string Connection::read_until(const std::string& mark) {
  return read(&mark);
}

std::string Connection::read(const std::string* mark) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    if (mark != nullptr && text.find(*mark) != std::string::npos) return text;
    pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, kPatience) <= 0) throw std::runtime_error("nothing came, after: " + text);
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

Reply parse_reply(const std::string& text) {
  Reply reply;
  const std::size_t head_end = text.find("\r\n\r\n");
  if (head_end == std::string::npos) throw std::runtime_error("no HTTP answer: \"" + text + "\"");
  reply.body = text.substr(head_end + 4);
  std::istringstream head(text.substr(0, head_end));
  std::string version;
  head >> version >> reply.status;
  std::string line;
  std::getline(head, line);
  while (std::getline(head, line)) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) throw std::runtime_error("bad header line: " + line);
    reply.headers[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return reply;
}

Reply fetch(const std::string& address, std::uint16_t port, const std::string& path, const std::string& method) {
  Connection connection(address, port);
  connection.send(method + " " + path + " HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
  return parse_reply(connection.read_to_end());
}

agent::config::BindAddress loopback(bool ipv6) {
  return {.address = *rules::Address::parse(ipv6 ? "::1" : "127.0.0.1"), .port = 0};
}

bool has_ipv6() {
  return agent::serve::ListenSocket::open(loopback(true)).has_value();
}

}  // namespace kubenatd::test
