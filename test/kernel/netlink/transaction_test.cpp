#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <vector>

#include "netlink/iptables/reader.h"
#include "netlink/iptables/writer.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/kernel/netlink/tables.h"
#include "test/support/netns.h"

using namespace kubenatd;
using namespace test;
using netlink::Batch;
using netlink::NfTables;
using netlink::iptables::Placement;
using rules::Family;
using rules::Table;

TEST_CASE("Base chains are hooked where iptables hooks them") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  Batch batch;
  for (const Family family : rules::kFamilies) {
    for (const Table table : {Table::kFilter, Table::kNat, Table::kMangle}) {
      netlink::iptables::add_table(batch, family, table);
      for (const char* chain : {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}) {
        const std::string_view name = chain;
        if (table == Table::kFilter && (name == "PREROUTING" || name == "POSTROUTING")) continue;
        if (table == Table::kNat && name == "FORWARD") continue;
        netlink::iptables::add_base_chain(batch, family, table, chain);
      }
    }
  }
  must_commit(tables, batch);
  const std::string ours = test::must_run({"nft", "list", "ruleset"});
  batch.clear();
  for (const Family family : rules::kFamilies)
    for (const Table table : {Table::kFilter, Table::kNat, Table::kMangle})
      netlink::iptables::delete_table(batch, family, table);
  must_commit(tables, batch);
  // A rule in every chain makes iptables create it; taking the rules away leaves the bare chains.
  for (const Family family : rules::kFamilies) {
    std::string text;
    for (const auto& [table, chains] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"filter", {"INPUT", "FORWARD", "OUTPUT"}},
             {"nat", {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}},
             {"mangle", {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}}}) {
      text += fmt::format("*{}\n", table);
      for (const std::string& chain : chains) text += fmt::format("-A {} -j ACCEPT\n-D {} -j ACCEPT\n", chain, chain);
      text += "COMMIT\n";
    }
    test::must_run({test::tool(family, "-restore")}, text);
  }
  const std::string theirs = test::must_run({"nft", "list", "ruleset"});
  CHECK(ours == theirs);
  CHECK_THAT(ours, Catch::Contains("type nat hook postrouting priority srcnat; policy accept;"));
}

TEST_CASE("Rules go where they are put, and echo gives their handles in order") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  make_chains(tables, {"KUBE-A", "KUBE-T"});
  Batch batch;
  for (const char* comment : {"b", "d"})
    netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", comment), Placement::last(),
                                true);
  const auto first = must_commit(tables, batch);
  REQUIRE(first.handles.size() == 2);
  batch.clear();
  const auto add = [&](const char* comment, Placement placement) {
    netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", comment), placement, true);
  };
  add("a", Placement::first());
  add("c", Placement::before(first.handles[1]));
  add("bb", Placement::after(first.handles[0]));
  add("e", Placement::last());
  const auto second = must_commit(tables, batch, first.generation);
  CHECK(comments(tables, "KUBE-A") == std::vector<std::string>{"a", "b", "bb", "c", "d", "e"});
  REQUIRE(second.handles.size() == 4);
  const auto live = test::raw_rules(kFamily, kNat, "KUBE-A");
  CHECK(second.handles == std::vector<std::uint64_t>{live[0].handle, live[3].handle, live[2].handle, live[5].handle});
  batch.clear();
  netlink::iptables::delete_rule(batch, kFamily, kNat, "KUBE-A", second.handles[1]);
  must_commit(tables, batch);
  CHECK(comments(tables, "KUBE-A") == std::vector<std::string>{"a", "b", "bb", "d", "e"});
}

TEST_CASE("A commit tells the kernel's generation, also when nothing had to change") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  make_chains(tables, {"KUBE-A"});
  const std::uint32_t before = tables.generation().value();
  Batch batch;
  CHECK(must_commit(tables, batch).generation == before);
  netlink::iptables::flush_chain(batch, kFamily, kNat, "KUBE-A");  // empty already
  CHECK(must_commit(tables, batch, before).generation == tables.generation().value());
  batch.clear();
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-B");
  CHECK(must_commit(tables, batch, before).generation == before + 1);
  CHECK(tables.generation().value() == before + 1);
  batch.clear();
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-C");
  CHECK(must_commit(tables, batch).generation == before + 2);
}

TEST_CASE("A transaction built for another generation is refused whole and can be sent again") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  make_chains(tables, {"KUBE-A"});
  const std::uint32_t seen = tables.generation().value();
  test::must_run({"iptables", "-t", "nat", "-N", "FOREIGN"});
  Batch batch;
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-B");
  const auto refused = tables.commit(batch, seen);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().generation_changed);
  CHECK(refused.error().error.code == ERESTART);
  CHECK(tables.has_chain(kFamily, kNat, "KUBE-B").value() == false);
  must_commit(tables, batch, tables.generation().value());
  CHECK(tables.has_chain(kFamily, kNat, "KUBE-B").value() == true);
}

TEST_CASE("Every refused message is named, and nothing of the transaction stays") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  make_chains(tables, {"KUBE-A", "KUBE-T"});
  Batch batch;
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-NEW");
  netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", "fine"));
  netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-MISSING", "bad"));
  netlink::iptables::delete_chain(batch, kFamily, kNat, "KUBE-GONE");
  netlink::iptables::delete_rule(batch, kFamily, kNat, "KUBE-T", 4711);
  netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", "fine"));
  const auto refused = tables.commit(batch, std::nullopt);
  REQUIRE_FALSE(refused);
  const netlink::CommitFailure& failure = refused.error();
  CHECK_FALSE(failure.generation_changed);
  REQUIRE(failure.refusals.size() == 3);
  CHECK(failure.refusals[0].object.name == "KUBE-A");
  CHECK(failure.refusals[0].object.table == "nat");
  CHECK(to_text(failure.refusals[0].object) == "ip nat KUBE-A");
  CHECK(failure.refusals[0].operation == rules::Operation::kAddRule);
  CHECK(failure.refusals[0].code == ENOENT);
  CHECK(cause_of(failure.refusals[0]) == "No such file or directory (expression immediate, -j KUBE-MISSING)");
  CHECK(to_error(failure.refusals[1]).to_string() == "ip nat KUBE-GONE: delete chain: No such file or directory");
  CHECK(to_error(failure.refusals[2]).to_string() == "ip nat KUBE-T: delete rule: No such file or directory");
  CHECK(failure.error.to_string() == to_error(failure.refusals[0]).to_string());
  CHECK(tables.has_chain(kFamily, kNat, "KUBE-NEW").value() == false);
  CHECK(comments(tables, "KUBE-A").empty());
}

TEST_CASE("An x_tables extension that the kernel refuses is named") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  make_chains(tables, {"KUBE-A"});
  rules::Rule rule;
  rule.matches = {rules::NfacctMatch{"no_such_counter"}};
  Batch batch;
  netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", rule);
  const auto refused = tables.commit(batch, std::nullopt);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().error.to_string(),
             Catch::StartsWith("ip nat KUBE-A: add rule: ") && Catch::EndsWith("(expression match nfacct)"));
}

TEST_CASE("A rule that cannot be written fails the commit with its chain and is not sent") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  make_chains(tables, {"KUBE-A"});
  rules::Rule rule;
  rule.opaque = "someone else's";
  Batch batch;
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-B");
  netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", rule);
  const auto refused = tables.commit(batch, std::nullopt);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error.object == "ip nat KUBE-A");
  CHECK(tables.has_chain(kFamily, kNat, "KUBE-B").value() == false);
  batch.clear();
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-B");
  CHECK(tables.commit(batch, std::nullopt));
}

TEST_CASE("Deleting a chain that has rules or is jumped to is refused") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  make_chains(tables, {"KUBE-A", "KUBE-T"});
  Batch batch;
  netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", "x"));
  must_commit(tables, batch);
  for (const char* chain : {"KUBE-A", "KUBE-T"}) {
    batch.clear();
    netlink::iptables::delete_chain(batch, kFamily, kNat, chain);
    const auto refused = tables.commit(batch, std::nullopt);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().error.code == EBUSY);
  }
  batch.clear();
  netlink::iptables::flush_chain(batch, kFamily, kNat, "KUBE-A");
  netlink::iptables::delete_chain(batch, kFamily, kNat, "KUBE-T");
  netlink::iptables::delete_chain(batch, kFamily, kNat, "KUBE-A");
  must_commit(tables, batch);
  CHECK(chain_names(tables, kNat).empty());
}

TEST_CASE("Flushing and writing a chain anew leaves the others alone") {
  if (!test::enter_fresh_namespace()) return;
  test::must_run({"iptables-restore"},
                 "*nat\n:FOREIGN - [0:0]\n:KUBE-A - [0:0]\n:KUBE-T - [0:0]\n"
                 "-A PREROUTING -j FOREIGN\n-A FOREIGN -p tcp -m tcp --sport 1 -j RETURN\n"
                 "-A KUBE-A -m comment --comment old -j KUBE-T\nCOMMIT\n");
  NfTables tables = open_tables();
  const auto foreign = test::raw_rules(kFamily, kNat, "FOREIGN");
  Batch batch;
  netlink::iptables::add_table(batch, kFamily, kNat);
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-A");
  netlink::iptables::flush_chain(batch, kFamily, kNat, "KUBE-A");
  netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", "new"));
  must_commit(tables, batch, tables.generation().value());
  CHECK(comments(tables, "KUBE-A") == std::vector<std::string>{"new"});
  const auto after = test::raw_rules(kFamily, kNat, "FOREIGN");
  REQUIRE(after.size() == 1);
  CHECK(after[0].handle == foreign[0].handle);
  CHECK(after[0].expressions == foreign[0].expressions);
}

TEST_CASE("20 000 rules go in one transaction, come back in order and echo their handles") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  constexpr int kRules = 20'000;
  Batch batch;
  netlink::iptables::add_table(batch, kFamily, kNat);
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-T");
  for (int i = 0; i < kRules; ++i) {
    if (i % 100 == 0) netlink::iptables::add_chain(batch, kFamily, kNat, fmt::format("KUBE-{}", i / 100));
    netlink::iptables::add_rule(batch, kFamily, kNat, fmt::format("KUBE-{}", i / 100),
                                test::jump_rule("KUBE-T", fmt::format("{}", i)), {}, true);
  }
  CHECK(batch.messages() == 20'202);
  CHECK(batch.bytes() > kRules * 300);
  const auto report = must_commit(tables, batch);
  REQUIRE(report.handles.size() == kRules);
  std::vector<std::uint64_t> handles;
  std::vector<std::string> seen;
  const auto status = netlink::iptables::dump_rules(
      tables, kFamily, kNat, "",
      [&](netlink::iptables::LiveRule& live) {
        handles.push_back(live.handle);
        seen.emplace_back(rules::comment_of(live.rule));
      },
      [] {});
  REQUIRE(status);
  REQUIRE(handles == report.handles);
  bool in_order = true;
  for (int i = 0; i < kRules; ++i) in_order = in_order && seen[static_cast<std::size_t>(i)] == std::to_string(i);
  CHECK(in_order);
  CHECK(chain_names(tables, kNat).size() == 201);
  batch.release();
  CHECK(batch.empty());
  CHECK(batch.capacity() == 0);
}

TEST_CASE("Batches are appended to each other and errors still find their message") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables = open_tables();
  Batch batch, more;
  netlink::iptables::add_table(batch, kFamily, kNat);
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-A");
  netlink::iptables::add_chain(more, kFamily, kNat, "KUBE-B");
  netlink::iptables::add_rule(more, kFamily, kNat, "KUBE-B", test::jump_rule("KUBE-A", "x"), {}, true);
  batch.append(more);
  batch.append(Batch());
  CHECK(batch.messages() == 4);
  CHECK(must_commit(tables, batch).handles.size() == 1);
  Batch whole;
  whole.append(more);
  netlink::iptables::delete_chain(whole, kFamily, kNat, "KUBE-GONE");
  const auto refused = tables.commit(whole, std::nullopt);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error.object == "ip nat KUBE-GONE");
}
