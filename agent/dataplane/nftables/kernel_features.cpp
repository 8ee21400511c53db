#include "agent/dataplane/nftables/kernel_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
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
    {"ct", "CONFIG_NFT_CT", "CONFIG_NFT_CT", "3.13"},
};

}  // namespace

std::string missing_feature(const rules::Error& refusal, rules::Family family) {
  if (refusal.operation == "create table" && (refusal.code == EAFNOSUPPORT || refusal.code == EOPNOTSUPP)) {
    return fmt::format("the kernel lacks {}",
                       family == rules::Family::kIpv4 ? "CONFIG_NF_TABLES_IPV4" : "CONFIG_NF_TABLES_IPV6");
  }
  if (refusal.operation == "create set" && refusal.code == EOPNOTSUPP)
    return "the kernel lacks sets of concatenated ranges (Linux 5.6 and later)";
  if (refusal.operation != "add rule" || (refusal.code != ENOENT && refusal.code != EOPNOTSUPP)) return {};
  for (const Feature& feature : kFeatures) {
    const std::string named = fmt::format("expression {}", feature.expression);
    const std::size_t at = refusal.cause.find(named);
    if (at == std::string::npos) continue;
    const std::size_t end = at + named.size();
    if (end < refusal.cause.size() && refusal.cause[end] >= 'a' && refusal.cause[end] <= 'z') continue;
    return fmt::format("the kernel lacks {} (Linux {} and later)",
                       family == rules::Family::kIpv4 ? feature.option4 : feature.option6, feature.version);
  }
  return {};
}

}  // namespace kubenatd::agent::dataplane::nftables
