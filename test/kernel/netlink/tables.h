#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netlink/core/nf_tables.h"
#include "netlink/iptables/reader.h"
#include "netlink/iptables/writer.h"

namespace kubenatd::test {

inline constexpr rules::Family kFamily = rules::Family::kIpv4;
inline constexpr rules::Table kNat = rules::Table::kNat;

/// A conversation with the kernel of the test's own namespace; a test without one has failed.
inline netlink::NfTables open_tables() {
  auto tables = netlink::NfTables::open();
  if (!tables) FAIL(tables.error().to_string());
  return std::move(*tables);
}

inline netlink::CommitReport must_commit(netlink::NfTables& tables, netlink::Batch& batch,
                                         std::optional<std::uint32_t> generation = {}) {
  auto report = tables.commit(batch, generation);
  if (!report) FAIL(report.error().error.to_string());
  return std::move(*report);
}

/// kFamily, kNat.
inline void make_chains(netlink::NfTables& tables, const std::vector<std::string>& chains) {
  netlink::Batch batch;
  netlink::iptables::add_table(batch, kFamily, kNat);
  for (const std::string& chain : chains) netlink::iptables::add_chain(batch, kFamily, kNat, chain);
  must_commit(tables, batch);
}

/// Comments of the chain's rules in order. kFamily, kNat.
inline std::vector<std::string> comments(netlink::NfTables& tables, const std::string& chain) {
  std::vector<std::string> found;
  const auto status = netlink::iptables::dump_rules(
      tables, kFamily, kNat, chain,
      [&](netlink::iptables::LiveRule& live) { found.emplace_back(rules::comment_of(live.rule)); },
      [&] { found.clear(); });
  if (!status) FAIL(status.error().to_string());
  return found;
}

/// kFamily.
inline std::vector<std::string> chain_names(netlink::NfTables& tables, rules::Table table) {
  std::vector<std::string> found;
  const auto status = netlink::iptables::dump_chains(
      tables, kFamily, table, [&](const netlink::iptables::LiveChain& chain) { found.emplace_back(chain.name); },
      [&] { found.clear(); });
  if (!status) FAIL(status.error().to_string());
  return found;
}

}  // namespace kubenatd::test
