#include "rules/walk/xt/node_matches.h"

#include <algorithm>
#include <string>

namespace kubenatd::rules::walk::xt {
namespace {

Condition is_byte(ExpressionPtr left, std::uint8_t value, bool negate) {
  return {std::move(left), {{Bytes::network(value, 1), Bytes::network(value, 1)}}, negate, Part::kOther};
}

}  // namespace

Statement reverse_path(const ReversePath& options, std::string_view text) {
  if (options.accept_local) return Unjudged{std::string(text), Part::kOther};
  std::uint32_t flags = NFTA_FIB_F_SADDR | NFTA_FIB_F_PRESENT;
  if (!options.loose) flags |= NFTA_FIB_F_IIF;
  if (options.valid_mark) flags |= NFTA_FIB_F_MARK;
  return is_byte(make(Fib{NFT_FIB_RESULT_OIF, flags}), options.invert ? 0 : 1, false);
}

Statement ipsec_policy(bool inbound, bool none) {
  const ExpressionPtr there = inbound ? make(Meta{NFT_META_SECPATH}) : make(RouteField{NFT_RT_XFRM});
  return is_byte(there, none ? 0 : 1, false);
}

bool init_fits(ChunkMatch match, const std::array<bool, 256>& types) {
  constexpr std::size_t kInit = 1;
  switch (match) {
    case ChunkMatch::kAny: return types[kInit];
    case ChunkMatch::kOnly: return types[kInit];
    // Every chunk that is named must be there.
    case ChunkMatch::kAll: return std::ranges::count(types, true) == (types[kInit] ? 1 : 0);
  }
  return false;
}

}  // namespace kubenatd::rules::walk::xt
