#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Netlink messages as they are read: framing, acknowledgements, and the answers to a transaction. Pure.
namespace kubenatd::netlink {

/// A message in a datagram. Views into the datagram.
struct Message {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::uint32_t port_id = 0;
  std::string_view payload;  ///< after nlmsghdr

  /// Type within nf_tables (NFT_MSG_*), nothing for another subsystem and for control messages.
  [[nodiscard]] std::optional<std::uint16_t> table_type() const;
  /// nfgen_family; 0 when the message is too short.
  [[nodiscard]] std::uint8_t family() const;
  /// The low bits of the generation that a dumped object belongs to (nfgenmsg.res_id).
  [[nodiscard]] std::uint16_t generation_mark() const;
  /// What follows nfgenmsg.
  [[nodiscard]] std::string_view attributes() const;
};

/// Splits a datagram into messages. What is malformed ends it.
class MessageReader {
 public:
  explicit MessageReader(std::string_view datagram) : rest_(datagram) {}
  [[nodiscard]] bool next(Message& message);

 private:
  std::string_view rest_;
};

/// The error of a message (netlink.h: a negative errno, or 0), made positive. Subsystems have numbers of their own
/// (ipset's from 4096 on). EBADMSG when no number is its negation.
[[nodiscard]] int positive_errno(std::int32_t error);

/// An NLMSG_ERROR message: an acknowledgement (code 0) or a refusal.
struct Acknowledgement {
  std::uint32_t sequence = 0;
  int code = 0;              ///< positive errno
  std::string explanation;   ///< extended ack message, often empty
  std::uint32_t offset = 0;  ///< of the attribute at fault in the refused message, 0 when the kernel did not say

  /// In words: of the errno, and the kernel's explanation.
  [[nodiscard]] std::string cause() const;
};

/// Reads a message of type NLMSG_ERROR; one that is too short gives EBADMSG.
[[nodiscard]] Acknowledgement read_acknowledgement(const Message& message);

/// Reads a message of type NLMSG_DONE.
[[nodiscard]] Acknowledgement read_end_of_dump(const Message& message);

/// What the kernel answered to a transaction.
struct CommitAnswers {
  std::vector<Acknowledgement> refusals;
  std::vector<std::uint64_t> handles;       ///< of echoed rules
  std::optional<std::uint32_t> generation;  ///< after the commit, when it changed anything
  bool acknowledged = false;
  bool overrun = false;  ///< some were lost

  void add(std::string_view datagram);
};

}  // namespace kubenatd::netlink
