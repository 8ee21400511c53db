#include "netlink/walk/verdict.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <cstdint>
#include <string>

#include "netlink/walk/expression_attributes.h"

namespace kubenatd::netlink::walk {

using rules::walk::ToVerdict;
using rules::walk::Verdict;

std::optional<ToVerdict> read_verdict(std::string_view bytes) {
  const ExpressionAttributes attributes(bytes);
  if (!attributes.has(NFTA_VERDICT_CODE)) return std::nullopt;
  const auto code = static_cast<std::int32_t>(attributes.be32(NFTA_VERDICT_CODE));
  switch (code) {
    case NFT_CONTINUE: return ToVerdict{Verdict::kContinue, {}};
    case NFT_RETURN: return ToVerdict{Verdict::kReturn, {}};
    case NFT_JUMP: return ToVerdict{Verdict::kJump, std::string(attributes.text(NFTA_VERDICT_CHAIN))};
    case NFT_GOTO: return ToVerdict{Verdict::kGoto, std::string(attributes.text(NFTA_VERDICT_CHAIN))};
    default: break;
  }
  if (code < 0) return std::nullopt;
  // Above the verdict's own bits are an errno or the number of a queue.
  switch (code & NF_VERDICT_MASK) {
    case NF_ACCEPT: return ToVerdict{Verdict::kAccept, {}};
    case NF_DROP: return ToVerdict{Verdict::kDrop, {}};
    case NF_STOLEN: return ToVerdict{Verdict::kStolen, {}};
    case NF_QUEUE:
      return ToVerdict{(code & NF_VERDICT_FLAG_QUEUE_BYPASS) != 0 ? Verdict::kQueueBypass : Verdict::kQueue, {}};
    default: return std::nullopt;
  }
}

}  // namespace kubenatd::netlink::walk
