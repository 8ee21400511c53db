#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/dataplane/nftables/kernel_features.h"
#include "agent/dataplane/nftables/sync.h"

/// What NftablesSync does when the kernel refuses a transaction.
namespace kubenatd::agent::dataplane::nftables {

using namespace rules::nftables;

rules::Result<Outcome> NftablesSync::after_failure(const netlink::CommitFailure& failure, SyncReport& report) {
  if (failure.generation_changed) return Outcome::kAgain;
  audit_ = true;
  // Somebody made what we were about to make, or removed what we were about to remove. Nobody's elements are at fault.
  const auto is_overtaken = [](const rules::Refusal& refusal) {
    return refusal.code == EEXIST || (refusal.code == ENOENT && rules::is_delete(refusal.operation));
  };
  if (std::ranges::any_of(failure.refusals, is_overtaken)) return Outcome::kAgain;
  // Our picture may have been old: look again first.
  if (!failure.refusals.empty() && !std::exchange(failed_before_, true)) return Outcome::kAgain;
  if (take_out(failure, report)) return Outcome::kAgain;
  failed_before_ = false;
  rules::Error error = failure.error;
  if (const std::string missing = missing_feature(error, family_); !missing.empty()) error.cause += "; " + missing;
  return std::unexpected(std::move(error));
}

bool NftablesSync::take_out(const netlink::CommitFailure& failure, SyncReport& report) {
  const Ruleset wanted = desired_.ruleset();
  bool some_taken_out = false;
  for (const rules::Refusal& refusal : failure.refusals) {
    const auto set = std::ranges::find(wanted.sets, refusal.object.name, &SetSpec::name);
    if (refusal.object.kind != rules::ObjectRef::Kind::kElement || set == wanted.sets.end() ||
        refusal.attributes.empty())
      continue;
    const ElementKey key = netlink::nftables::read_nft_element(refusal.attributes, set->ref).key;
    if (const auto pod = desired_.host_port_owner_of(key)) {
      host_ports_.refuse(*pod);
      report.problems.push_back(
          fmt::format("host ports of Pod {}: refused by the kernel: {}", *pod, rules::to_error(refusal).to_string()));
    } else if (const auto owner = desired_.owner_of(key)) {
      desired_.refuse(*owner);
      report.problems.push_back(
          fmt::format("{}: refused by the kernel: {}", owner->first, rules::to_error(refusal).to_string()));
    } else {
      continue;
    }
    some_taken_out = true;
  }
  return some_taken_out;
}

}  // namespace kubenatd::agent::dataplane::nftables
