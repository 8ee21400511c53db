#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/writer.h"
#include "netlink/nftables/codec.h"
#include "test/kernel/netlink/raw_rules.h"
#include "test/kernel/netlink/tables.h"
#include "test/support/linux_release.h"
#include "test/support/netns.h"

// What the kernel answers to a transaction: little, whatever its first message does; and when it is lost, what became
// of the transaction is looked up.

using namespace kubenatd;
using netlink::Batch;
using netlink::NfTables;
using netlink::Received;
using netlink::Socket;
using rules::Family;
using rules::Table;
using test::kFamily;
using test::kNat;
using test::must_commit;

namespace {

/// What a test does to the answers of the kernel.
struct Watch {
  std::size_t received = 0;     ///< bytes
  bool lose_answers = false;    ///< of the next message that is sent; they count as an overrun
  bool lose_message = false;    ///< the next one does not reach the kernel
  int receive_buffer = 0;       ///< bytes that the socket has whatever it asks for
  std::function<void()> later;  ///< done after the next message has been sent
};

/// The kernel's socket, with a hand on it.
class WatchedSocket final : public Socket {
 public:
  WatchedSocket(std::unique_ptr<Socket> socket, Watch& watch) : socket_(std::move(socket)), watch_(watch) {}

  [[nodiscard]] int fd() const override { return socket_->fd(); }
  [[nodiscard]] std::uint32_t port_id() const override { return socket_->port_id(); }
  void grow_send_buffer(std::size_t bytes) override { socket_->grow_send_buffer(bytes); }
  void grow_receive_buffer(std::size_t bytes) override {
    if (watch_.receive_buffer == 0) return socket_->grow_receive_buffer(bytes);
    REQUIRE(setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &watch_.receive_buffer, sizeof watch_.receive_buffer) == 0);
  }
  [[nodiscard]] rules::Status join(unsigned group) override { return socket_->join(group); }
  [[nodiscard]] rules::Status leave(unsigned group) override { return socket_->leave(group); }
  [[nodiscard]] rules::Status send(std::string_view bytes) override {
    // Questions, above all for the generation, are not what is lost.
    if (bytes.size() < sizeof(nlmsghdr) || reinterpret_cast<const nlmsghdr*>(bytes.data())->nlmsg_type != kBegin)
      return socket_->send(bytes);
    if (!std::exchange(watch_.lose_message, false))
      if (auto sent = socket_->send(bytes); !sent) return sent;
    if (std::exchange(watch_.lose_answers, false)) {
      socket_->drain();
      overrun_ = true;
    }
    if (const auto later = std::exchange(watch_.later, nullptr)) later();
    return {};
  }
  [[nodiscard]] rules::Result<Received> receive() override { return note(socket_->receive()); }
  [[nodiscard]] rules::Result<Received> poll() override {
    if (std::exchange(overrun_, false)) return Received{Received::Kind::kOverrun, {}};
    return note(socket_->poll());
  }
  void drain() override { socket_->drain(); }

 private:
  static constexpr std::uint16_t kBegin = 0x10;  // NFNL_MSG_BATCH_BEGIN

  rules::Result<Received> note(rules::Result<Received> received) {
    if (received) watch_.received += received->data.size();
    return received;
  }

  std::unique_ptr<Socket> socket_;
  Watch& watch_;
  bool overrun_ = false;
};

NfTables open_watched(Watch& watch) {
  auto socket = netlink::open_socket();
  if (!socket) FAIL(socket.error().to_string());
  return NfTables(std::make_unique<WatchedSocket>(std::move(*socket), watch));
}

void add_rules(Batch& batch, int count, bool echo = false) {
  for (int i = 0; i < count; ++i)
    netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", fmt::format("{}", i)), {},
                                echo);
}

void make_rules(NfTables& tables, int count) {
  Batch batch;
  netlink::iptables::add_table(batch, kFamily, kNat);
  for (const char* chain : {"KUBE-A", "KUBE-T"}) netlink::iptables::add_chain(batch, kFamily, kNat, chain);
  add_rules(batch, count);
  must_commit(tables, batch);
}

std::size_t rules_now() {
  return test::raw_rules(kFamily, kNat, "KUBE-A").size();
}

void change_by_another() {
  test::must_run({"nft", "add", "table", "ip", "foreign"});
}

/// Of the acknowledgement and the generation; an echo of one object fits, too.
constexpr std::size_t kSmallAnswer = 1024;

}  // namespace

TEST_CASE("A transaction that begins with the flush of a chain of 5 000 rules is answered in a few bytes") {
  if (!test::enter_fresh_namespace()) return;
  Watch watch;
  NfTables tables = open_watched(watch);
  make_rules(tables, 5'000);
  const std::uint32_t before = tables.generation().value();
  const bool guarded = GENERATE(true, false);
  Batch batch;
  netlink::iptables::flush_chain(batch, kFamily, kNat, "KUBE-A");
  watch.received = 0;
  const auto report = must_commit(tables, batch, guarded ? std::optional(before) : std::nullopt);
  CHECK(watch.received < kSmallAnswer);
  CHECK(report.generation == before + 1);
  CHECK(tables.generation().value() == before + 1);
  CHECK(rules_now() == 0);
  // Nothing is left to flush: the kernel starts no generation.
  CHECK(must_commit(tables, batch, before + 1).generation == before + 1);
}

TEST_CASE("A chain with 8 000 rules that loses one is written anew, and the commit tells so") {
  if (!test::enter_fresh_namespace()) return;
  Watch watch;
  NfTables tables = open_watched(watch);
  make_rules(tables, 8'000);
  const std::uint32_t before = tables.generation().value();
  Batch batch;
  netlink::iptables::flush_chain(batch, kFamily, kNat, "KUBE-A");
  add_rules(batch, 7'999);
  watch.received = 0;
  CHECK(must_commit(tables, batch, before).generation == before + 1);
  CHECK(watch.received < kSmallAnswer);
  CHECK(rules_now() == 7'999);
  // By handle, as for a chain that is changed rule by rule.
  batch.clear();
  netlink::iptables::delete_rule(batch, kFamily, kNat, "KUBE-A",
                                 test::raw_rules(kFamily, kNat, "KUBE-A")[4'000].handle);
  CHECK(must_commit(tables, batch, before + 1).generation == before + 2);
  CHECK(rules_now() == 7'998);
}

TEST_CASE("Whatever large thing a transaction begins with is not echoed") {
  if (!test::enter_fresh_namespace()) return;
  Watch watch;
  NfTables tables = open_watched(watch);
  test::must_run(
      {"nft", "add table ip kubenatd; add set ip kubenatd s { type ipv4_addr . inet_proto . inet_service; }"});
  Batch batch;
  const auto add = [&](std::uint16_t type, std::uint16_t flags, std::string_view table, std::string_view name) {
    batch.add(type, flags, kFamily, 512, [&](char* at) {
      netlink::AttributeWriter out(at);
      out.text(NFTA_TABLE_NAME, table);
      if (!name.empty()) out.text(NFTA_CHAIN_NAME, name);
      return out.at();
    });
  };
  SECTION("a chain that goes with its rules") {
    std::string text = "add table ip own\nadd chain ip own c\n";
    for (int i = 0; i < 5'000; ++i) text += fmt::format("add rule ip own c tcp dport {} accept\n", i + 1);
    test::must_run({"nft", "-f", "-"}, text);
    // NFTA_CHAIN_NAME is 3; NFTA_RULE_CHAIN, of a flush, is 2.
    add(NFT_MSG_DELCHAIN, 0, "own", "c");
  }
  SECTION("a table with its rules") {
    make_rules(tables, 5'000);
    add(NFT_MSG_DELTABLE, 0, "nat", {});
  }
  SECTION("1 000 elements of a set, and the same ones taken away") {
    test::must_run({"nft", "add set ip kubenatd many { type ipv4_addr; }"});
    const auto elements = [&](std::uint16_t type) {
      batch.add(type, NLM_F_CREATE, kFamily, 64'000, [&](char* at) {
        netlink::AttributeWriter out(at);
        out.text(NFTA_SET_ELEM_LIST_TABLE, "kubenatd");
        out.text(NFTA_SET_ELEM_LIST_SET, "many");
        char* list = out.open();
        for (std::uint32_t i = 0; i < 1'000; ++i) {
          char* element = out.open();
          char* key = out.open();
          out.be32(NFTA_DATA_VALUE, 0x0a000000 + i);
          out.close(key, NFTA_SET_ELEM_KEY);
          out.close(element, NFTA_LIST_ELEM);
        }
        out.close(list, NFTA_SET_ELEM_LIST_ELEMENTS);
        return out.at();
      });
    };
    elements(NFT_MSG_NEWSETELEM);
    const std::uint32_t before = tables.generation().value();
    watch.received = 0;
    CHECK(must_commit(tables, batch, before).generation == before + 1);
    CHECK(watch.received < kSmallAnswer);
    batch.clear();
    elements(NFT_MSG_DELSETELEM);
  }
  const std::uint32_t before = tables.generation().value();
  watch.received = 0;
  CHECK(must_commit(tables, batch, before).generation == before + 1);
  CHECK(watch.received < kSmallAnswer);
  CHECK(tables.generation().value() == before + 1);
}

TEST_CASE("What a transaction begins with is refused in a table that is not there, and no table is left") {
  if (!test::enter_fresh_namespace()) return;
  Watch watch;
  NfTables tables = open_watched(watch);
  Batch batch;
  rules::Operation operation = rules::Operation::kNone;
  SECTION("flush") {
    netlink::iptables::flush_chain(batch, kFamily, kNat, "KUBE-A");
    operation = rules::Operation::kDeleteRule;
  }
  SECTION("rule") {
    netlink::iptables::add_rule(batch, kFamily, kNat, "KUBE-A", test::jump_rule("KUBE-T", "x"));
    operation = rules::Operation::kAddRule;
  }
  SECTION("chain") {
    netlink::nftables::delete_nft_chain(batch, kFamily, "KUBE-A");
    operation = rules::Operation::kDeleteChain;
  }
  SECTION("table") {
    netlink::iptables::delete_table(batch, kFamily, kNat);
    operation = rules::Operation::kDeleteTable;
  }
  const std::uint32_t before = tables.generation().value();
  const auto refused = tables.commit(batch, before);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().error.code == ENOENT);
  CHECK_FALSE(refused.error().unknown);
  REQUIRE(refused.error().refusals.size() == 1);
  CHECK(refused.error().refusals[0].operation == operation);
  CHECK(test::must_run({"nft", "list", "tables"}).empty());
  CHECK(tables.generation().value() == before);
}

TEST_CASE("A table that another program owns refuses what a transaction begins with, once") {
  KUBENATD_NEEDS_LINUX(5, 12, "tables with an owner");
  if (!test::enter_fresh_namespace()) return;
  Watch watch;
  NfTables tables = open_watched(watch), owner = open_watched(watch);
  Batch batch;
  batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, kFamily, 64, [&](char* at) {
    netlink::AttributeWriter out(at);
    out.text(NFTA_TABLE_NAME, "nat");
    out.be32(NFTA_TABLE_FLAGS, 2);  // NFT_TABLE_F_OWNER
    return out.at();
  });
  netlink::iptables::add_chain(batch, kFamily, kNat, "KUBE-A");
  must_commit(owner, batch);
  batch.clear();
  netlink::iptables::flush_chain(batch, kFamily, kNat, "KUBE-A");
  const auto refused = tables.commit(batch, std::nullopt);
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().refusals.size() == 1);
  CHECK(refused.error().error.to_string() == "ip nat KUBE-A: delete rule: Operation not permitted");
}

TEST_CASE("When the kernel's answers are lost, the outcome of a transaction is looked up") {
  if (!test::enter_fresh_namespace()) return;
  Watch watch;
  NfTables tables = open_watched(watch);
  make_rules(tables, 1);
  const std::uint32_t before = tables.generation().value();
  Batch batch;
  SECTION("it was applied") {
    const bool guarded = GENERATE(true, false);
    add_rules(batch, 2, true);
    watch.lose_answers = true;
    const auto report = must_commit(tables, batch, guarded ? std::optional(before) : std::nullopt);
    CHECK(report.generation == before + 1);
    CHECK(report.handles.empty());
    CHECK(rules_now() == 3);
  }
  SECTION("it was not applied") {
    const bool guarded = GENERATE(true, false);
    add_rules(batch, 2, true);
    watch.lose_message = watch.lose_answers = true;
    const auto failed = tables.commit(batch, guarded ? std::optional(before) : std::nullopt);
    REQUIRE_FALSE(failed);
    CHECK_FALSE(failed.error().unknown);
    CHECK(failed.error().error.code == ENOBUFS);
    CHECK(rules_now() == 1);
    CHECK(must_commit(tables, batch, before).handles.size() == 2);
  }
  SECTION("another writer has changed something since") {
    const bool guarded = GENERATE(true, false);
    add_rules(batch, 2, true);
    watch.lose_answers = true;
    watch.later = change_by_another;
    const auto failed = tables.commit(batch, guarded ? std::optional(before) : std::nullopt);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().unknown);
    CHECK(failed.error().error.to_string() == "nf_tables: commit: the kernel's answer was lost");
    CHECK(rules_now() == 3);
  }
  SECTION("nothing is known of before") {
    add_rules(batch, 2);
    watch.lose_answers = true;
    const auto failed = tables.commit(batch, std::nullopt);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().unknown);
  }
}

TEST_CASE("Echoes that do not fit into a tiny receive buffer lose the handles, not the outcome") {
  if (!test::enter_fresh_namespace()) return;
  Watch watch;
  watch.receive_buffer = 8 * 1024;
  NfTables tables = open_watched(watch);
  make_rules(tables, 0);
  const std::uint32_t before = tables.generation().value();
  const bool guarded = GENERATE(true, false);
  Batch batch;
  add_rules(batch, 500, true);
  const auto report = must_commit(tables, batch, guarded ? std::optional(before) : std::nullopt);
  CHECK(report.generation == before + 1);
  CHECK(report.handles.empty());
  CHECK(rules_now() == 500);
  batch.clear();
  netlink::iptables::flush_chain(batch, kFamily, kNat, "KUBE-A");
  CHECK(must_commit(tables, batch, before + 1).generation == before + 2);
  CHECK(rules_now() == 0);
}
