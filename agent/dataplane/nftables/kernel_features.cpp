#include "agent/dataplane/nftables/kernel_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <string_view>

namespace kubenatd::agent::dataplane::nftables {
namespace {

/// An expression, the option that it is built with, and the first kernel whose form of it is used here.
struct Feature {
  std::string_view expression;
  std::string_view option4;
  std::string_view option6;
  std::string_view version;
};
constexpr Feature kFeatures[] = {
    {"nat", "CONFIG_NFT_NAT", "CONFIG_NFT_NAT", "3.13"},
    {"masq", "CONFIG_NFT_MASQ", "CONFIG_NFT_MASQ", "3.18"},
    {"reject", "CONFIG_NFT_REJECT_IPV4", "CONFIG_NFT_REJECT_IPV6", "3.14"},
    {"fib", "CONFIG_NFT_FIB_IPV4", "CONFIG_NFT_FIB_IPV6", "4.10"},
    {"numgen", "CONFIG_NFT_NUMGEN", "CONFIG_NFT_NUMGEN", "4.9"},
    {"hash", "CONFIG_NFT_HASH", "CONFIG_NFT_HASH", "4.9"},
    {"ct", "CONFIG_NFT_CT", "CONFIG_NFT_CT", "3.13"},
};

}  // namespace

std::string missing_feature(const rules::Refusal& refusal) {
  using rules::Operation;
  const bool ipv4 = refusal.object.family == rules::Family::kIpv4;
  const bool unsupported = refusal.code == EOPNOTSUPP;
  switch (refusal.operation) {
    case Operation::kCreateTable:
      if (!unsupported && refusal.code != EAFNOSUPPORT) return {};
      return fmt::format("the kernel lacks {}", ipv4 ? "CONFIG_NF_TABLES_IPV4" : "CONFIG_NF_TABLES_IPV6");
    case Operation::kCreateSet:
      return unsupported ? "the kernel lacks sets of concatenated ranges (Linux 5.6 and later)" : "";
    case Operation::kAddRule: break;
    default: return {};
  }
  if (!unsupported && refusal.code != ENOENT) return {};
  const auto feature = std::ranges::find(kFeatures, refusal.expression, &Feature::expression);
  if (feature == std::end(kFeatures)) return {};
  return fmt::format("the kernel lacks {} (Linux {} and later)", ipv4 ? feature->option4 : feature->option6,
                     feature->version);
}

}  // namespace kubenatd::agent::dataplane::nftables
