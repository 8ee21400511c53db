#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "netlink/core/batch.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/reader.h"
#include "rules/address.h"
#include "rules/chain_name.h"
#include "test/support/fake/kernel.h"

namespace kubenatd::agent::test {

/// iptables, ip6tables, iptables-save, ip6tables-save, nft and conntrack for the kernel in memory, as far as the cases
/// use them: what another program does to the same kernel, over a connection of its own.
///
/// Threading: one thread. Failure: std::runtime_error, also for everything that the real program knows and this one
/// does not. Cost: a dump of the tables concerned.
class FakePrograms {
 public:
  explicit FakePrograms(kubenatd::test::FakeKernel& kernel);

  /// What the program printed.
  std::string run(const std::vector<std::string>& words, const std::string& input);

 private:
  using Words = std::span<const std::string>;

  // fake_iptables.cpp
  std::string iptables(rules::Family family, const std::vector<std::string>& words);
  [[nodiscard]] std::string iptables_save(rules::Family family, Words words);
  [[nodiscard]] std::vector<netlink::iptables::LiveRule> rules_of(rules::Family family, rules::Table table,
                                                                  const std::string& chain);
  struct ChainState {
    std::string name;
    bool is_base = false;
    bool drops = false;
  };
  [[nodiscard]] std::vector<ChainState> chains_of(rules::Family family, rules::Table table);
  void make_builtin(netlink::Batch& batch, rules::Family family, rules::Table table, const std::string& chain);

  // fake_nft.cpp
  std::string nft(const std::vector<std::string>& words, const std::string& input);
  std::string nft_command(const std::vector<std::string>& words, bool with_handles);
  std::string nft_list(Words words, bool with_handles);
  void nft_element(const std::vector<std::string>& words, bool add);
  [[nodiscard]] std::string list_table(rules::Family family, const std::string& table, bool with_handles);
  [[nodiscard]] std::string list_rules(rules::Family family, const std::string& table, const std::string& chain,
                                       bool with_handles);
  [[nodiscard]] std::string list_set(rules::Family family, const std::string& set);
  void inet(std::uint16_t type, std::uint16_t flags, const std::string& table, const std::string& chain);

  // fake_conntrack.cpp
  std::string conntrack(Words words);

  void commit(netlink::Batch& batch, const std::string& what);

  kubenatd::test::FakeKernel& kernel_;
  kubenatd::test::ForeignWriter writer_;
  std::set<std::string> inet_tables_;
};

}  // namespace kubenatd::agent::test
