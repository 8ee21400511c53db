#include <cerrno>
#include <utility>
#include <vector>

#include "agent/dataplane/nftables/sync.h"
#include "netlink/nftables/codec.h"

/// What NftablesSync does with elements that the kernel refuses.
namespace kubenatd::agent::dataplane::nftables {

using namespace rules::nftables;

NftablesSync::Owner NftablesSync::owner_of(const rules::Refusal& refusal) const {
  if (refusal.object.kind != rules::ObjectRef::Kind::kElement || refusal.attributes.empty()) return {};
  const Ruleset ruleset = wanted_.elements.ruleset();
  for (const SetSpec& set : ruleset.sets) {
    if (set.name != refusal.object.name) continue;
    const ElementKey key = netlink::nftables::read_nft_element(refusal.attributes, set.ref).key;
    if (auto pod = wanted_.elements.host_port_owner_of(key)) return {.port = {}, .pod = std::move(pod)};
    return {.port = wanted_.elements.owner_of(key), .pod = {}};
  }
  return {};
}

bool NftablesSync::is_trial(const rules::Refusal& refusal) const {
  const Owner owner = owner_of(refusal);
  return (owner.pod && wanted_.refused_pods.is_on_trial(*owner.pod)) ||
         (owner.port && wanted_.refused_ports.is_on_trial(*owner.port));
}

bool NftablesSync::take_out(const std::vector<rules::Refusal>& refusals, SyncReport& report) {
  // Before any of them is taken out: a frontend of one may then be another's.
  std::vector<Owner> owners;
  for (const rules::Refusal& refusal : refusals) owners.push_back(owner_of(refusal));
  bool any = false;
  for (std::size_t i = 0; i < refusals.size(); ++i) any = take_out(refusals[i], owners[i], report) || any;
  return any;
}

bool NftablesSync::take_out(const rules::Refusal& refusal, const Owner& owner, SyncReport& report) {
  if (const auto chain = rules::ChainName::from(refusal.object.name);
      refusal.code == EBUSY && refusal.object.table == name_of(rules::Table::kNat) && chain) {
    report.emptied.push_back(rules::chain_ref(family_, refusal.object.table, refusal.object.name));
    return takeover_.keep({rules::Table::kNat, *chain});
  }
  if (refusal.object.kind == rules::ObjectRef::Kind::kElement && refusal.attributes.empty() &&
      packing_ == BatchPlanWriter::Packing::kFull) {
    // Linux 5.10 does not say which one of a message it refuses; of a message with one element there is no doubt.
    packing_ = BatchPlanWriter::Packing::kSingle;
    return true;
  }
  if (owner.pod) {
    wanted_.host_ports.refuse(*owner.pod);
    if (wanted_.refused_pods.add(*owner.pod, refusal, request_.now))
      report.refused.push_back({RefusedObject::Kind::kPod, *owner.pod, refusal});
  } else if (owner.port) {
    wanted_.elements.refuse(*owner.port);
    if (wanted_.refused_ports.add(*owner.port, refusal, request_.now))
      report.refused.push_back({RefusedObject::Kind::kServicePort, owner.port->first, refusal});
  } else {
    not_taken_out_ = refusal;
    return false;
  }
  return true;
}

}  // namespace kubenatd::agent::dataplane::nftables
