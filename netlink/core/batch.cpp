#include "netlink/core/batch.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/names.h"

namespace kubenatd::netlink {
namespace {

using rules::Family;

constexpr std::size_t kHeader = sizeof(nlmsghdr) + sizeof(nfgenmsg);
// The begin message with a generation.
constexpr std::size_t kBegin = kHeader + NLA_HDRLEN + sizeof(std::uint32_t);
constexpr std::size_t kMaxName = 255;  // NFT_NAME_MAXLEN - 1
// What may go between it and the first message: one that names a table.
constexpr std::size_t kTableBound = kHeader + NLA_HDRLEN + NLA_ALIGN(kMaxName + 1);
/// Where the first message lies. What seal() writes before it ends there and starts where it likes.
constexpr std::size_t kFront = kBegin + kTableBound;

// Sequence numbers: the begin message, then the messages in order, then the end message.
constexpr std::uint32_t kBeginSequence = 1;
constexpr std::uint32_t kFirstSequence = 2;

void write_header(char* at, std::size_t size, std::uint16_t type, std::uint16_t flags, std::uint32_t sequence,
                  std::uint8_t family, std::uint16_t resource) {
  const nlmsghdr header{static_cast<std::uint32_t>(size), type, flags, sequence, 0};
  const nfgenmsg general{family, NFNETLINK_V0, htobe16(resource)};
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + sizeof header, &general, sizeof general);
}

constexpr std::uint16_t message_type(std::uint16_t type) {
  return NFNL_SUBSYS_NFTABLES << 8 | type;
}

/// Whether the echo of a message is about one object and is no rule.
bool is_echo_small(std::uint16_t type, std::uint16_t flags, std::string_view attributes) {
  switch (type) {
    case NFT_MSG_NEWTABLE:
    case NFT_MSG_NEWCHAIN:
    case NFT_MSG_NEWSET:
    case NFT_MSG_DELSET: return true;
    case NFT_MSG_DELCHAIN: return (flags & NLM_F_NONREC) != 0;  // without it, it deletes and tells the rules, too
    case NFT_MSG_DELRULE: return !find_attribute(attributes, NFTA_RULE_HANDLE).payload.empty();
    default: return false;
  }
}

/// Whether the message fails in a table that has just been made: the chain or the set that it names is not there.
/// Then a message before it, which makes the table that is missing, leaves nothing behind.
bool needs_content(std::uint16_t type, std::string_view attributes) {
  switch (type) {
    case NFT_MSG_NEWRULE:
    case NFT_MSG_DELRULE: return !find_attribute(attributes, NFTA_RULE_CHAIN).payload.empty();
    case NFT_MSG_DELCHAIN: return true;
    case NFT_MSG_NEWSETELEM:
    case NFT_MSG_DELSETELEM: return !find_attribute(attributes, NFTA_SET_ELEM_LIST_SET).payload.empty();
    default: return false;  // DELTABLE above all: it would find the table that is missing
  }
}

}  // namespace

Batch::Batch() {
  clear();
}

std::size_t Batch::bytes() const {
  return messages_ == 0 ? 0 : buffer_.size() - kTableBound + (sealed_ != 0 ? 0 : kHeader);
}

void Batch::clear() {
  buffer_.shrink(0);
  messages_ = last_ = sealed_ = echoes_ = 0;
  refused_.reset();
}

void Batch::release() {
  clear();
  buffer_.release();
}

char* Batch::begin(std::uint16_t type, std::uint16_t flags, Family family, std::size_t bytes) {
  if (messages_ == 0) reserve_front();
  char* at = buffer_.room(kHeader + bytes + kHeader);  // the end message fits without growing again
  write_header(at, 0, message_type(type), NLM_F_REQUEST | flags, kFirstSequence + static_cast<std::uint32_t>(messages_),
               number_of(family), 0);
  return at + kHeader;
}

void Batch::reserve_front() {
  (void)buffer_.room(kFront);
  buffer_.shrink(kFront);
}

void Batch::finish(char* end) {
  last_ = buffer_.size();
  const auto size = static_cast<std::uint32_t>(end - (buffer_.data() + last_));
  std::memcpy(buffer_.data() + last_, &size, sizeof size);  // nlmsg_len; attributes are padded, so it is aligned
  buffer_.add(size);
  ++messages_;
}

void Batch::append(const Batch& other) {
  if (!refused_) refused_ = other.refused_;
  if (other.messages_ == 0 || &other == this) return;
  if (messages_ == 0) reserve_front();
  const std::size_t size = other.buffer_.size() - kFront;
  std::memcpy(buffer_.room(size + kHeader), other.buffer_.data() + kFront, size);
  std::size_t at = buffer_.size();
  buffer_.add(size);
  while (at < buffer_.size()) {
    auto* message = reinterpret_cast<nlmsghdr*>(buffer_.data() + at);
    message->nlmsg_seq = kFirstSequence + static_cast<std::uint32_t>(messages_++);
    last_ = at;
    at += message->nlmsg_len;
  }
  echoes_ += other.echoes_;
}

Batch Batch::in_table(std::string_view table) const {
  Batch moved;
  moved.refused_ = refused_;
  MessageReader reader(written());
  for (Message message; reader.next(message);) {
    const std::string_view attributes = message.attributes();
    // The name of the table has number 1 in every message.
    const std::string_view old = find_attribute(attributes, NFTA_TABLE_NAME).payload;
    const auto before = static_cast<std::size_t>(old.data() - attributes.data()) - NLA_HDRLEN;
    const std::string_view behind = attributes.substr(before + NLA_HDRLEN + NLA_ALIGN(old.size()));
    const auto family = family_of(message.family()).value_or(Family::kIpv4);
    const auto flags = static_cast<std::uint16_t>(message.flags & ~NLM_F_REQUEST);
    moved.add(NFNL_MSG_TYPE(message.type), flags, family, attributes.size() + NLA_HDRLEN + kMaxName + 1, [&](char* at) {
      std::memcpy(at, attributes.data(), before);
      AttributeWriter out(at + before);
      out.text(NFTA_TABLE_NAME, table.substr(0, kMaxName));
      std::memcpy(out.at(), behind.data(), behind.size());
      return out.at() + behind.size();
    });
  }
  return moved;
}

std::string_view Batch::written() const {
  if (messages_ == 0) return {};
  return {buffer_.data() + kFront, buffer_.size() - kFront};
}

std::string_view Batch::seal(std::optional<std::uint32_t> generation) {
  auto* first = reinterpret_cast<nlmsghdr*>(buffer_.data() + kFront);
  first_flags_ = first->nlmsg_flags;
  const std::size_t begin_size = generation ? kBegin : kHeader;
  char* start = write_table_before(buffer_.data() + kFront) - begin_size;
  const auto offset = start - buffer_.data();
  asked_generation_ = (reinterpret_cast<const nlmsghdr*>(start + begin_size)->nlmsg_flags & NLM_F_ECHO) != 0;
  write_header(start, begin_size, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, kBeginSequence, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  if (generation) AttributeWriter(start + kHeader).be32(NFNL_BATCH_GENID, *generation);
  reinterpret_cast<nlmsghdr*>(buffer_.data() + last_)->nlmsg_flags |= NLM_F_ACK;
  sealed_ = buffer_.size();
  char* end = buffer_.room(kHeader);
  write_header(end, kHeader, NFNL_MSG_BATCH_END, NLM_F_REQUEST, last_sequence() + 1, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  buffer_.add(kHeader);
  start = buffer_.data() + offset;  // room() may have moved the memory
  return {start, static_cast<std::size_t>(buffer_.data() + buffer_.size() - start)};
}

char* Batch::write_table_before(char* end) {
  auto* first = reinterpret_cast<nlmsghdr*>(end);
  if ((first->nlmsg_flags & NLM_F_ECHO) != 0) return end;
  const auto type = static_cast<std::uint16_t>(NFNL_MSG_TYPE(first->nlmsg_type));
  const std::string_view attributes(end + kHeader, first->nlmsg_len - kHeader);
  if (is_echo_small(type, first->nlmsg_flags, attributes)) {
    first->nlmsg_flags |= NLM_F_ECHO;
    return end;
  }
  // The name of the table has number 1 in every message.
  const std::string_view table = find_attribute(attributes, NFTA_TABLE_NAME).text();
  if (!needs_content(type, attributes) || table.empty() || table.size() > kMaxName) return end;
  // Of a table that is there, NEWTABLE without flags changes nothing and is not told (nf_tables_updtable). It bears the
  // number of the message that it stands for: what the kernel has against the table is told of that one.
  const std::size_t size = kHeader + NLA_HDRLEN + NLA_ALIGN(table.size() + 1);
  const auto family = static_cast<std::uint8_t>(end[sizeof(nlmsghdr)]);
  write_header(end - size, size, message_type(NFT_MSG_NEWTABLE), NLM_F_REQUEST | NLM_F_ECHO, first->nlmsg_seq, family,
               0);
  AttributeWriter(end - size + kHeader).text(NFTA_TABLE_NAME, table);
  return end - size;
}

void Batch::unseal() {
  reinterpret_cast<nlmsghdr*>(buffer_.data() + last_)->nlmsg_flags &= static_cast<std::uint16_t>(~NLM_F_ACK);
  reinterpret_cast<nlmsghdr*>(buffer_.data() + kFront)->nlmsg_flags = first_flags_;
  buffer_.shrink(sealed_);
  sealed_ = 0;
}

std::uint32_t Batch::last_sequence() const {
  return kFirstSequence + static_cast<std::uint32_t>(messages_) - 1;
}

std::string_view Batch::message(std::uint32_t sequence) const {
  std::size_t at = kFront;
  for (std::size_t i = 0; i < messages_; ++i) {
    nlmsghdr header;
    std::memcpy(&header, buffer_.data() + at, sizeof header);
    if (header.nlmsg_seq == sequence) return {buffer_.data() + at, header.nlmsg_len};
    at += header.nlmsg_len;
  }
  return {};
}

}  // namespace kubenatd::netlink
