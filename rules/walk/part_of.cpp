#include "rules/walk/part_of.h"

#include <cstddef>
#include <variant>

namespace kubenatd::rules::walk {
namespace {

struct PartOf {
  std::optional<Family> family;
  Part operator()(const Payload& payload) const {
    const std::size_t end = payload.offset + payload.size;
    if (payload.base == Payload::Base::kTransport) {
      if (end <= 2) return Part::kSourcePort;
      return payload.offset >= 2 && end <= 4 ? Part::kDestinationPort : Part::kOther;
    }
    if (payload.base != Payload::Base::kNetwork || !family) return Part::kOther;
    const bool four = *family == Family::kIpv4;
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

Part part_of(const ExpressionPtr& expression, std::optional<Family> family) {
  return std::visit(PartOf{family}, expression->what);
}

}  // namespace kubenatd::rules::walk
