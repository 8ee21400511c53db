#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rules/walk/packet.h"

/// IP packets as bytes.
namespace kubenatd::test {

/// The first packet of the connection: a TCP SYN, or a UDP datagram with a word in it, with right checksums.
[[nodiscard]] std::vector<std::uint8_t> first_packet(const rules::walk::Packet& packet);

/// A packet that somebody sent.
struct SeenPacket {
  enum class Kind : std::uint8_t { kFirst, kReset, kUnreachable, kOther };
  Kind kind = Kind::kOther;
  rules::Address source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
};

[[nodiscard]] std::optional<SeenPacket> read_packet(const std::vector<std::uint8_t>& bytes);

}  // namespace kubenatd::test
