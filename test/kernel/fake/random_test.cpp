#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <catch2/catch.hpp>

#include "netlink/core/monitor.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/reader.h"
#include "rules/nftables/ruleset.h"
#include "test/kernel/fake/random_transactions.h"
#include "test/kernel/fake/twin_socket.h"

using namespace kubenatd;
using netlink::NfTables;
using rules::Family;
using rules::Table;

namespace {

/// Reads everything in every way that the project has.
void read_all(NfTables& tables) {
  const auto nothing = [](std::string_view /*attributes*/) {};
  for (const Family family : rules::kFamilies) {
    for (const Table table : {Table::kFilter, Table::kNat}) {
      REQUIRE(tables.has_table(family, table));
      REQUIRE(tables.has_chain(family, table, "KUBE-1"));
      REQUIRE(netlink::iptables::dump_chains(
          tables, family, table, [](const netlink::iptables::LiveChain&) {}, [] {}));
      REQUIRE(netlink::iptables::dump_rules(
          tables, family, table, {}, [](netlink::iptables::LiveRule&) {}, [] {}));
      REQUIRE(netlink::iptables::dump_rules(
          tables, family, table, "KUBE-1", [](netlink::iptables::LiveRule&) {}, [] {}));
    }
    for (const std::uint16_t type : {NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET})
      REQUIRE(tables.dump_objects(family, rules::nftables::kTable, type, {}, nothing, [] {}));
    for (const auto& set : test::RandomTransactions::sets())
      REQUIRE(tables.dump_objects(family, rules::nftables::kTable, NFT_MSG_GETSETELEM, set.name, nothing, [] {}));
  }
  REQUIRE(tables.generation());
}

struct Outcome {
  int committed = 0, refused = 0;
};

Outcome run(std::uint32_t seed, int transactions, bool heard) {
  test::TwinKernel twin;
  NfTables tables(twin.connect());
  netlink::Monitor monitor(twin.connect());
  if (heard) REQUIRE(monitor.join());
  test::RandomTransactions random(seed);
  Outcome outcome;
  netlink::Batch batch;
  for (int i = 0; i < transactions; ++i) {
    batch.clear();
    // Long ones are mostly refused: short ones take the state on.
    random.fill(batch, random.below(3) == 0 ? 12 : 2);
    std::optional<std::uint32_t> generation;
    if (random.below(4) == 0) generation = tables.generation().value() - (random.below(4) == 0 ? 1 : 0);
    const auto report = tables.commit(batch, generation);
    ++(report ? outcome.committed : outcome.refused);
    REQUIRE(monitor.drain([](const netlink::TableEvent&) {}));
    if (i % 5 == 0) read_all(tables);
    INFO(fmt::format("seed {}, transaction {}", seed, i));
    if (!twin.differences().empty()) FAIL(twin.differences().front());
  }
  INFO(fmt::format("{} committed, {} refused, {} messages compared", outcome.committed, outcome.refused,
                   twin.compared()));
  CHECK(twin.compared() > static_cast<std::size_t>(transactions));
  return outcome;
}

}  // namespace

TEST_CASE("Fake and kernel answer alike to random transactions") {
  const std::uint32_t seed = GENERATE(range(1U, 7U));
  if (!test::enter_beside_twin()) return;
  const Outcome outcome = run(seed, 250, seed % 2 == 0);
  CHECK(outcome.committed > 20);
  CHECK(outcome.refused > 20);
}
