#include "test/kernel/walk/raw_packet.h"

#include <algorithm>

namespace kubenatd::test {
namespace {

using rules::Family;
using rules::Protocol;

constexpr std::uint8_t kSyn = 0x02;
constexpr std::uint8_t kRst = 0x04;
constexpr std::uint8_t kHops = 64;
constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kIcmp6 = 58;

void put16(std::vector<std::uint8_t>& out, unsigned value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

void put(std::vector<std::uint8_t>& out, const rules::Address& address) {
  const auto octets = address.octets();
  out.insert(out.end(), octets.begin(), octets.end());
}

std::uint16_t checksum(const std::vector<std::uint8_t>& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2)
    sum += static_cast<std::uint32_t>(bytes[i] << 8) | (i + 1 < bytes.size() ? bytes[i + 1] : 0U);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void set16(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint16_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

std::vector<std::uint8_t> transport_part(const rules::walk::Packet& packet) {
  const bool tcp = packet.protocol == Protocol::kTcp;
  std::vector<std::uint8_t> bytes;
  put16(bytes, packet.source_port);
  put16(bytes, packet.destination_port);
  if (tcp) {
    for (const unsigned half : {1U, 1U, 0U, 0U}) put16(bytes, half);  // sequence, acknowledgement
    bytes.push_back(5 << 4);
    bytes.push_back(kSyn);
    for (const unsigned half : {64000U, 0U, 0U}) put16(bytes, half);  // window, checksum, urgent
  } else {
    put16(bytes, 12);
    put16(bytes, 0);
    for (const char c : {'w', 'a', 'l', 'k'}) bytes.push_back(static_cast<std::uint8_t>(c));
  }
  std::vector<std::uint8_t> summed;
  put(summed, packet.source);
  put(summed, packet.destination);
  put16(summed, static_cast<unsigned>(packet.protocol));
  put16(summed, static_cast<unsigned>(bytes.size()));
  summed.insert(summed.end(), bytes.begin(), bytes.end());
  const std::uint16_t sum = checksum(summed);
  set16(bytes, tcp ? 16 : 6, sum == 0 ? 0xffff : sum);
  return bytes;
}

}  // namespace

std::vector<std::uint8_t> first_packet(const rules::walk::Packet& packet) {
  const auto payload = transport_part(packet);
  const auto protocol = static_cast<std::uint8_t>(packet.protocol);
  std::vector<std::uint8_t> bytes;
  if (packet.source.family == Family::kIpv4) {
    put16(bytes, 0x4500U | packet.tos.value_or(0));
    put16(bytes, static_cast<unsigned>(20 + payload.size()));
    put16(bytes, 1);
    put16(bytes, 0);
    bytes.push_back(packet.ttl.value_or(kHops));
    bytes.push_back(protocol);
    put16(bytes, 0);
    put(bytes, packet.source);
    put(bytes, packet.destination);
    set16(bytes, 10, checksum(bytes));
  } else {
    put16(bytes, 0x6000U | static_cast<unsigned>(packet.tos.value_or(0)) << 4U);
    put16(bytes, 0);
    put16(bytes, static_cast<unsigned>(payload.size()));
    bytes.push_back(protocol);
    bytes.push_back(packet.ttl.value_or(kHops));
    put(bytes, packet.source);
    put(bytes, packet.destination);
  }
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  return bytes;
}

std::optional<SeenPacket> read_packet(const std::vector<std::uint8_t>& bytes) {
  constexpr std::size_t kHeader4 = 20;
  constexpr std::size_t kHeader6 = 40;
  if (bytes.empty()) return std::nullopt;
  const bool ipv4 = bytes[0] >> 4 == 4;
  const std::size_t header = ipv4 ? static_cast<std::size_t>(bytes[0] & 0x0f) * 4 : kHeader6;
  constexpr std::size_t kPorts = 4;
  if ((ipv4 && header < kHeader4) || bytes.size() < header + kPorts) return std::nullopt;
  SeenPacket seen;
  const auto address = [&](std::size_t at) {
    rules::Address found;
    found.family = ipv4 ? Family::kIpv4 : Family::kIpv6;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), ipv4 ? 4 : 16, found.bytes.begin());
    return found;
  };
  seen.source = address(ipv4 ? 12 : 8);
  seen.destination = address(ipv4 ? 16 : 24);
  const std::uint8_t protocol = bytes[ipv4 ? 9 : 6];
  const std::uint8_t* body = bytes.data() + header;
  if (protocol == (ipv4 ? kIcmp : kIcmp6)) {
    if (body[0] == (ipv4 ? 3 : 1)) seen.kind = SeenPacket::Kind::kUnreachable;  // of any code
    return seen;
  }
  seen.source_port = static_cast<std::uint16_t>(body[0] << 8 | body[1]);
  seen.destination_port = static_cast<std::uint16_t>(body[2] << 8 | body[3]);
  constexpr std::size_t kFlags = 13;
  if (protocol == static_cast<std::uint8_t>(Protocol::kUdp)) seen.kind = SeenPacket::Kind::kFirst;
  if (protocol == static_cast<std::uint8_t>(Protocol::kTcp) && bytes.size() > header + kFlags) {
    if ((body[kFlags] & kRst) != 0)
      seen.kind = SeenPacket::Kind::kReset;
    else if (body[kFlags] == kSyn)
      seen.kind = SeenPacket::Kind::kFirst;
  }
  return seen;
}

}  // namespace kubenatd::test
