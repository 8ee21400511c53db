#include "test/bench/api_connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <array>
#include <cctype>
#include <stdexcept>
#include <utility>

namespace kubenatd::bench {
namespace {

SSL_CTX* context() {
  static const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> one(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  return one.get();
}

}  // namespace

ApiConnection::ApiConnection(const std::string& address, std::uint16_t port, std::string token)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      tls_(SSL_new(context()), SSL_free),
      token_(std::move(token)) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  const int on = 1;
  (void)::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 || tls_ == nullptr ||
      SSL_set_fd(tls_.get(), socket_.get()) != 1 || SSL_connect(tls_.get()) != 1)
    throw std::runtime_error(fmt::format("no connection to the API server at {}:{}", address, port));
}

ApiConnection::ApiConnection(ApiConnection&&) noexcept = default;
ApiConnection::~ApiConnection() = default;

void ApiConnection::read_more() {
  std::array<char, 16384> block{};
  const int got = SSL_read(tls_.get(), block.data(), block.size());
  if (got <= 0) throw std::runtime_error("the API server closed the connection");
  read_.append(block.data(), static_cast<std::size_t>(got));
}

std::string ApiConnection::take(std::size_t size) {
  while (read_.size() < size) read_more();
  std::string taken = read_.substr(0, size);
  read_.erase(0, size);
  return taken;
}

std::string ApiConnection::take_line() {
  std::size_t end = 0;
  while ((end = read_.find("\r\n")) == std::string::npos) read_more();
  std::string line = take(end);
  (void)take(2);
  return line;
}

ApiConnection::Answer ApiConnection::ask(std::string_view method, std::string_view path, std::string_view body) {
  const std::string request = fmt::format(
      "{} {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      method, path, token_, body.size(), body);
  if (SSL_write(tls_.get(), request.data(), static_cast<int>(request.size())) <= 0)
    throw std::runtime_error("the API server closed the connection");
  Answer answer;
  const std::string first = take_line();  // "HTTP/1.1 200 OK"
  if (first.size() < 12) throw std::runtime_error("the API server's answer is not HTTP: " + first);
  answer.status = std::stoi(first.substr(9, 3));
  std::size_t length = 0;
  bool chunked = false;
  for (std::string line = take_line(); !line.empty(); line = take_line()) {
    for (char& c : line) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (line.starts_with("content-length:")) length = std::stoul(line.substr(15));
    if (line.starts_with("transfer-encoding: chunked")) chunked = true;
  }
  if (!chunked) {
    answer.body = take(length);
    return answer;
  }
  while (const std::size_t size = std::stoul(take_line(), nullptr, 16)) {
    answer.body += take(size);
    (void)take(2);
  }
  (void)take_line();
  return answer;
}

ApiConnection::Answer ApiConnection::must(std::string_view method, std::string_view path, std::string_view body) {
  Answer answer = ask(method, path, body);
  if (answer.status / 100 != 2)
    throw std::runtime_error(fmt::format("{} {}: {} {}", method, path, answer.status, answer.body));
  return answer;
}

}  // namespace kubenatd::bench
