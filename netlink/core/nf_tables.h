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

/// What to dump.
struct DumpQuestion {
  rules::Family family = rules::Family::kIpv4;
  std::uint16_t type = 0;  ///< NFT_MSG_GETTABLE, _GETCHAIN, _GETRULE, _GETSET, _GETSETELEM or _GETFLOWTABLE
  std::string_view table;
  std::string_view name;  ///< of a chain, for its rules, or of a set, for its elements
  /// NFPROTO_*, in place of `family`: for tables of both families, of devices and of bridges. NFPROTO_UNSPEC: of all.
  std::optional<std::uint8_t> any_family{};
};

/// Which element of a set.
struct ElementQuestion {
  std::uint8_t family = 0;  ///< NFPROTO_*
  std::string_view table;
  std::string_view set;
  std::string_view key;     ///< as the set has it, 64 bytes at most; none for NFT_SET_ELEM_CATCHALL
  std::uint32_t flags = 0;  ///< NFT_SET_ELEM_*
};

/// Flags of a table (enum nft_table_flags); the last one is of Linux 6.9, and headers of before lack it.
inline constexpr std::uint32_t kTableDormant = 0x1;
inline constexpr std::uint32_t kTableOwner = 0x2;    ///< only the socket that set this may change the table
inline constexpr std::uint32_t kTablePersist = 0x4;  ///< the table stays when that socket is closed

/// What the kernel says of a table as a whole.
struct TableState {
  std::uint32_t flags = 0;
  std::uint32_t owner = 0;  ///< port id of the socket that owns it; 0: none does

  /// Its owner is gone, and another socket may take it over: its flags are then changed, and nothing else.
  [[nodiscard]] bool is_orphan() const { return (flags & (kTableOwner | kTablePersist)) == kTablePersist; }
};

/// Reads and writes nf_tables in the network namespace in which it was opened.
///
/// Purpose: the only way in which kubenatd talks to nf_tables, besides the event monitor.
/// Threading: one thread at a time; every call blocks until the kernel has answered.
/// Failure: errors carry errno and the kernel's extended ack; EINTR and ENOBUFS on the socket are retried inside, an
/// interrupted dump (NLM_F_DUMP_INTR) is repeated up to 8 times and then fails with EINTR. A missing table or chain is
/// an empty dump, not an error. Cost: one request per dump; a commit is one sendmsg. What the messages hold is read by
/// netlink/iptables/reader.h and netlink/nftables/codec.h.
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

  /// One try of a dump: what the kernel answers about that family, and only that kind of object. It may answer about
  /// other tables, too. False when another writer interrupted it: what was visited does not count. When `loose`, only
  /// messages that were lost make it false.
  using MessageVisitor = std::function<void(const Message&)>;
  [[nodiscard]] rules::Result<bool> dump_once(const DumpQuestion& question, const MessageVisitor& visit, bool loose);
  /// Tries until `once` says that it was whole; it is told when to be loose, and may dump more than once. `restart` is
  /// called before every further try. Errors name `object`.
  [[nodiscard]] rules::Status dump(std::string_view object, const std::function<rules::Result<bool>(bool loose)>& once,
                                   const std::function<void()>& restart, Interrupted interrupted);

  /// What is in a table, as attributes; `set` is the question's name. The kernel may answer about other tables of the
  /// family, too.
  using AttributeVisitor = std::function<void(std::string_view attributes)>;
  [[nodiscard]] rules::Status dump_objects(rules::Family family, std::string_view table, std::uint16_t type,
                                           std::string_view set, const AttributeVisitor& visit,
                                           const std::function<void()>& restart);
  /// Asks for one element (NFT_MSG_GETSETELEM), in sets of intervals for the one that holds the key. False when there
  /// is none.
  [[nodiscard]] rules::Result<bool> get_element(const ElementQuestion& question, const AttributeVisitor& visit);
  /// Whether any table is there; for tables that are not iptables'.
  [[nodiscard]] rules::Result<bool> has_table(rules::Family family, std::string_view table);
  /// None: there is no such table.
  [[nodiscard]] rules::Result<std::optional<TableState>> table(rules::Family family, std::string_view table);
  /// Rules of a table that is none of iptables', with their undecoded NFTA_RULE_EXPRESSIONS. A table that is not there
  /// has none.
  struct ForeignRule {
    std::string_view chain, expressions;
    std::uint64_t handle = 0;
  };
  using ForeignVisitor = std::function<void(const ForeignRule& rule)>;
  [[nodiscard]] rules::Status dump_foreign_rules(rules::Family family, std::string_view table,
                                                 const ForeignVisitor& visit, const std::function<void()>& restart);

  /// Sends the batch as one transaction. With `generation`, only if that is still the kernel's generation.
  /// When the kernel's answers are lost (its echoes did not fit into the receive buffer), what became of the
  /// transaction is looked up by the generation: given, or asked for before because rules are echoed.
  [[nodiscard]] std::expected<CommitReport, CommitFailure> commit(Batch& batch,
                                                                  std::optional<std::uint32_t> generation);

 private:
  [[nodiscard]] rules::Result<bool> exists(std::string_view request, std::uint32_t sequence, std::string_view object);
  /// Sends a question about one thing and visits the answers; false when it is not there.
  [[nodiscard]] rules::Result<bool> ask(std::string_view request, std::uint32_t sequence, std::string_view object,
                                        const MessageVisitor& visit);
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
