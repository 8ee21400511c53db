#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>
#include <utility>

#include "netlink/core/monitor.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/reader.h"
#include "netlink/iptables/writer.h"
#include "netlink/nftables/codec.h"
#include "rules/nftables/ruleset.h"
#include "test/kernel/fake/random_transactions.h"
#include "test/kernel/fake/twin_socket.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"

using namespace kubenatd;
using namespace kubenatd::netlink::iptables;
using netlink::Batch;
using netlink::NfTables;
using rules::Family;
using rules::Table;

namespace {

constexpr Family kFamily = Family::kIpv4;
constexpr Table kNat = Table::kNat;

rules::Rule jump(const std::string& chain) {
  rules::Rule rule;
  rule.target = rules::Jump{chain, false};
  return rule;
}

/// Both kernels, with a monitor and a table of chains A and B.
struct Twins {
  test::TwinKernel twin;
  NfTables tables{twin.connect()};
  netlink::Monitor monitor{twin.connect()};

  Twins() {
    REQUIRE(monitor.join());
    Batch batch;
    add_table(batch, kFamily, kNat);
    for (const char* chain : {"A", "B"}) add_chain(batch, kFamily, kNat, chain);
    CHECK(commit(batch) == 0);
  }
  ~Twins() {
    REQUIRE(netlink::iptables::dump_rules(
        tables, kFamily, kNat, {}, [](netlink::iptables::LiveRule&) {}, [] {}));
    REQUIRE(monitor.drain([](const netlink::TableEvent&) {}));
    CHECK(twin.differences() == std::vector<std::string>{});
  }
  /// The errno.
  int commit(Batch& batch, std::optional<std::uint32_t> generation = {}) {
    const auto report = tables.commit(batch, generation);
    batch.clear();
    return report ? 0 : report.error().error.code;
  }
};

}  // namespace

TEST_CASE("Twins: what changes nothing makes no generation, and a stale one is refused") {
  if (!test::enter_beside_twin()) return;
  Twins twins;
  const std::uint32_t generation = twins.tables.generation().value();
  Batch batch;
  flush_chain(batch, kFamily, kNat, "A");
  add_table(batch, kFamily, kNat);
  CHECK(twins.commit(batch, generation) == 0);
  CHECK(twins.tables.generation().value() == generation);
  add_chain(batch, kFamily, kNat, "A");  // it is there, but this counts as a change
  CHECK(twins.commit(batch, generation) == 0);
  CHECK(twins.tables.generation().value() == generation + 1);
  add_chain(batch, kFamily, kNat, "C");
  CHECK(twins.commit(batch, generation) == ERESTART);
  CHECK(twins.tables.has_chain(kFamily, kNat, "C").value() == false);
}

TEST_CASE("A flag of tables that the kernel does not know is refused") {
  if (!test::enter_fresh_namespace()) return;
  NfTables tables{netlink::open_socket().value()};
  Batch batch;
  netlink::nftables::add_nft_table(batch, kFamily, 8);
  const auto report = tables.commit(batch, std::nullopt);
  REQUIRE_FALSE(report);
  // EOPNOTSUPP, as the kernel in memory does, on Linux 6.18; EINVAL on 7.2.
  const int code = report.error().error.code;
  CHECK((code == EOPNOTSUPP || code == EINVAL));
}

TEST_CASE("Twins: a table with an owner, an orphan, and what may become of either") {
  if (!test::enter_beside_twin()) return;
  Twins twins;
  using netlink::kTableDormant;
  using netlink::kTableOwner;
  using netlink::kTablePersist;
  using netlink::nftables::add_nft_table;
  constexpr std::uint32_t kBoth = kTableOwner | kTablePersist;
  const auto with = [&](NfTables& from, auto... write) {
    Batch batch;
    (write(batch), ...);
    const auto report = from.commit(batch, std::nullopt);
    return report ? 0 : report.error().error.code;
  };
  const auto flags = [](std::optional<std::uint32_t> value) {
    return [value](Batch& batch) { add_nft_table(batch, kFamily, value); };
  };
  const auto gone = [](Batch& batch) { netlink::nftables::delete_nft_table(batch, kFamily, rules::nftables::kTable); };
  const rules::nftables::Ruleset ruleset = rules::nftables::compile_ruleset({}, {});
  const auto base = std::ranges::find_if(ruleset.chains,
                                         [](const auto& chain) { return chain.hook != rules::nftables::Hook::kNone; });
  REQUIRE(base != ruleset.chains.end());
  const auto chain = [&](Batch& batch) { netlink::nftables::add_nft_chain(batch, kFamily, *base); };
  const auto rule = [&](Batch& batch) { netlink::nftables::flush_nft_chain(batch, kFamily, base->name); };
  const auto state = [&] { return twins.tables.table(kFamily, rules::nftables::kTable).value(); };

  std::optional<NfTables> owner(std::in_place, twins.twin.connect());
  if (!test::linux_is_from(7, 0)) CHECK(with(*owner, flags(8)) == EOPNOTSUPP);
  CHECK(with(*owner, flags(kBoth), chain) == 0);
  CHECK(state()->flags == kBoth);
  CHECK(state()->owner != 0);
  for (const std::optional<std::uint32_t> other : {std::optional<std::uint32_t>(), std::optional(kBoth)})
    CHECK(with(*owner, flags(other)) == 0);
  for (const std::uint32_t other : {0U, kTableOwner, kTablePersist}) CHECK(with(*owner, flags(other)) == EOPNOTSUPP);
  CHECK(with(twins.tables, flags(std::nullopt)) == EPERM);
  CHECK(with(twins.tables, flags(kBoth)) == EPERM);
  CHECK(with(twins.tables, gone) == EPERM);
  CHECK(with(twins.tables, rule) == EPERM);
  CHECK(with(*owner, rule) == 0);
  owner.reset();
  CHECK(state()->is_orphan());
  CHECK(state()->owner == 0);

  owner.emplace(twins.twin.connect());
  CHECK(with(twins.tables, rule) == 0);
  for (const std::uint32_t other : {0U, kTableOwner}) CHECK(with(*owner, flags(other)) == EOPNOTSUPP);
  CHECK(with(*owner, flags(kTablePersist | kTableDormant)) == 0);
  CHECK(with(*owner, flags(kBoth), flags(kBoth | kTableDormant)) == EOPNOTSUPP);
  CHECK(with(*owner, flags(kBoth), gone, gone) == ENOENT);
  CHECK(state()->is_orphan());
  CHECK(with(*owner, flags(kBoth)) == 0);
  CHECK(state()->flags == kBoth);
  CHECK(with(*owner, gone, flags(std::nullopt)) == 0);
  CHECK(state()->flags == 0);
  CHECK(with(*owner, flags(kBoth)) == EOPNOTSUPP);
  CHECK(with(*owner, gone, flags(kTablePersist)) == 0);
  // No base chain together with a change of the flags.
  CHECK(with(*owner, flags(kBoth), chain) == EINVAL);
  CHECK(with(*owner, gone, flags(kTableOwner), chain) == 0);
  owner.reset();
  CHECK_FALSE(state());
}

TEST_CASE("Twins: a rule that goes keeps its place until the end of the transaction") {
  if (!test::enter_beside_twin()) return;
  Twins twins;
  Batch batch;
  for (int i = 0; i < 3; ++i) add_rule(batch, kFamily, kNat, "A", jump("B"), {}, true);
  const auto report = twins.tables.commit(batch, std::nullopt);
  REQUIRE(report);
  const std::uint64_t middle = report->handles.at(1);
  batch.clear();
  delete_rule(batch, kFamily, kNat, "A", middle);
  add_rule(batch, kFamily, kNat, "A", jump("B"), Placement::after(middle), true);
  CHECK(twins.commit(batch) == 0);
  // The same with the whole chain, and once too often.
  const std::uint64_t last = report->handles.at(2);
  flush_chain(batch, kFamily, kNat, "A");
  add_rule(batch, kFamily, kNat, "A", jump("B"), Placement::before(last), true);
  CHECK(twins.commit(batch) == 0);
  delete_rule(batch, kFamily, kNat, "A", last);
  CHECK(twins.commit(batch) == ENOENT);
  add_rule(batch, kFamily, kNat, "A", jump("B"), Placement::after(last));
  CHECK(twins.commit(batch) == ENOENT);
}

TEST_CASE("Twins: jumps hold a chain, also its own ones, and to where none may lead") {
  if (!test::enter_beside_twin()) return;
  Twins twins;
  Batch batch;
  add_base_chain(batch, kFamily, kNat, "OUTPUT");
  add_rule(batch, kFamily, kNat, "A", jump("A"));
  add_rule(batch, kFamily, kNat, "B", jump("A"));
  CHECK(twins.commit(batch) == 0);
  delete_chain(batch, kFamily, kNat, "A");
  CHECK(twins.commit(batch) == EBUSY);
  flush_chain(batch, kFamily, kNat, "B");
  delete_chain(batch, kFamily, kNat, "A");
  CHECK(twins.commit(batch) == EBUSY);
  add_rule(batch, kFamily, kNat, "B", jump("OUTPUT"));
  CHECK(twins.commit(batch) == EOPNOTSUPP);
  add_rule(batch, kFamily, kNat, "B", jump("MISSING"));
  add_rule(batch, kFamily, kNat, "MISSING", jump("B"));
  CHECK(twins.commit(batch) == ENOENT);
  flush_chain(batch, kFamily, kNat, "B");
  flush_chain(batch, kFamily, kNat, "A");
  delete_chain(batch, kFamily, kNat, "A");
  add_chain(batch, kFamily, kNat, "A", true);
  CHECK(twins.commit(batch) == 0);
}

TEST_CASE("Twins: chains that lead too deep or in a circle") {
  if (!test::enter_beside_twin()) return;
  Twins twins;
  Batch batch;
  add_base_chain(batch, kFamily, kNat, "OUTPUT");
  for (int i = 0; i < 20; ++i) add_chain(batch, kFamily, kNat, fmt::format("D{}", i));
  for (int i = 0; i < 14; ++i) add_rule(batch, kFamily, kNat, fmt::format("D{}", i), jump(fmt::format("D{}", i + 1)));
  add_rule(batch, kFamily, kNat, "OUTPUT", jump("D0"));
  CHECK(twins.commit(batch) == 0);
  add_rule(batch, kFamily, kNat, "D14", jump("D15"));
  CHECK(twins.commit(batch) == EMLINK);
  add_rule(batch, kFamily, kNat, "D15", jump("D16"));
  CHECK(twins.commit(batch) == 0);
  add_rule(batch, kFamily, kNat, "A", jump("B"));
  add_rule(batch, kFamily, kNat, "B", jump("A"));
  CHECK(twins.commit(batch) == 0);  // no packet gets there
  add_rule(batch, kFamily, kNat, "OUTPUT", jump("A"));
  CHECK(twins.commit(batch) == EMLINK);
  add_chain(batch, kFamily, kNat, "C");
  add_rule(batch, kFamily, kNat, "D14", jump("D15"));
  flush_chain(batch, kFamily, kNat, "D3");
  CHECK(twins.commit(batch) == 0);
}

TEST_CASE("Twins: elements that are there with other data, in ranges and in the same transaction") {
  if (!test::enter_beside_twin()) return;
  using namespace rules::nftables;
  using namespace netlink::nftables;
  Twins twins;
  Batch batch;
  add_nft_table(batch, kFamily);
  for (const SetSpec& set : test::RandomTransactions::sets()) add_nft_set(batch, kFamily, set);
  CHECK(twins.commit(batch) == 0);

  const auto write = [&](ElementWriter::Change change, const ElementKey& key, int last) {
    ElementWriter writer(batch, kFamily, change);
    ElementValue value;
    if (last != 0) value.data.address(*rules::Address::parse(fmt::format("10.1.0.{}", last))).port(80);
    writer.write(key, value);
    writer.end();
  };
  using enum ElementWriter::Change;
  ElementKey key;
  key.set = {SetId::kEndpoints, 0};
  key.key.address(*rules::Address::parse("10.0.0.1")).protocol(rules::Protocol::kTcp).port(80);
  write(kAdd, key, 1);
  CHECK(twins.commit(batch) == 0);
  write(kAdd, key, 1);
  CHECK(twins.commit(batch) == EEXIST);
  write(kAdd, key, 2);
  CHECK(twins.commit(batch) == EEXIST);
  write(kRemove, key, 0);
  write(kAdd, key, 2);
  CHECK(twins.commit(batch) == 0);
  write(kRemove, key, 0);
  write(kRemove, key, 0);
  CHECK(twins.commit(batch) == ENOENT);
  write(kAdd, key, 0);
  CHECK(twins.commit(batch) == EINVAL);

  const auto range = [&](const char* address, std::uint8_t bits) {
    ElementKey source;
    source.set = {SetId::kSourceRanges, 0};
    source.key.address(*rules::Address::parse("10.0.0.1")).protocol(rules::Protocol::kTcp).port(80);
    source.key.address(*rules::Address::parse(address));
    source.range = bits;
    return source;
  };
  write(kAdd, range("10.1.0.0", 16), 0);
  CHECK(twins.commit(batch) == 0);
  write(kAdd, range("10.1.2.0", 8), 0);
  CHECK(twins.commit(batch) == EEXIST);
  write(kAdd, range("10.0.0.0", 24), 0);
  CHECK(twins.commit(batch) == 0);
  write(kRemove, range("10.1.0.0", 16), 0);
  twins.commit(batch);
  write(kRemove, range("10.0.0.0", 24), 0);
  twins.commit(batch);
  write(kRemove, range("10.0.0.0", 24), 0);
  twins.commit(batch);
  REQUIRE(twins.tables.dump_objects(
      kFamily, kTable, NFT_MSG_GETSETELEM, name_of(range("10.0.0.0", 8).set), [](std::string_view) {}, [] {}));
}

TEST_CASE("Twins: the whole ruleset of nftables mode, written, read, in use and deleted") {
  using namespace netlink::nftables;
  const auto ruleset_of = [](Family family) {
    rules::nftables::RulesetOptions options;
    options.node.family = family;
    return rules::nftables::compile_ruleset(options, {.timeouts = {10800}, .sizes = rules::nftables::kAllSizes});
  };
  const auto write = [](Batch& batch, Family family, const rules::nftables::Ruleset& ruleset) {
    add_nft_table(batch, family);
    for (const auto& set : ruleset.sets) add_nft_set(batch, family, set);
    for (const auto& chain : ruleset.chains) add_nft_chain(batch, family, chain);
    for (const auto& chain : ruleset.chains)
      for (const auto& rule : chain.rules) add_nft_rule(batch, family, chain.name, rule);
  };
  // The kernel runs a transaction again when it had to load modules for it, and each run takes a handle for the table
  // (Linux 7.2): so they are loaded before, in another namespace.
  if (!test::enter_fresh_namespace()) return;
  for (const Family family : rules::kFamilies) {
    Batch batch;
    write(batch, family, ruleset_of(family));
    REQUIRE(NfTables(netlink::open_socket().value()).commit(batch, std::nullopt));
  }
  if (!test::enter_beside_twin()) return;
  Twins twins;
  for (const Family family : rules::kFamilies) {
    const auto ruleset = ruleset_of(family);
    Batch batch;
    write(batch, family, ruleset);
    CHECK(twins.commit(batch) == 0);
    for (const std::uint16_t type : {NFT_MSG_GETCHAIN, NFT_MSG_GETRULE, NFT_MSG_GETSET})
      REQUIRE(twins.tables.dump_objects(
          family, rules::nftables::kTable, type, {}, [](std::string_view) {}, [] {}));
    std::size_t used = 0;
    for (const auto& set : ruleset.sets) {
      delete_nft_set(batch, family, set.name);
      used += twins.commit(batch) == EBUSY ? 1 : 0;
    }
    CHECK(used > ruleset.sets.size() / 2);
    delete_nft_table(batch, family, rules::nftables::kTable);
    CHECK(twins.commit(batch) == 0);
  }
}

TEST_CASE("Twins: a large flush with an echo overruns both") {
  if (!test::enter_beside_twin()) return;
  Twins twins;
  REQUIRE(twins.monitor.leave());
  Batch batch;
  for (int i = 0; i < 30'000; ++i) add_rule(batch, kFamily, kNat, "A", jump("B"));
  CHECK(twins.commit(batch) == 0);
  const auto read_overrun = [](netlink::Socket& socket) {
    const auto received = socket.poll();
    return received && received->kind == netlink::Received::Kind::kOverrun;
  };
  auto real = netlink::open_socket();
  auto fake = twins.twin.fake().connect();
  REQUIRE(real);
  REQUIRE(fake);
  for (netlink::Socket* socket : {real->get(), fake->get()}) {
    socket->grow_receive_buffer(1024 * 1024);
    // Begin, flush with echo, end: as NfTables sends it.
    const auto message = [](std::uint16_t type, std::uint16_t flags, std::uint8_t family, std::uint16_t resource,
                            std::uint32_t sequence, std::string_view attributes) {
      const nlmsghdr header{static_cast<std::uint32_t>(20 + attributes.size()), type, flags, sequence, 0};
      std::string text(reinterpret_cast<const char*>(&header), sizeof header);
      text.append({static_cast<char>(family), 0, static_cast<char>(resource >> 8), static_cast<char>(resource)});
      return text.append(attributes);
    };
    using namespace std::string_view_literals;
    constexpr std::string_view kNames = "\x08\0\x01\0nat\0\x06\0\x02\0A\0\0\0"sv;
    CHECK(socket->send(message(16, 1, 0, 10, 1, {}) + message(10 << 8 | NFT_MSG_DELRULE, 1 | 8 | 4, 2, 0, 2, kNames) +
                       message(17, 1, 0, 0, 3, {})));
    CHECK(read_overrun(*socket));
  }
}
