#include "rules/walk/key_sizes.h"

#include <linux/netfilter/nf_tables.h>

namespace kubenatd::rules::walk {
namespace {

constexpr std::size_t kNameSize = 16;  // IFNAMSIZ, NF_CT_HELPER_NAME_LEN
// Newer than the headers of Linux 6.1.
constexpr std::uint32_t kMetaBridgeBroute = 35;
constexpr std::uint32_t kMetaBridgeHardware = 37;

}  // namespace

std::size_t size_of_meta(std::uint32_t key) {
  switch (key) {
    case NFT_META_PROTOCOL:
    case NFT_META_IIFTYPE:
    case NFT_META_OIFTYPE:
    case NFT_META_BRI_IIFPVID:
    case NFT_META_BRI_IIFVPROTO: return 2;
    case NFT_META_NFPROTO:
    case NFT_META_L4PROTO:
    case NFT_META_PKTTYPE:
    case NFT_META_NFTRACE:
    case NFT_META_SECPATH:
    case NFT_META_TIME_DAY:
    case kMetaBridgeBroute: return 1;
    case NFT_META_IIFNAME:
    case NFT_META_OIFNAME:
    case NFT_META_IIFKIND:
    case NFT_META_OIFKIND:
    case NFT_META_BRI_IIFNAME:
    case NFT_META_BRI_OIFNAME:
    case NFT_META_SDIFNAME: return kNameSize;
    case kMetaBridgeHardware: return 6;
    case NFT_META_TIME_NS: return 8;
    default: return 4;
  }
}

std::size_t size_of_ct(std::uint32_t key, std::size_t address_size) {
  switch (key) {
    case NFT_CT_DIRECTION:
    case NFT_CT_L3PROTOCOL:
    case NFT_CT_PROTOCOL: return 1;
    case NFT_CT_PROTO_SRC:
    case NFT_CT_PROTO_DST:
    case NFT_CT_ZONE: return 2;
    case NFT_CT_PKTS:
    case NFT_CT_BYTES:
    case NFT_CT_AVGPKT: return 8;
    case NFT_CT_HELPER:
    case NFT_CT_LABELS: return kNameSize;
    case NFT_CT_SRC:
    case NFT_CT_DST: return address_size;
    case NFT_CT_SRC_IP6:
    case NFT_CT_DST_IP6: return 16;
    default: return 4;
  }
}

std::size_t size_of_fib(std::uint32_t result, std::uint32_t flags) {
  if ((flags & NFTA_FIB_F_PRESENT) != 0) return 1;
  return result == NFT_FIB_RESULT_OIFNAME ? kNameSize : 4;
}

std::size_t size_of_socket(std::uint32_t key) {
  switch (key) {
    case NFT_SOCKET_TRANSPARENT:
    case NFT_SOCKET_WILDCARD: return 1;
    case NFT_SOCKET_CGROUPV2: return 8;
    default: return 4;
  }
}

std::size_t size_of_route(std::uint32_t key) {
  switch (key) {
    case NFT_RT_NEXTHOP6: return 16;
    case NFT_RT_TCPMSS: return 2;
    case NFT_RT_XFRM: return 1;
    default: return 4;
  }
}

}  // namespace kubenatd::rules::walk
