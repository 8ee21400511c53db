#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "test/server/certificates.h"

/// An HTTP server that does what a test says: answers, cuts, stalls, sends garbage.
namespace kubenatd::test {

struct Ask {
  std::string method;
  std::string target;  ///< as it was sent
  std::string path;
  std::map<std::string, std::string> query;    ///< decoded
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
  std::string peer;         ///< common name of the client's certificate
  std::string server_name;  ///< of the TLS handshake
  [[nodiscard]] bool has(const std::string& name) const { return query.contains(name); }
};

class Wire;

/// Says in another encoding what a test says in JSON. Text that is none stays as it is.
struct Translation {
  std::string content_type;  ///< used for who accepts it
  std::function<std::optional<std::string>(std::string_view)> body;
  std::function<std::optional<std::string>(std::string_view)> line;
};

/// One request, being answered. Writing to a client that is gone does nothing.
class Reply {
 public:
  Reply(const Ask& ask, Wire& wire, const Translation* translation = nullptr);
  const Ask& ask;

  /// A whole answer.
  void answer(int status, const std::string& body, const std::string& more_headers = {});
  /// The head of an answer in chunks.
  void begin(int status = 200);
  void chunk(std::string_view text);
  void line(const std::string& text);
  void end();
  void raw(std::string_view bytes);
  /// Ends the connection at once.
  void cut();
  /// Until the client or the server goes.
  void hang();
  /// False: the client or the server is gone.
  bool pause(std::chrono::milliseconds time);

 private:
  Wire& wire_;
  const Translation* translation_;  ///< none: JSON
};

using Step = std::function<void(Reply&)>;

struct ServerTls {
  KeyPair own;
  std::string client_authority;  ///< PEM; empty: no client certificates
};

/// Threading: a thread for each connection. The steps of a path are used one after the other; when there is none left,
/// a watch is answered and says nothing, and everything else is 404.
class ScriptedServer {
 public:
  /// Port 0: any free one.
  explicit ScriptedServer(std::optional<ServerTls> tls = std::nullopt, bool ipv6 = false, std::uint16_t port = 0);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  void on(const std::string& path, std::vector<Step> steps);
  /// For every request, instead of steps.
  void always(Step step);
  /// Before the first request.
  void translate(Translation translation) { translation_ = std::move(translation); }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::vector<Ask> asked(const std::string& path) const;
  [[nodiscard]] std::vector<Ask> all_asked() const;
  /// No more connections, and those there are cut.
  void stop();

 private:
  void accept_all();
  void serve(int socket);
  void answer(const Ask& ask, Wire& wire);

  std::shared_ptr<SSL_CTX> context_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::optional<Translation> translation_;
  mutable std::mutex mutex_;
  std::map<std::string, std::deque<Step>> steps_;
  Step always_;
  std::vector<Ask> asked_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace kubenatd::test
