#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netlink/core/batch.h"
#include "netlink/core/messages.h"
#include "netlink/core/socket.h"
#include "rules/change.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::netlink {

/// A chain as the kernel lists it. Views are valid only during the callback.
struct LiveChain {
  std::string_view name;
  bool is_base = false;      ///< has a hook
  bool policy_drop = false;  ///< of a base chain: packets without a verdict are dropped
  std::uint32_t use = 0;     ///< rules in it plus references to it (NFTA_CHAIN_USE)
};

/// A rule as the kernel lists it. Valid only during the callback.
struct LiveRule {
  std::string_view chain;
  std::uint64_t handle = 0;
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  rules::Rule rule;  ///< may be moved from
};

/// Why a transaction failed. Unless `unknown`, nothing of it has been applied.
struct CommitFailure {
  rules::Error error;                    ///< the first, or the only one
  bool generation_changed = false;       ///< another writer came between (ERESTART): look again and retry
  bool unknown = false;                  ///< whether it was applied could not be found out: look before anything else
  std::vector<rules::Refusal> refusals;  ///< every message that the kernel refused
};

struct CommitReport {
  std::uint32_t generation = 0;  ///< expected generation after the commit: the given one + 1 when one was given
  /// Of the rules added with echo, in the order of adding. None when an answer was lost.
  std::vector<std::uint64_t> handles;
};

/// What to do when other writers interrupt a dump again and again.
enum class Interrupted : std::uint8_t {
  kRepeat,  ///< it fails in the end
  /// After some tries it counts all the same, for a caller who hears of every change from the monitor: a chain that
  /// changed meanwhile may have been read in the middle of it. A list of chains from which others are deleted meanwhile
  /// may lack one; but then two lists were read, and what both gave together lacks none in practice.
  kAccept,
};

/// Reads and writes nf_tables in the network namespace in which it was opened.
///
/// Purpose: the only way in which kubenatd talks to nf_tables, besides the event monitor.
/// Threading: one thread at a time; every call blocks until the kernel has answered.
/// Failure: errors carry errno and the kernel's extended ack; EINTR and ENOBUFS on the socket are retried inside, an
/// interrupted dump (NLM_F_DUMP_INTR) is repeated up to 8 times and then fails with EINTR. A missing table or chain is
/// an empty dump, not an error. Cost: one request per dump, but one per chain for large tables; a commit is one
/// sendmsg.
class NfTables {
 public:
  /// Of this network namespace.
  [[nodiscard]] static rules::Result<NfTables> open();
  explicit NfTables(std::unique_ptr<Socket> socket);

  /// Port id of the writing socket: events of own transactions carry it (nlmsg_pid).
  [[nodiscard]] std::uint32_t port_id() const;

  [[nodiscard]] rules::Result<std::uint32_t> generation();

  /// Whether the table, or the chain in it, is there.
  [[nodiscard]] rules::Result<bool> has_table(rules::Family family, rules::Table table);
  [[nodiscard]] rules::Result<bool> has_chain(rules::Family family, rules::Table table, std::string_view chain);

  using ChainVisitor = std::function<void(const LiveChain&)>;
  [[nodiscard]] rules::Status dump_chains(rules::Family family, rules::Table table, const ChainVisitor& visit,
                                          const std::function<void()>& restart,
                                          Interrupted interrupted = Interrupted::kRepeat);

  using RuleVisitor = std::function<void(LiveRule&)>;
  /// Rules of one chain, or of the whole table when `chain` is empty, chain by chain, in order. When the kernel was
  /// interrupted by another writer, `restart` is called and everything is visited again from the start. A whole table
  /// cannot be had with Interrupted::kAccept.
  [[nodiscard]] rules::Status dump_rules(rules::Family family, rules::Table table, std::string_view chain,
                                         const RuleVisitor& visit, const std::function<void()>& restart,
                                         Interrupted interrupted = Interrupted::kRepeat);

  /// What is in a table: answers to a request of type `type` (NFT_MSG_GETSET, ...GETCHAIN, ...GETRULE, ...GETSETELEM,
  /// the last one with the name of a set), as attributes. The kernel may answer about other tables of the family, too.
  using AttributeVisitor = std::function<void(std::string_view attributes)>;
  [[nodiscard]] rules::Status dump_objects(rules::Family family, std::string_view table, std::uint16_t type,
                                           std::string_view set, const AttributeVisitor& visit,
                                           const std::function<void()>& restart);
  /// Whether any table is there; for tables that are not iptables'.
  [[nodiscard]] rules::Result<bool> has_table(rules::Family family, std::string_view table);
  /// Rules of a table that is none of iptables', with their undecoded NFTA_RULE_EXPRESSIONS. A table that is not there
  /// has none.
  using ForeignVisitor = std::function<void(std::string_view chain, std::string_view expressions)>;
  [[nodiscard]] rules::Status dump_foreign_rules(rules::Family family, std::string_view table,
                                                 const ForeignVisitor& visit, const std::function<void()>& restart);

  /// Sends the batch as one transaction. With `generation`, only if that is still the kernel's generation.
  /// When the kernel's answers are lost (its echoes did not fit into the receive buffer), what became of the
  /// transaction is looked up by the generation: given, or asked for before because rules are echoed.
  [[nodiscard]] std::expected<CommitReport, CommitFailure> commit(Batch& batch,
                                                                  std::optional<std::uint32_t> generation);

 private:
  using MessageVisitor = std::function<void(const Message&)>;

  /// One try of a dump: false when another writer interrupted it. `mark` is a part of the generation that every message
  /// carries: when it has a value, answers of another generation count as an interruption.
  /// When `loose`, only messages that were lost make it false.
  [[nodiscard]] rules::Result<bool> dump_once(std::string_view request, std::string_view object,
                                              const MessageVisitor& visit, bool loose);
  [[nodiscard]] rules::Result<bool> dump_chains_once(rules::Family family, rules::Table table,
                                                     const ChainVisitor& visit, std::optional<std::uint16_t>& mark,
                                                     bool loose);
  [[nodiscard]] rules::Result<bool> dump_rules_once(rules::Family family, rules::Table table, std::string_view chain,
                                                    std::optional<std::uint16_t>& mark, LiveRule& rule,
                                                    const RuleVisitor& visit, bool loose);
  [[nodiscard]] rules::Result<bool> dump_table_once(rules::Family family, rules::Table table, LiveRule& rule,
                                                    const RuleVisitor& visit);
  /// Tries until `once` says that it was whole; it is told when to be loose.
  [[nodiscard]] rules::Status dump(std::string_view object, const std::function<rules::Result<bool>(bool loose)>& once,
                                   const std::function<void()>& restart, Interrupted interrupted);
  [[nodiscard]] rules::Result<bool> exists(std::string_view request, std::uint32_t sequence, std::string_view object);
  /// Reads all that the kernel has answered.
  [[nodiscard]] rules::Result<CommitAnswers> read_answers();
  /// What became of a transaction whose acknowledgement was lost; `before` is the generation for which it was sent.
  [[nodiscard]] std::expected<CommitReport, CommitFailure> look_up_outcome(std::optional<std::uint32_t> before,
                                                                           rules::Error why);
  [[nodiscard]] static std::unexpected<CommitFailure> name_refusals(const Batch& batch, const CommitAnswers& answers);

  std::unique_ptr<Socket> socket_;
  std::uint32_t sequence_ = 0;
};

}  // namespace kubenatd::netlink
