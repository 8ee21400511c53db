#include <linux/netfilter/nf_tables.h>

#include "netlink/core/attributes.h"
#include "netlink/core/batch.h"
#include "netlink/core/monitor.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/reader.h"
#include "netlink/walk/ruleset_reader.h"
#include "test/fuzz/fuzz_socket.h"
#include "test/fuzz/packets.h"

/// Whole conversations with nf_tables: dumps, notifications and answers to a transaction, as datagrams.
namespace kubenatd::fuzz {
namespace {

using netlink::NfTables;
using rules::Family;

void dump(NfTables& kernel) {
  const auto chain = [](const netlink::iptables::LiveChain& one) { require(one.name.size() < 65536, "a name"); };
  const auto rule = [](netlink::iptables::LiveRule& one) { (void)rules::jump_target(one.rule); };
  const auto restart = [] {};
  for (const auto& status :
       {netlink::iptables::dump_chains(kernel, Family::kIpv4, rules::Table::kNat, chain, restart),
        netlink::iptables::dump_rules(kernel, Family::kIpv4, rules::Table::kNat, {}, rule, restart)})
    if (!status) require_line(status.error());
}

void commit(NfTables& kernel) {
  netlink::Batch batch;
  batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ECHO, Family::kIpv4, 64, [](char* at) {
    netlink::AttributeWriter out(at);
    out.literal(NFTA_TABLE_NAME, "nat");
    return out.at();
  });
  const auto done = kernel.commit(batch, 5);
  if (done) return;
  require_line(done.error().error);
  require(done.error().refusals.size() < 1U << 16, "refusals are bounded");
}

}  // namespace

void check(std::string_view input) {
  const std::uint8_t choice = take_byte(input);
  if (choice % 4 == 3) {
    netlink::Monitor monitor(std::make_unique<FuzzSocket>(input));
    if (const auto drained = monitor.drain([](const netlink::TableEvent&) {}); !drained) require_line(drained.error());
    return;
  }
  const auto kernel = std::make_shared<NfTables>(std::make_unique<FuzzSocket>(input));
  if (choice % 4 == 2) return commit(*kernel);
  if (choice % 4 == 1) return dump(*kernel);
  const auto ruleset = netlink::walk::read_ruleset(kernel);
  if (!ruleset) {
    require_line(ruleset.error());
    return;
  }
  walk_all(*ruleset);
}

}  // namespace kubenatd::fuzz
