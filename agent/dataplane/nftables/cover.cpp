#include "agent/dataplane/nftables/cover.h"

#include <algorithm>
#include <cerrno>
#include <variant>

#include "agent/dataplane/nftables/plan_writer.h"
#include "netlink/nftables/codec.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;

/// Everything but the flowtable: connections can do without it for that moment.
Plan plan_of(const Ruleset& ruleset) {
  Plan plan;
  plan.everything = true;
  plan.new_sets = ruleset.sets;
  plan.new_chains = ruleset.chains;
  for (Chain& chain : plan.new_chains)
    std::erase_if(chain.rules, [](const NftRule& rule) {
      return std::ranges::any_of(rule.statements,
                                 [](const Statement& one) { return std::holds_alternative<AddToFlowtable>(one); });
    });
  plan.rewritten = plan.new_chains;
  return plan;
}

}  // namespace

void Cover::put_up(NfSession& session, const SyncSteps::Stage& stage, const Ruleset& ruleset,
                   const DesiredElements& desired) {
  if (!take_down(session)) return;
  netlink::Batch batch;
  BatchPlanWriter writer(batch, family_, netlink::kTableOwner);
  write(plan_of(ruleset), desired, writer);
  writer.finish();
  netlink::Batch moved = batch.in_table(kCoverTable);
  const auto committed = stage(moved);
  is_up_ = committed.has_value() || committed.error().unknown;
}

rules::Status Cover::take_down(NfSession& session) {
  if (!is_up_) return {};
  netlink::Batch batch;
  netlink::nftables::delete_nft_table(batch, family_, kCoverTable);
  const auto committed = session.commit(batch, false);
  if (!committed && committed.error().error.code != ENOENT) return std::unexpected(committed.error().error);
  is_up_ = false;
  return {};
}

}  // namespace kubenatd::agent::dataplane::nftables
