#include "agent/dataplane/nftables/plan_writer.h"

namespace kubenatd::agent::dataplane::nftables {

using netlink::nftables::ElementWriter;

BatchPlanWriter::BatchPlanWriter(netlink::Batch& batch, rules::Family family, std::optional<std::uint32_t> table_flags,
                                 ElementWriter::Packing packing)
    : batch_(batch),
      family_(family),
      table_flags_(table_flags),
      removed_(batch, family, ElementWriter::Change::kRemove, packing),
      added_(batch, family, ElementWriter::Change::kAdd, packing) {}

void BatchPlanWriter::delete_table() {
  netlink::nftables::delete_nft_table(batch_, family_, rules::nftables::kTable);
}

void BatchPlanWriter::create_table() {
  netlink::nftables::add_nft_table(batch_, family_, table_flags_);
}

void BatchPlanWriter::create_set(const rules::nftables::SetSpec& set) {
  netlink::nftables::add_nft_set(batch_, family_, set);
}

void BatchPlanWriter::create_flowtable(const rules::nftables::FlowtableSpec& flowtable) {
  netlink::nftables::add_nft_flowtable(batch_, family_, flowtable);
}

void BatchPlanWriter::create_chain(const rules::nftables::Chain& chain) {
  netlink::nftables::add_nft_chain(batch_, family_, chain);
}

void BatchPlanWriter::flush_chain(std::string_view chain) {
  netlink::nftables::flush_nft_chain(batch_, family_, chain);
}

void BatchPlanWriter::add_rule(std::string_view chain, const rules::nftables::NftRule& rule) {
  netlink::nftables::add_nft_rule(batch_, family_, chain, rule);
}

void BatchPlanWriter::delete_chain(std::string_view chain) {
  netlink::nftables::delete_nft_chain(batch_, family_, chain);
}

void BatchPlanWriter::delete_set(std::string_view set) {
  netlink::nftables::delete_nft_set(batch_, family_, set);
}

void BatchPlanWriter::delete_flowtable(std::string_view flowtable) {
  netlink::nftables::delete_nft_flowtable(batch_, family_, flowtable);
}

}  // namespace kubenatd::agent::dataplane::nftables
