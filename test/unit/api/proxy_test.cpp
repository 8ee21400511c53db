#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "test/unit/api/api_support.h"

/// The way to an API server over TLS through an HTTP proxy: CONNECT, and then nothing that the proxy could read.
namespace kubenatd::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// A proxy that makes tunnels to one port of this machine, whatever it is asked for, or refuses.
class TunnelProxy {
 public:
  enum class Way { kConnect, kRefuse, kSocks };
  TunnelProxy(std::uint16_t target, Way way) : target_(target), way_(way) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 8) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~TunnelProxy() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    for (const int socket : sockets_) ::close(socket);
    ::close(listener_);
  }
  TunnelProxy(const TunnelProxy&) = delete;
  TunnelProxy& operator=(const TunnelProxy&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::vector<std::string> asked() const {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  void accept_all() {
    for (int client = 0; (client = ::accept(listener_, nullptr, nullptr)) >= 0;) {
      const std::lock_guard lock(mutex_);
      sockets_.push_back(client);
      threads_.emplace_back([this, client] { serve(client); });
    }
  }

  static std::string read_bytes(int client, std::size_t count) {
    std::string bytes(count, '\0');
    if (::recv(client, bytes.data(), count, MSG_WAITALL) != static_cast<ssize_t>(count)) bytes.clear();
    return bytes;
  }

  /// With user and password, and for a name.
  void serve_socks(int client) {
    const std::string methods = read_bytes(client, 4);
    (void)::send(client, "\x05\x02", 2, MSG_NOSIGNAL);
    const std::string user = read_bytes(client, 2 + 1 + 1 + 2);
    (void)::send(client, "\x01\x00", 2, MSG_NOSIGNAL);
    std::string request = read_bytes(client, 5);
    if (request.size() == 5) request += read_bytes(client, static_cast<std::size_t>(request[4]) + 2);
    {
      const std::lock_guard lock(mutex_);
      asked_ = {methods, user, request};
    }
    (void)::send(client, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", 10, MSG_NOSIGNAL);
    pass_on(client);
  }

  void serve(int client) {
    if (way_ == Way::kSocks) return serve_socks(client);
    std::string head;
    char byte = 0;
    while (head.size() < 4096 && !head.ends_with("\r\n\r\n") && ::recv(client, &byte, 1, 0) == 1) head += byte;
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(head);
    }
    const std::string answer = way_ == Way::kRefuse
                                   ? "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
                                   : "HTTP/1.1 200 Connection established\r\n\r\n";
    (void)::send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
    if (way_ == Way::kConnect) pass_on(client);
  }

  void pass_on(int client) {
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    {
      const std::lock_guard lock(mutex_);
      sockets_.push_back(server);
    }
    const sockaddr_in address = loopback(target_);
    if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) relay(client, server);
  }

  static void relay(int one, int other) {
    std::array<pollfd, 2> ends{pollfd{one, POLLIN, 0}, pollfd{other, POLLIN, 0}};
    std::array<char, 16384> block{};
    while (::poll(ends.data(), ends.size(), -1) > 0) {
      for (std::size_t i = 0; i < ends.size(); ++i) {
        if (ends[i].revents == 0) continue;
        const ssize_t got = ::recv(ends[i].fd, block.data(), block.size(), 0);
        if (got <= 0 || ::send(ends[1 - i].fd, block.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) != got) {
          ::shutdown(one, SHUT_RDWR);
          ::shutdown(other, SHUT_RDWR);
          return;
        }
      }
    }
  }

  const std::uint16_t target_;
  const Way way_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

TEST_CASE("TLS through a proxy: a tunnel to the server, whose certificate is checked") {
  const Authority authority("cluster-ca");
  ScriptedServer server(ServerTls{authority.issue("kube-apiserver", "DNS:localhost,IP:127.0.0.1"), ""});
  server.always([](Reply& reply) {
    stream_list(reply, {service("a")}, "20");
    reply.hang();
  });
  auto options = services_of(server);
  options.access.server.tls = true;
  SECTION("the right authority") {
    TunnelProxy proxy(server.port(), TunnelProxy::Way::kConnect);
    options.access.authority = {authority.certificate(), "", "certificate-authority-data"};
    options.access.proxy = http_proxy(proxy.port());
    options.access.proxy->user = agent::api::UserPassword{"u", "p"};
    options.access.token = "secret";
    Follower follower(options);
    follower.until_synced();
    REQUIRE_FALSE(proxy.asked().empty());
    CHECK(proxy.asked()[0].starts_with("CONNECT " + options.access.server.authority() + " HTTP/1."));
    CHECK(proxy.asked()[0].find("\r\nProxy-Authorization: Basic dTpw\r\n") != std::string::npos);
    CHECK(proxy.asked()[0].find("secret") == std::string::npos);
    CHECK(server.asked(kServices)[0].headers.at("authorization") == "Bearer secret");
    CHECK_FALSE(server.asked(kServices)[0].headers.contains("proxy-authorization"));
    CHECK(follower.problems.empty());
  }
  SECTION("another authority") {
    TunnelProxy proxy(server.port(), TunnelProxy::Way::kConnect);
    options.access.authority = {Authority("another-ca").certificate(), "", "certificate-authority-data"};
    options.access.proxy = http_proxy(proxy.port());
    Follower follower(options);
    follower.until([&] { return !follower.problems.empty(); });
    CHECK(server.asked(kServices).empty());
  }
  SECTION("a proxy that refuses") {
    TunnelProxy proxy(server.port(), TunnelProxy::Way::kRefuse);
    options.access.authority = {authority.certificate(), "", "certificate-authority-data"};
    options.access.proxy = http_proxy(proxy.port());
    Follower follower(options);
    follower.until([&] {
      return follower.complained(
          "it answers 407 Proxy Authentication Required: put a user and a password into its address");
    });
    CHECK(server.asked(kServices).empty());
  }
  SECTION("nobody is there") {
    std::uint16_t port = 0;
    {
      const TunnelProxy gone(server.port(), TunnelProxy::Way::kConnect);
      port = gone.port();
    }
    options.access.proxy = http_proxy(port);
    options.access.proxy->said_by = "environment variable: HTTPS_PROXY";
    Follower follower(options);
    follower.until([&] {
      return follower.complained("Connection refused (the proxy is said by environment variable: HTTPS_PROXY)");
    });
  }
}

TEST_CASE("through a SOCKS5 proxy, which resolves the name") {
  const bool tls = GENERATE(false, true);
  const Authority authority("cluster-ca");
  std::optional<ServerTls> secure;
  if (tls) secure = ServerTls{authority.issue("kube-apiserver", "DNS:api.example"), ""};
  ScriptedServer server(secure);
  server.always([](Reply& reply) {
    stream_list(reply, {service("a")}, "20");
    reply.hang();
  });
  TunnelProxy proxy(server.port(), TunnelProxy::Way::kSocks);
  auto options = services_of(server);
  options.access.server = {tls, "api.example", 6443, "", {}};
  options.access.authority = {authority.certificate(), "", "certificate-authority-data"};
  options.access.proxy = http_proxy(proxy.port());
  options.access.proxy->kind = agent::api::Proxy::Kind::kSocks5;
  options.access.proxy->user = agent::api::UserPassword{"u", "pw"};
  Follower follower(options);
  follower.until_synced();
  REQUIRE(proxy.asked().size() == 3);
  CHECK(proxy.asked()[0] == std::string("\x05\x02\x00\x02", 4));
  CHECK(proxy.asked()[1] == "\x01\x01u\x02pw");
  CHECK(proxy.asked()[2] == std::string("\x05\x01\x00\x03\x0b", 5) + "api.example\x19\x2b");
  CHECK(server.asked(kServices)[0].headers.at("host") == "api.example:6443");
  CHECK(follower.problems.empty());
}

TEST_CASE("a connection that the server ends while it is idle is replaced without a word") {
  ScriptedServer server;
  server.on(kServices, {[](Reply& reply) {
                          refuse_streaming(reply);
                          reply.cut();
                        },
                        [](Reply& reply) {
                          reply.answer(200, list({service("a")}, "20"));
                          reply.cut();
                        }});
  Follower follower(services_of(server));
  follower.until_synced();
  follower.until([&] { return server.asked(kServices).size() >= 3; });  // the watch
  CHECK(follower.problems.empty());
}

}  // namespace
}  // namespace kubenatd::test
