#include "test/server/scripted_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace kubenatd::test {
namespace {

constexpr std::size_t kLargestBody = 1U << 20;

std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16)));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

Ask parse(const std::string& head) {
  Ask ask;
  const auto first = head.find(' ');
  ask.method = head.substr(0, first);
  const auto second = head.find(' ', first + 1);
  ask.target = head.substr(first + 1, second - first - 1);
  const auto question = ask.target.find('?');
  ask.path = ask.target.substr(0, question);
  std::string_view rest =
      question == std::string::npos ? std::string_view() : std::string_view(ask.target).substr(question + 1);
  while (!rest.empty()) {
    const auto end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    const auto equals = pair.find('=');
    ask.query[std::string(pair.substr(0, equals))] = decoded(pair.substr(std::min(equals + 1, pair.size())));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  for (auto at = head.find("\r\n"); at + 4 < head.size(); at = head.find("\r\n", at + 2)) {
    const auto colon = head.find(':', at);
    const auto end = head.find("\r\n", at + 2);
    if (colon == std::string::npos || colon > end) continue;
    std::string name = head.substr(at + 2, colon - at - 2);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    const auto begin = head.find_first_not_of(' ', colon + 1);
    ask.headers[name] = head.substr(begin, end - begin);
  }
  return ask;
}

}  // namespace

/// A connection, with or without TLS.
class Wire {
 public:
  Wire(int socket, SSL_CTX* context, const std::atomic<bool>& stopping) : socket_(socket), stopping_(stopping) {
    if (context == nullptr) return;
    ssl_.reset(SSL_new(context), SSL_free);
    SSL_set_fd(ssl_.get(), socket);
    open_ = SSL_accept(ssl_.get()) == 1;
    ERR_clear_error();
  }

  [[nodiscard]] bool open() const { return open_; }
  [[nodiscard]] SSL* ssl() const { return ssl_.get(); }
  void close() {
    ::shutdown(socket_, SHUT_RDWR);
    open_ = false;
  }

  std::string read_head() {
    std::string head;
    while (open_ && !head.ends_with("\r\n\r\n")) {
      char c = 0;
      const auto got = ssl_ ? SSL_read(ssl_.get(), &c, 1) : ::recv(socket_, &c, 1, 0);
      if (got != 1) {
        open_ = false;
        break;
      }
      head.push_back(c);
    }
    return head;
  }

  std::string read_body(std::size_t size) {
    std::string body(size, '\0');
    std::size_t at = 0;
    while (open_ && at < size) {
      const auto got = ssl_ ? SSL_read(ssl_.get(), body.data() + at, static_cast<int>(size - at))
                            : ::recv(socket_, body.data() + at, size - at, 0);
      if (got <= 0) {
        open_ = false;
        break;
      }
      at += static_cast<std::size_t>(got);
    }
    return body;
  }

  void write(std::string_view bytes) {
    while (open_ && !bytes.empty()) {
      const auto sent = ssl_ ? SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                             : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        open_ = false;
      else
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  bool pause(std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    while (open_ && !stopping_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0) return true;
      pollfd waiting{socket_, POLLIN | POLLRDHUP, 0};
      const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<long>(left.count(), 50)));
      if (ready > 0) open_ = false;  // clients say nothing while they are answered
    }
    return false;
  }

 private:
  int socket_;
  const std::atomic<bool>& stopping_;
  std::shared_ptr<SSL> ssl_;
  bool open_ = true;
};

Reply::Reply(const Ask& ask, Wire& wire, const Translation* translation)
    : ask(ask), wire_(wire), translation_(translation) {
  const auto accept = ask.headers.find("accept");
  if (translation_ != nullptr &&
      (accept == ask.headers.end() || accept->second.find(translation_->content_type) == std::string::npos))
    translation_ = nullptr;
}
void Reply::answer(int status, const std::string& body, const std::string& more_headers) {
  const auto translated = translation_ != nullptr ? translation_->body(body) : std::nullopt;
  const std::string& said = translated ? *translated : body;
  raw(fmt::format("HTTP/1.1 {} Status\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\r\n{}", status,
                  translated ? translation_->content_type : "application/json", said.size(), more_headers, said));
}
void Reply::begin(int status) {
  raw(fmt::format("HTTP/1.1 {} Status\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n", status,
                  translation_ != nullptr ? translation_->content_type : "application/json"));
}
void Reply::line(const std::string& text) {
  const auto translated = translation_ != nullptr ? translation_->line(text) : std::nullopt;
  chunk(translated ? *translated : text + "\n");
}
void Reply::chunk(std::string_view text) {
  raw(fmt::format("{:x}\r\n{}\r\n", text.size(), text));
}
void Reply::end() {
  raw("0\r\n\r\n");
}
void Reply::raw(std::string_view bytes) {
  wire_.write(bytes);
}
void Reply::cut() {
  wire_.close();
}
void Reply::hang() {
  wire_.pause(std::chrono::hours(1));
  wire_.close();
}
bool Reply::pause(std::chrono::milliseconds time) {
  return wire_.pause(time);
}

ScriptedServer::ScriptedServer(std::optional<ServerTls> tls, bool ipv6, std::uint16_t port) {
  std::signal(SIGPIPE, SIG_IGN);  // TLS writes have no flag for it
  if (tls) {
    context_.reset(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
    const auto bio_of = [](const std::string& text) {
      return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
    };
    BIO* bio = bio_of(tls->own.certificate);
    X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context_.get(), certificate);
    X509_free(certificate);
    BIO_free(bio);
    bio = bio_of(tls->own.key);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_PrivateKey(context_.get(), key);
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (!tls->client_authority.empty()) {
      bio = bio_of(tls->client_authority);
      X509* authority = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), authority);
      X509_free(authority);
      BIO_free(bio);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
  }
  listener_ = ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage address{};
  socklen_t size = 0;
  if (ipv6) {
    auto& typed = reinterpret_cast<sockaddr_in6&>(address);
    typed.sin6_family = AF_INET6;
    typed.sin6_addr = in6addr_loopback;
    typed.sin6_port = htons(port);
    size = sizeof(typed);
  } else {
    auto& typed = reinterpret_cast<sockaddr_in&>(address);
    typed.sin_family = AF_INET;
    typed.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    typed.sin_port = htons(port);
    size = sizeof(typed);
  }
  const int reuse = 1;
  if (listener_ < 0 || ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) != 0 ||
      ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0)
    throw std::runtime_error("cannot listen on loopback");
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(ipv6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                     : reinterpret_cast<sockaddr_in&>(address).sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  stop();
  ::close(listener_);
}

void ScriptedServer::stop() {
  if (stopping_.exchange(true)) return;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> threads;
  {
    const std::scoped_lock lock(mutex_);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  for (const int socket : sockets_) ::close(socket);
}

void ScriptedServer::on(const std::string& path, std::vector<Step> steps) {
  const std::scoped_lock lock(mutex_);
  for (Step& step : steps) steps_[path].push_back(std::move(step));
}

void ScriptedServer::always(Step step) {
  const std::scoped_lock lock(mutex_);
  always_ = std::move(step);
}

std::vector<Ask> ScriptedServer::asked(const std::string& path) const {
  const std::scoped_lock lock(mutex_);
  std::vector<Ask> found;
  std::copy_if(asked_.begin(), asked_.end(), std::back_inserter(found),
               [&](const Ask& ask) { return ask.path == path; });
  return found;
}

std::vector<Ask> ScriptedServer::all_asked() const {
  const std::scoped_lock lock(mutex_);
  return asked_;
}

void ScriptedServer::accept_all() {
  for (;;) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const std::scoped_lock lock(mutex_);
    if (socket < 0 || stopping_) {
      if (socket >= 0) ::close(socket);
      return;
    }
    sockets_.push_back(socket);  // closed at the end, so that no number is used twice
    threads_.emplace_back([this, socket] { serve(socket); });
  }
}

void ScriptedServer::serve(int socket) {
  Wire wire(socket, context_.get(), stopping_);
  while (wire.open() && !stopping_) {
    const std::string head = wire.read_head();
    if (!wire.open()) break;
    Ask ask = parse(head);
    if (const auto length = ask.headers.find("content-length"); length != ask.headers.end())
      ask.body = wire.read_body(std::min(std::stoul(length->second), kLargestBody));
    if (wire.ssl() != nullptr) {
      if (const char* name = SSL_get_servername(wire.ssl(), TLSEXT_NAMETYPE_host_name)) ask.server_name = name;
      if (X509* peer = SSL_get1_peer_certificate(wire.ssl())) {
        char name[256] = "";
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof(name));
        ask.peer = name;
        X509_free(peer);
      }
    }
    answer(ask, wire);
  }
  wire.close();
}

void ScriptedServer::answer(const Ask& ask, Wire& wire) {
  Step step;
  {
    const std::scoped_lock lock(mutex_);
    asked_.push_back(ask);
    if (always_) {
      step = always_;
    } else if (auto& steps = steps_[ask.path]; !steps.empty()) {
      step = std::move(steps.front());
      steps.pop_front();
    }
  }
  Reply reply(ask, wire, translation_ ? &*translation_ : nullptr);
  if (step) {
    step(reply);
  } else if (ask.has("watch")) {
    reply.begin();
    reply.hang();
  } else {
    reply.answer(404, "{}");
  }
}

}  // namespace kubenatd::test
