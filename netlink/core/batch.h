#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "netlink/core/message_buffer.h"
#include "rules/error.h"
#include "rules/rule.h"

namespace kubenatd::netlink {

/// One nf_tables transaction under construction: messages in one contiguous buffer, ready for one sendmsg, because the
/// kernel takes a transaction only from a single buffer (nfnetlink_rcv_batch).
///
/// Not thread-safe. Cannot fail except for memory; a rule that cannot be written (opaque, of the other family, past a
/// limit of the kernel) is left out and makes the commit fail with its name. Cost: one encoding pass per message,
/// amortised growth; the buffer is kept by clear(). What the messages hold is written by netlink/iptables/writer.h and
/// netlink/nftables/codec.h.
class Batch {
 public:
  Batch();

  /// Any message: `write` is given a place for up to `bytes` after the header, as an AttributeWriter would take it, and
  /// returns the end of what it wrote.
  template <class Write>
  void add(std::uint16_t type, std::uint16_t flags, rules::Family family, std::size_t bytes, Write write) {
    finish(write(begin(type, flags, family, bytes)));
    if ((flags & kEcho) != 0) ++echoes_;
  }
  /// A message that cannot be written: the commit will fail with this.
  void refuse(rules::Error error) {
    if (!refused_) refused_ = std::move(error);
  }

  /// Adds all messages of `other` after the present ones.
  void append(const Batch& other);

  /// The same messages about a table of that name.
  [[nodiscard]] Batch in_table(std::string_view table) const;
  /// All messages as they are sent, between begin and end.
  [[nodiscard]] std::string_view written() const;
  /// What refuse() was given first.
  [[nodiscard]] const std::optional<rules::Error>& refused() const { return refused_; }

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
  static constexpr std::uint16_t kEcho = 0x08;  ///< NLM_F_ECHO

  /// Makes the place that seal() needs before the first message.
  void reserve_front();

  /// Place for a message of up to `bytes` after its header; finish() takes it in.
  [[nodiscard]] char* begin(std::uint16_t type, std::uint16_t flags, rules::Family family, std::size_t bytes);
  void finish(char* end);

  /// The whole transaction in one piece, valid until the next change: begin message, messages, end message.
  /// The last message asks for an acknowledgement. The first one asks for an echo, because that makes the kernel answer
  /// with the new generation (nf_tables_gen_notify looks at the first message after the begin message). An echo tells
  /// all that the message did: that of a flush, every rule. So where the first message may do much, or is a rule whose
  /// handle nobody wants, another one goes before it: it names the table and changes nothing.
  [[nodiscard]] std::string_view seal(std::optional<std::uint32_t> generation);
  /// Takes away what seal() added.
  void unseal();
  /// The message with that sequence number; empty when there is none. Walks the buffer.
  [[nodiscard]] std::string_view message(std::uint32_t sequence) const;
  [[nodiscard]] std::uint32_t last_sequence() const;
  /// Writes what goes before the first message so that it ends at `end`; gives its start, or `end` when nothing has to.
  [[nodiscard]] char* write_table_before(char* end);

  MessageBuffer buffer_;
  std::size_t messages_ = 0;
  std::size_t last_ = 0;    ///< offset of the last message
  std::size_t sealed_ = 0;  ///< size before the end message, 0 when not sealed
  std::size_t echoes_ = 0;
  std::uint16_t first_flags_ = 0;  ///< of the first message while sealed
  bool asked_generation_ = false;  ///< the kernel was asked to tell the new generation when it was sealed last
  std::optional<rules::Error> refused_;
};

}  // namespace kubenatd::netlink
