#include <algorithm>
#include <cstring>

#include "agent/dataplane/nftables/found_at_start.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;

/// Of a key that ends with a number: the number.
std::uint32_t last_number(const Bytes<kKeyCapacity>& key) {
  std::uint32_t number = 0;
  if (key.size >= sizeof number) std::memcpy(&number, key.data.data() + key.size - sizeof number, sizeof number);
  return number;
}

rules::Address address_at(const std::uint8_t* bytes, rules::Family family) {
  rules::Address address{family, {}};
  std::copy_n(bytes, bits_of(family) / 8, address.bytes.begin());
  return address;
}

std::uint16_t port_at(const std::uint8_t* bytes) {
  return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]);
}

}  // namespace

std::vector<UdpFrontend> udp_frontends_of(const LiveElements& live, rules::Family family) {
  constexpr auto kUdp = static_cast<std::uint8_t>(rules::Protocol::kUdp);
  const std::size_t address_size = bits_of(family) / 8;
  std::vector<UdpFrontend> frontends;
  for (const auto& [key, value] : live) {
    if (key.set.id == SetId::kHostPorts && key.key.data[0] == kUdp)
      frontends.push_back({std::nullopt, port_at(key.key.data.data() + 4), true});
    const bool node_port = key.set.id == SetId::kNodePortEndpoints || key.set.id == SetId::kNodePortLocalEndpoints;
    const bool address = key.set.id == SetId::kEndpoints || key.set.id == SetId::kLocalEndpoints;
    if (!node_port && !address) continue;
    // 0 is the first one's in a table of version 0.1.0.
    if (const std::uint32_t number = last_number(key.key); number != first_number(key.set.id) && number != 0) continue;
    const std::uint8_t* protocol = key.key.data.data() + (address ? address_size : 0);
    if (*protocol != kUdp) continue;
    UdpFrontend frontend{std::nullopt, port_at(protocol + 4), false};
    if (address) frontend.address = address_at(key.key.data.data(), family);
    frontends.push_back(frontend);
  }
  return frontends;
}

}  // namespace kubenatd::agent::dataplane::nftables
