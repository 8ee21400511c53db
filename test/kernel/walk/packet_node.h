#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rules/walk/packet.h"
#include "test/support/process.h"

namespace kubenatd::test {

/// What became of one packet.
struct Fate {
  enum class Kind : std::uint8_t {
    kForwarded,
    kLocal,
    kRejected,
    kDropped,
  };
  Kind kind = Kind::kDropped;
  std::string interface = {};       ///< kForwarded: which one it left by
  rules::Address source = {};       ///< kForwarded, kLocal: as it was in the end
  rules::Address destination = {};  ///< kForwarded
  std::uint16_t destination_port = 0;
};

/// The calling thread's network namespace as a node whose neighbours are the test itself: ext0 leads outside and pod0
/// to the node's pods, both tunnels whose other end is a descriptor here. A packet written there has arrived when the
/// write returns, so a packet that does not come out anywhere is dropped for sure, without waiting.
///
///     ext0 192.168.77.2/24, fd00:77::2/64, default route     pod0 10.244.1.1, fd00:10:244:1::1, routes to pods
///
/// Threading: one thread, bound to one CPU, so that what it sends keeps its order in the kernel's queues.
/// Failure: throws. The rules must accept UDP to port kSentinelPort on lo in OUTPUT and INPUT.
class PacketNode {
 public:
  static constexpr std::uint16_t kSentinelPort = 7;
  static constexpr const char* kExternal = "ext0";
  static constexpr const char* kPods = "pod0";

  PacketNode();

  [[nodiscard]] const rules::walk::Surroundings& surroundings() const { return surroundings_; }

  /// Sends it and looks what comes of it. kLocal origin: from a socket bound to the source; TCP is not sent that way.
  [[nodiscard]] Fate send(const rules::walk::Packet& packet);

 private:
  void listen(std::uint16_t port);
  void settle();
  void discard();
  [[nodiscard]] std::optional<Fate> heard_in_tunnels(const rules::walk::Packet& packet) const;
  [[nodiscard]] std::optional<Fate> heard_in_sockets() const;

  Descriptor external_, pods_, sentinel_;
  std::map<std::uint16_t, Descriptor> sockets_;  ///< UDP, both families
  rules::walk::Surroundings surroundings_;
};

/// Why there can be no PacketNode here; nothing when there can.
[[nodiscard]] std::optional<std::string> tunnels_missing();

}  // namespace kubenatd::test
