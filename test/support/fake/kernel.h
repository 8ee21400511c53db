#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/dataplane/kernel.h"
#include "netlink/core/nf_tables.h"
#include "netlink/core/socket.h"
#include "netlink/host/conntrack.h"
#include "rules/error.h"
#include "rules/rule.h"
#include "test/support/fake/core.h"
#include "test/support/fake/faults.h"

namespace kubenatd::test {

/// A kernel in memory: nf_tables and connection tracking, without rights and with what can go wrong on order.
///
/// Purpose: its sockets speak the same netlink as Linux 6.18, so that NfTables, Monitor and all above them run on it
/// unchanged; test/kernel/fake compares both, message by message. What it does not know: whether an expression makes
/// sense (only its name, jumps and sets count), x_tables' own checks, anonymous sets, timeouts, counters.
/// Threading: any. Failure: the orders below. Cost: one pass over what is sent; no events without a listener.
class FakeKernel final : public agent::dataplane::Kernel {
 public:
  FakeKernel();

  // --- the seam

  [[nodiscard]] rules::Result<std::unique_ptr<netlink::Socket>> connect() override;
  [[nodiscard]] rules::Result<netlink::host::ConntrackSweep> sweep_flows(
      rules::Family family, std::uint8_t protocol,
      const std::function<bool(const netlink::host::ConntrackFlow&)>& stale) override;
  /// It has no routes.
  [[nodiscard]] std::optional<bool> is_local(const rules::Address&) override { return std::nullopt; }

  /// A socket of another program: events carry its port id, process id and name.
  [[nodiscard]] std::unique_ptr<netlink::Socket> connect_as(std::uint32_t process_id, std::string process_name);

  // --- what goes wrong; `times` may be kForever

  using MessageTest = fake::Faults::MessageTest;
  using ElementTest = fake::Faults::ElementTest;
  /// Refuses messages of transactions, look-ups and dumps.
  void refuse(MessageTest test, int code, std::size_t times = 1);
  /// Refuses the message with such an element; the answer points at it.
  void refuse_element(ElementTest test, int code, std::size_t times = 1);
  /// Refuses rules with that expression ("fib", "match recent", "target MASQUERADE"); the answer points at it.
  void refuse_expression(std::string name, int code, std::size_t times = 1);
  void forget_refusals();
  /// Everything is answered with EPERM.
  void withhold_rights(bool withheld = true);
  /// The transaction as a whole: ERESTART, ENOMEM, ...
  void fail_next_commit(int code, std::size_t times = 1);
  /// The kernel never sees what is sent.
  void fail_next_send(int code, std::size_t times = 1);
  void fail_next_sweep(int code, std::size_t times = 1);
  /// The transaction is carried out, but its events are lost in an overrun.
  void lose_next_events(std::size_t times = 1);
  /// The transaction is carried out or refused, but only the first `kept` answers come; the rest is an overrun.
  void lose_next_answers(std::size_t kept = 0, std::size_t times = 1);
  void interrupt_dumps(std::size_t times);
  /// Flags of tables that it knows (NFT_TABLE_F_*): as Linux 5.10 0x1, 6.1 0x3, from 6.9 on 0x7.
  void know_table_flags(std::uint32_t flags);
  /// Refusals do not say which attribute is at fault, as those of elements by Linux 5.10.
  void hide_positions();
  /// Called once, before the next transaction is looked at: the place for another writer.
  void before_next_commit(std::function<void()> call);

  // --- what is there

  struct LiveRule {
    std::uint64_t handle = 0;
    rules::Rule rule;
    std::string expressions;
    bool operator==(const LiveRule&) const = default;
  };
  struct LiveElement {
    std::string key, key_end;  ///< values
    std::string attributes;    ///< what NFTA_LIST_ELEM holds, for netlink::nftables::read_nft_element
  };
  [[nodiscard]] std::uint32_t generation() const;
  [[nodiscard]] std::vector<std::string> tables(rules::Family family) const;
  [[nodiscard]] std::vector<std::string> chains(rules::Family family, std::string_view table) const;
  [[nodiscard]] bool has_chain(rules::Family family, std::string_view table, std::string_view chain) const;
  [[nodiscard]] std::vector<LiveRule> rules_of(rules::Family family, std::string_view table,
                                               std::string_view chain) const;
  [[nodiscard]] std::vector<std::string> sets(rules::Family family, std::string_view table) const;
  /// By key.
  [[nodiscard]] std::vector<LiveElement> elements(rules::Family family, std::string_view table,
                                                  std::string_view set) const;
  /// What was asked of it since the start, by anyone.
  [[nodiscard]] fake::Core::Counts counts() const;

  void add_flow(const netlink::host::ConntrackFlow& flow);
  [[nodiscard]] std::vector<netlink::host::ConntrackFlow> flows() const;

 private:
  [[nodiscard]] const fake::Table* find(rules::Family family, std::string_view table) const;

  std::shared_ptr<fake::Core> core_;
};

/// Another program that edits nf_tables of the fake.
///
/// Threading: one thread. Failure: as NfTables. Cost: as NfTables.
class ForeignWriter {
 public:
  explicit ForeignWriter(FakeKernel& kernel, std::uint32_t process_id = 4711, std::string process_name = "iptables");

  [[nodiscard]] netlink::NfTables& tables() { return tables_; }
  [[nodiscard]] std::uint32_t port_id() const { return tables_.port_id(); }
  [[nodiscard]] std::expected<netlink::CommitReport, netlink::CommitFailure> write(netlink::Batch& batch) {
    return tables_.commit(batch, std::nullopt);
  }

 private:
  netlink::NfTables tables_;
};

}  // namespace kubenatd::test
