#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "netlink/core/message_buffer.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::netlink {

/// Where a new rule goes in its chain.
struct Placement {
  enum class Where : std::uint8_t { kLast, kFirst, kBefore, kAfter };
  Where where = Where::kLast;
  std::uint64_t handle = 0;  ///< of the neighbour, for kBefore and kAfter

  static constexpr Placement last() { return {}; }
  static constexpr Placement first() { return {Where::kFirst, 0}; }
  static constexpr Placement before(std::uint64_t handle) { return {Where::kBefore, handle}; }
  static constexpr Placement after(std::uint64_t handle) { return {Where::kAfter, handle}; }
};

/// One nf_tables transaction under construction: messages in one contiguous buffer, ready for one sendmsg, because the
/// kernel takes a transaction only from a single buffer (nfnetlink_rcv_batch).
///
/// Not thread-safe. Cannot fail except for memory; a rule that cannot be written (opaque, of the other family, past a
/// limit of the kernel) is left out and makes the commit fail with its name. Cost: one encoding pass per message,
/// amortised growth; the buffer is kept by clear(). Rules are encoded byte for byte as iptables-nft 1.8.9 encodes them
/// (see rule_encoder.h).
class Batch {
 public:
  Batch();

  void add_table(rules::Family family, rules::Table table);
  void delete_table(rules::Family family, rules::Table table);
  /// A builtin chain ("INPUT", "PREROUTING", ...) with iptables' hook, priority and type, policy accept. Only for
  /// chains that are not there: it would reset the policy.
  void add_base_chain(rules::Family family, rules::Table table, std::string_view chain);
  /// With `only_new` the transaction fails (EEXIST) when the chain is there already.
  void add_chain(rules::Family family, rules::Table table, std::string_view chain, bool only_new = false);
  /// The chain must be empty and nothing may jump to it.
  void delete_chain(rules::Family family, rules::Table table, std::string_view chain);
  /// Removes every rule of the chain.
  void flush_chain(rules::Family family, rules::Table table, std::string_view chain);
  /// With `echo` the commit reports the handle that the kernel gave to the rule.
  void add_rule(rules::Family family, rules::Table table, std::string_view chain, const rules::Rule& rule,
                Placement placement = {}, bool echo = false);
  void delete_rule(rules::Family family, rules::Table table, std::string_view chain, std::uint64_t handle);

  /// Any message: `write` is given a place for up to `bytes` after the header, as an AttributeWriter would take it, and
  /// returns the end of what it wrote.
  template <class Write>
  void add(std::uint16_t type, std::uint16_t flags, rules::Family family, std::size_t bytes, Write write) {
    finish(write(begin(type, flags, family, bytes)));
  }

  /// Adds all messages of `other` after the present ones.
  void append(const Batch& other);

  [[nodiscard]] bool empty() const { return messages_ == 0 && !refused_; }
  [[nodiscard]] std::size_t messages() const { return messages_; }
  /// Size of the transaction on the wire.
  [[nodiscard]] std::size_t bytes() const;
  /// Of the memory that is kept.
  [[nodiscard]] std::size_t capacity() const { return buffer_.capacity(); }
  /// Forgets the messages and keeps the memory.
  void clear();
  /// Forgets the messages and gives the memory back.
  void release();

 private:
  friend class NfTables;

  /// Place for a message of up to `bytes` after its header; finish() takes it in.
  [[nodiscard]] char* begin(std::uint16_t type, std::uint16_t flags, rules::Family family, std::size_t bytes);
  void finish(char* end);
  void refuse(rules::Family family, rules::Table table, std::string_view chain, std::string_view operation,
              std::string_view why);
  [[nodiscard]] bool is_name(rules::Family family, rules::Table table, std::string_view chain);

  /// The whole transaction in one piece, valid until the next change: begin message, messages, end message.
  /// The last message asks for an acknowledgement. The first one asks for an echo, because that makes the kernel answer
  /// with the new generation (nf_tables_gen_notify looks at the first message after the begin message).
  [[nodiscard]] std::string_view seal(std::optional<std::uint32_t> generation);
  /// Takes away what seal() added.
  void unseal();
  /// The message with that sequence number; empty when there is none. Walks the buffer.
  [[nodiscard]] std::string_view message(std::uint32_t sequence) const;
  [[nodiscard]] static std::uint32_t first_sequence();
  [[nodiscard]] std::uint32_t last_sequence() const;
  /// Whether the first message was added with echo.
  [[nodiscard]] bool first_is_echoed() const;

  MessageBuffer buffer_;
  std::size_t messages_ = 0;
  std::size_t last_ = 0;    ///< offset of the last message
  std::size_t sealed_ = 0;  ///< size before the end message, 0 when not sealed
  std::size_t echoes_ = 0;
  std::uint16_t first_flags_ = 0;  ///< of the first message while sealed
  std::optional<rules::Error> refused_;
};

}  // namespace kubenatd::netlink
