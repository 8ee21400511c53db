#include "agent/objects/decoders.h"

namespace kubenatd::agent::objects {

ServiceCidr decode_service_cidr(const Field& root, ObjectKey key) {
  ServiceCidr ranges;
  ranges.key = std::move(key);
  for (const Field& element : root.member("spec").member("cidrs").elements())
    if (const auto prefix = element.prefix(Wrong::kRefuse)) ranges.cidrs.push_back(*prefix);
  return ranges;
}

}  // namespace kubenatd::agent::objects
