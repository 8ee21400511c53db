#include "rules/hostport/known_pods.h"

#include <fmt/format.h>

#include <algorithm>

namespace kubenatd::rules::hostport {
namespace {

/// Translation to an address alone leaves the port as it is.
std::uint16_t target_port(const Claim& claim) {
  return claim.target_port != 0 ? claim.target_port : claim.port;
}

}  // namespace

Verdict judge(const Claim& claim, const KnownPods& pods) {
  if (!claim.target) return Verdict::kUnknown;
  const auto is_it = [&](const Mapping& mapping) {
    return overlap(mapping, claim.protocol, claim.port, claim.address);
  };
  if (std::ranges::any_of(pods.holders, [&](const KnownPods::Holder& holder) {
        return holder.address == *claim.target && holder.mapping.container_port == target_port(claim) &&
               is_it(holder.mapping);
      }))
    return Verdict::kServes;
  if (std::ranges::none_of(pods.ranges, [&](const Prefix& range) { return range.contains(*claim.target); }))
    return Verdict::kUnknown;
  return std::ranges::any_of(pods.unsettled, is_it) ? Verdict::kUnsettled : Verdict::kDead;
}

std::string fault_of(const Claim& claim) {
  return fmt::format("leads to {}, where no Pod of this node has that hostPort",
                     claim.target ? join_host_port(*claim.target, target_port(claim)) : "nobody");
}

}  // namespace kubenatd::rules::hostport
