#include "netlink/walk/parts.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <cstddef>
#include <span>

namespace kubenatd::netlink::walk {

using namespace rules::walk;

namespace {

struct PartOf {
  std::optional<std::uint8_t> family;
  Part operator()(const Payload& payload) const {
    const std::size_t end = payload.offset + payload.size;
    if (payload.base == Payload::Base::kTransport) {
      if (end <= 2) return Part::kSourcePort;
      return payload.offset >= 2 && end <= 4 ? Part::kDestinationPort : Part::kOther;
    }
    if (payload.base != Payload::Base::kNetwork || !family) return Part::kOther;
    const bool four = *family == NFPROTO_IPV4;
    const std::size_t source = four ? 12 : 8;
    const std::size_t destination = four ? 16 : 24;
    const std::size_t behind = four ? 20 : 40;
    if (payload.offset >= source && end <= destination) return Part::kSource;
    if (payload.offset >= destination && end <= behind) return Part::kDestination;
    return payload.offset == (four ? 9 : 6) && payload.size == 1 ? Part::kProtocol : Part::kOther;
  }
  Part operator()(const Meta& meta) const {
    switch (meta.key) {
      case NFT_META_MARK: return Part::kMark;
      case NFT_META_IIF:
      case NFT_META_IIFNAME:
      case NFT_META_IIFGROUP:
      case NFT_META_IIFTYPE:
      case NFT_META_IIFKIND: return Part::kInInterface;
      case NFT_META_OIF:
      case NFT_META_OIFNAME:
      case NFT_META_OIFGROUP:
      case NFT_META_OIFTYPE:
      case NFT_META_OIFKIND: return Part::kOutInterface;
      case NFT_META_L4PROTO:
      case NFT_META_NFPROTO:
      case NFT_META_PROTOCOL: return Part::kProtocol;
      default: return Part::kOther;
    }
  }
  Part operator()(const Ct& ct) const { return ct.key == NFT_CT_STATE ? Part::kState : Part::kOther; }
  Part operator()(const Fib& fib) const {
    if (fib.result != NFT_FIB_RESULT_ADDRTYPE) return Part::kOther;
    return (fib.flags & NFTA_FIB_F_SADDR) != 0 ? Part::kSourceType : Part::kDestinationType;
  }
  Part operator()(const Bits& bits) const { return part_of(bits.of, family); }
  Part operator()(const Swap& swap) const { return part_of(swap.of, family); }
  Part operator()(const Shift& shift) const { return part_of(shift.of, family); }
  Part operator()(const Slice& slice) const { return part_of(slice.of, family); }
  Part operator()(const Concat& concat) const {
    return concat.parts.size() == 1 ? part_of(concat.parts.front(), family) : Part::kOther;
  }
  Part operator()(const auto& /*other*/) const { return Part::kOther; }
};

}  // namespace

Part part_of(const ExpressionPtr& expression, std::optional<std::uint8_t> family) {
  return std::visit(PartOf{family}, expression->what);
}

std::optional<std::uint16_t> end_of_field(Payload::Base base, std::uint16_t offset,
                                          std::optional<std::uint8_t> family) {
  static constexpr std::uint16_t kPorts[] = {2, 4};
  static constexpr std::uint16_t kIp[] = {1, 2, 4, 6, 8, 9, 10, 12, 16, 20};
  static constexpr std::uint16_t kIp6[] = {4, 6, 7, 8, 24, 40};
  std::span<const std::uint16_t> ends;
  if (base == Payload::Base::kTransport) ends = kPorts;
  if (base == Payload::Base::kNetwork && family == NFPROTO_IPV4) ends = kIp;
  if (base == Payload::Base::kNetwork && family == NFPROTO_IPV6) ends = kIp6;
  const auto end = std::ranges::upper_bound(ends, offset);
  if (end == ends.end()) return std::nullopt;
  return *end;
}

}  // namespace kubenatd::netlink::walk
