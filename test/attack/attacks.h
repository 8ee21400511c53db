#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "test/support/namespace.h"

/// Clients that want to keep others out, or to fill the agent's memory.
namespace kubenatd::test {

/// What a crowd of connections does. They all come from one thread.
struct Crowd {
  std::string name;
  std::size_t connections = 1000;
  std::size_t addresses = 1;             ///< they are dealt out over so many, from FoeNetwork::address(0) on
  std::string opening = {};              ///< sent once connected
  std::string drip = {};                 ///< sent again and again, by each connection
  std::chrono::milliseconds pause{100};  ///< between two drips of a connection; 0: as fast as the server takes it
  bool reads = false;                    ///< and throws away what it has read
  bool leaves = false;                   ///< ends each connection by itself as soon as it has sent `opening`
  int receive_buffer = 0;                ///< bytes; 0: as the kernel chooses
};

/// A node and the network of its foes: any address of 10.99.0.0/16 and fd00:99::/64 is theirs; those of 10.98.0.0/16
/// are nobody's, and what is sent to them vanishes.
class FoeNetwork {
 public:
  FoeNetwork();
  Namespace node = Namespace::create();
  Namespace foes = Namespace::create();

  static constexpr const char* kNode = "192.168.77.2";
  static constexpr const char* kNode6 = "fd00:77::2";
  static constexpr const char* kFriend = "192.168.77.9";  ///< an honest address, in the same namespace as the foes
  [[nodiscard]] static std::string address(std::size_t number, bool ipv6 = false);
};

/// An attack that goes on until it is destroyed. What the server ends is opened again.
///
/// Threading: a thread of its own. Failure: the constructor throws when no thread can be made; connections that fail
/// are counted.
class Attack {
 public:
  Attack(const FoeNetwork& network, Crowd crowd, std::uint16_t port, bool ipv6 = false);
  Attack(const Attack&) = delete;
  Attack& operator=(const Attack&) = delete;
  ~Attack() = default;

  [[nodiscard]] std::uint64_t opened() const { return opened_; }

 private:
  void run(const std::stop_token& stop, const FoeNetwork& network, const Crowd& crowd, std::uint16_t port, bool ipv6);

  std::atomic<std::uint64_t> opened_ = 0;
  std::jthread thread_;  ///< last: uses all others
};

/// First packets of connections from addresses of nobody.
void send_syns(const FoeNetwork& network, std::uint16_t port, std::size_t count);

/// How one request went.
struct Probe {
  int status = 0;  ///< 0: there was no answer
  std::string trouble = {};
  std::chrono::microseconds took{0};
};

/// GET on a connection of its own, once, from this address (the kernel's choice when it is empty) of the present
/// namespace. `way`: so much later than the connection the request comes, as from far away.
[[nodiscard]] Probe probe(const std::string& from, const std::string& to, std::uint16_t port, const std::string& path,
                          std::chrono::milliseconds way = {});

}  // namespace kubenatd::test
