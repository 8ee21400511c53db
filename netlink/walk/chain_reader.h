#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "rules/error.h"
#include "rules/walk/ruleset.h"

namespace kubenatd::netlink::walk {

/// What is called for each rule, with its chain.
using RuleVisitor = std::function<void(std::string_view chain, rules::walk::WalkRule&& rule)>;

/// Rules of one chain, or of all of the table when `chain` is empty, in their order. When other writers interrupt,
/// `restart` is called and all comes again; after some tries it counts all the same. What is not there has no rules.
///
/// Cost: the kernel finds one chain by hash (Linux 4.20); of a whole table it walks over all that it has dumped again
/// for each 32 KiB of answer (__nf_tables_dump_rules).
[[nodiscard]] rules::Status read_rules(NfTables& kernel, const rules::walk::WalkTable& table, std::string_view chain,
                                       const RuleVisitor& visit, const std::function<void()>& restart);

/// Names of the sets that rules of the table write into. Nothing but this is made of a rule.
[[nodiscard]] rules::Status read_written_sets(NfTables& kernel, const rules::walk::WalkTable& table,
                                              std::string_view chain,
                                              const std::function<void(std::string_view set)>& visit);

/// Names of very many chains, in little memory: 50 000 of kube-proxy's names take 1.5 MB.
class ChainNames {
 public:
  void add(std::string_view name);
  /// After the last add().
  void sort();
  [[nodiscard]] bool contains(std::string_view name) const;
  [[nodiscard]] bool has_like(std::string_view start) const;
  void for_each(const std::function<void(std::string_view name)>& visit) const;
  void clear();

 private:
  [[nodiscard]] std::string_view at(std::uint32_t start) const { return names_.data() + start; }
  /// The first name that is not before this one.
  [[nodiscard]] std::vector<std::uint32_t>::const_iterator first_from(std::string_view name) const;

  std::string names_;  ///< each with its NUL
  std::vector<std::uint32_t> starts_;
};

/// Chains of a kernel's table that are asked for one by one, while a packet is walked.
///
/// Threading: as of NfTables, which the element look-ups of the same Ruleset use, too. Failure: a chain that the kernel
/// does not give is `unread`; one that is gone meanwhile has no rules: Ruleset::is_current tells. Cost: one dump each.
class KernelChains final : public rules::walk::ChainsOnDemand {
 public:
  KernelChains(std::shared_ptr<NfTables> kernel, ChainNames names)
      : kernel_(std::move(kernel)), names_(std::move(names)) {}

  [[nodiscard]] bool has_like(std::string_view start) const override { return names_.has_like(start); }

 private:
  [[nodiscard]] std::optional<rules::walk::WalkChain> read(const rules::walk::WalkTable& table,
                                                           std::string_view name) override;

  std::shared_ptr<NfTables> kernel_;
  ChainNames names_;
};

}  // namespace kubenatd::netlink::walk
