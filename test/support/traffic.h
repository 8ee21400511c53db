#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "test/support/namespace.h"
#include "test/support/process.h"

/// Real connections: servers that say who they are and whom they see, clients that say what became of them.
namespace kubenatd::test {

enum class Transport : std::uint8_t { kTcp, kUdp, kSctp };

/// True when the kernel can open sockets of this protocol.
[[nodiscard]] bool has_transport(Transport transport);

/// What became of one request.
struct Outcome {
  enum class Kind : std::uint8_t {
    kAnswered,
    kRefused,      ///< RST or ICMP port unreachable
    kDropped,      ///< no answer in time
    kUnreachable,  ///< any other error, named in `by`
  };
  Kind kind = Kind::kDropped;
  std::string by = {};      ///< name of the server
  int at = 0;               ///< port on which the server heard it
  std::string source = {};  ///< address the server saw
  int source_port = 0;

  [[nodiscard]] bool answered() const { return kind == Kind::kAnswered; }
  [[nodiscard]] bool refused() const { return kind == Kind::kRefused; }
  [[nodiscard]] bool dropped() const { return kind == Kind::kDropped; }
};

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);

/// Generous: only a packet that is lost for good takes so long.
inline constexpr std::chrono::milliseconds kAnswerTime{8'000};
/// Enough for an answer on this machine; a test that expects silence waits this long.
inline constexpr std::chrono::milliseconds kSilenceTime{700};

/// Opens a new connection (or socket), hears the answer, closes. UDP repeats its question each 400 ms.
[[nodiscard]] Outcome ask(const Namespace& from, Transport transport, const std::string& address, std::uint16_t port,
                          std::chrono::milliseconds timeout = kAnswerTime);

/// True when nothing comes back at all.
[[nodiscard]] bool is_silent(const Namespace& from, Transport transport, const std::string& address,
                             std::uint16_t port);

/// A socket that stays open over several questions, so that its conntrack entry does.
class Conversation {
 public:
  /// `source_port` 0: any.
  Conversation(const Namespace& from, Transport transport, const std::string& address, std::uint16_t port,
               std::uint16_t source_port = 0);
  /// One question and its answer. A refusal of an earlier UDP datagram does not count for this one.
  [[nodiscard]] Outcome ask(std::chrono::milliseconds timeout = kAnswerTime);

 private:
  Transport transport_;
  Descriptor socket_;
  std::optional<Outcome> failed_;  ///< connecting did not work
};

/// Asks one question after the other, each as ask() does, and again from the first, from a thread of its own until it
/// is stopped. The namespaces must outlive it.
class SteadyTraffic {
 public:
  struct Question {
    const Namespace& from;
    Transport transport;
    std::string address;
    std::uint16_t port;
  };
  explicit SteadyTraffic(std::vector<Question> questions);
  SteadyTraffic(const SteadyTraffic&) = delete;
  SteadyTraffic& operator=(const SteadyTraffic&) = delete;
  ~SteadyTraffic();

  /// Questions so far.
  [[nodiscard]] int asked() const;
  /// Ends it. What became of the questions that were not answered, the first 20 of them.
  [[nodiscard]] std::vector<std::string> stop();

 private:
  struct Worker;
  std::unique_ptr<Worker> worker_;
};

/// Answers on TCP and UDP (and SCTP where the kernel has it) in a namespace, from a thread of its own. Listens before
/// the constructor returns. Each question, and for stream protocols each new connection, is answered by
/// "NAME PORT PEER-ADDRESS PEER-PORT".
class EchoServer {
 public:
  /// `address` empty: every address of the namespace, both families.
  EchoServer(const Namespace& where, std::string name, const std::vector<std::uint16_t>& ports,
             const std::string& address = {});
  EchoServer(EchoServer&&) noexcept;
  EchoServer& operator=(EchoServer&&) = delete;
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  ~EchoServer();

 private:
  struct Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace kubenatd::test

/// Ends a test case that needs SCTP, with the line that counts it as skipped.
#define KUBENATD_NEEDS_SCTP()                                                   \
  do {                                                                          \
    if (!::kubenatd::test::has_transport(::kubenatd::test::Transport::kSctp)) { \
      std::puts("SKIPPED: the kernel has no SCTP sockets");                     \
      return;                                                                   \
    }                                                                           \
  } while (false)
