#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "agent/serve/http_server.h"
#include "test/fuzz/fuzz.h"

/// What comes in by a port of the agent, in pieces, over loopback.
namespace kubenatd::fuzz {
namespace {

using namespace agent::serve;

/// One server for all inputs, with pages like the agent's.
class Server {
 public:
  Server() {
    const auto page = [](std::string text) { return [text](const HttpRequest&) { return plain_text(text); }; };
    const agent::config::BindAddress loopback{rules::Address::parse("127.0.0.1").value(), 0};
    auto opened = HttpServer::open(
        *transport_, loopback,
        by_path({{"/healthz", page("ok")},
                 {"/metrics", page(std::string(std::size_t{100} << 10U, 'm'))},
                 {"/throws", [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("no"); }}}));
    require(opened.has_value(), "the server opens");
    server_ = std::move(*opened);
  }
  [[nodiscard]] int connect() const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    require(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "the server accepts");
    const int on = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // Thousands of connections a second would use up the ports: no TIME_WAIT.
    const linger at_once{1, 0};
    (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    return fd;
  }

 private:
  std::unique_ptr<HttpTransport> transport_ = HttpTransport::start().value();
  std::unique_ptr<HttpServer> server_;
};

/// All that came until the server closed; it has to, since nothing more is sent.
std::string read_to_end(int fd) {
  std::string answer;
  std::vector<char> buffer(64U << 10U);
  for (;;) {
    pollfd wait{fd, POLLIN, 0};
    const int ready = ::poll(&wait, 1, 8000);
    if (ready < 0 && errno == EINTR) continue;  // libFuzzer's clock
    require(ready == 1, "the server answers or closes");
    const ssize_t size = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (size <= 0) return answer;
    answer.append(buffer.data(), static_cast<std::size_t>(size));
  }
}

/// One answer behind the other, each as long as it says.
void check_answers(std::string_view answers, bool has_head) {
  while (!answers.empty()) {
    require(answers.starts_with("HTTP/1."), "an answer is one of HTTP", answers.substr(0, 80));
    const std::size_t end = answers.find("\r\n\r\n");
    if (end == std::string_view::npos) return;  // cut by the server's close
    const std::string_view head = answers.substr(0, end);
    answers.remove_prefix(end + 4);
    constexpr std::string_view kLength = "\r\nContent-Length: ";
    const std::size_t length = head.find(kLength);
    require(length != std::string_view::npos, "an answer tells its length", head);
    // Of a HEAD request, no body follows: not followed here.
    if (has_head) return;
    const std::size_t size = std::strtoul(std::string(head.substr(length + kLength.size())).c_str(), nullptr, 10);
    answers.remove_prefix(std::min(size, answers.size()));
  }
}

}  // namespace

void check(std::string_view input) {
  static const Server server;
  const std::uint8_t choice = take_byte(input);
  const int fd = server.connect();
  if (choice < 0x80) {
    (void)!::send(fd, input.data(), input.size(), MSG_NOSIGNAL);
  } else {
    for (const std::string_view piece : in_pieces(input.substr(0, 2048), choice))
      if (::send(fd, piece.data(), piece.size(), MSG_NOSIGNAL) < 0) break;
  }
  (void)::shutdown(fd, SHUT_WR);
  check_answers(read_to_end(fd), input.contains("HEAD"));
  (void)::close(fd);
}

}  // namespace kubenatd::fuzz
