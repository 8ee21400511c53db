#include "netlink/walk/key_types.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace kubenatd::netlink::walk {
namespace {

struct Type {
  std::string_view name;
  std::uint16_t size;
};

/// By number, as of nft 1.0.6 (include/datatype.h).
constexpr std::array<Type, 47> kTypes{{{"", 0},
                                       {"verdict", 0},
                                       {"nf_proto", 1},
                                       {"bitmask", 0},
                                       {"integer", 0},
                                       {"string", 0},
                                       {"ll_addr", 0},
                                       {"ipv4_addr", 4},
                                       {"ipv6_addr", 16},
                                       {"ether_addr", 6},
                                       {"ether_type", 2},
                                       {"arp_op", 2},
                                       {"inet_proto", 1},
                                       {"inet_service", 2},
                                       {"icmp_type", 1},
                                       {"tcp_flag", 1},
                                       {"dccp_pkttype", 1},
                                       {"mh_type", 1},
                                       {"time", 8},
                                       {"mark", 4},
                                       {"iface_index", 4},
                                       {"iface_type", 2},
                                       {"realm", 4},
                                       {"classid", 4},
                                       {"uid", 4},
                                       {"gid", 4},
                                       {"ct_state", 4},
                                       {"ct_dir", 1},
                                       {"ct_status", 4},
                                       {"icmpv6_type", 1},
                                       {"ct_label", 16},
                                       {"pkt_type", 1},
                                       {"icmp_code", 1},
                                       {"icmpv6_code", 1},
                                       {"icmpx_code", 1},
                                       {"devgroup", 4},
                                       {"dscp", 1},
                                       {"ecn", 1},
                                       {"fib_addrtype", 4},
                                       {"boolean", 1},
                                       {"ct_event", 4},
                                       {"ifname", 16},
                                       {"igmp_type", 1},
                                       {"time", 8},
                                       {"hour", 4},
                                       {"day", 1},
                                       {"cgroupsv2", 8}}};
constexpr unsigned kBits = 6;
constexpr std::uint32_t kMask = (1U << kBits) - 1;

}  // namespace

KeyType key_type(std::uint32_t number) {
  KeyType type;
  bool known = number != 0;
  std::vector<std::string_view> names;
  // The last part is in the lowest bits.
  for (; number != 0; number >>= kBits) {
    const std::uint32_t part = number & kMask;
    known = known && part < kTypes.size() && !kTypes[part].name.empty();
    names.push_back(part < kTypes.size() ? kTypes[part].name : std::string_view{});
    type.sizes.push_back(part < kTypes.size() ? kTypes[part].size : std::uint16_t{0});
  }
  std::ranges::reverse(names);
  std::ranges::reverse(type.sizes);
  if (known)
    for (const std::string_view name : names) type.text.append(type.text.empty() ? "" : " . ").append(name);
  return type;
}

}  // namespace kubenatd::netlink::walk
