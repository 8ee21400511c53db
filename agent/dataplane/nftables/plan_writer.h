#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "netlink/nftables/codec.h"
#include "rules/nftables/plan.h"

namespace kubenatd::agent::dataplane::nftables {

/// Writes the steps of a plan to a transaction.
///
/// Threading: one thread. Failure: none. Cost: a message a step, but elements share messages as the packing says.
/// finish() has to be called at the end.
class BatchPlanWriter final : public rules::nftables::PlanWriter {
 public:
  using Packing = netlink::nftables::ElementWriter::Packing;
  /// `table_flags`: as add_nft_table() has them.
  BatchPlanWriter(netlink::Batch& batch, rules::Family family, std::optional<std::uint32_t> table_flags = std::nullopt,
                  Packing packing = Packing::kFull);

  void delete_table() override;
  void create_table() override;
  void create_set(const rules::nftables::SetSpec& set) override;
  void create_flowtable(const rules::nftables::FlowtableSpec& flowtable) override;
  void create_chain(const rules::nftables::Chain& chain) override;
  void flush_chain(std::string_view chain) override;
  void add_rule(std::string_view chain, const rules::nftables::NftRule& rule) override;
  void delete_chain(std::string_view chain) override;
  void delete_set(std::string_view set) override;
  void delete_flowtable(std::string_view flowtable) override;
  void remove_element(const rules::nftables::ElementKey& key) override { removed_.write(key); }
  void add_element(const rules::nftables::ElementKey& key, const rules::nftables::ElementValue& value) override {
    added_.write(key, value);
  }
  void all_removed() override { removed_.end(); }

  void finish() { added_.end(); }
  [[nodiscard]] std::size_t elements() const { return removed_.elements() + added_.elements(); }

 private:
  netlink::Batch& batch_;
  rules::Family family_;
  std::optional<std::uint32_t> table_flags_;
  netlink::nftables::ElementWriter removed_;
  netlink::nftables::ElementWriter added_;
};

}  // namespace kubenatd::agent::dataplane::nftables
