#include "netlink/core/batch.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <memory>
#include <new>
#include <string>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"

namespace kubenatd::netlink {
namespace {

using rules::Family;

constexpr std::size_t kHeader = sizeof(nlmsghdr) + sizeof(nfgenmsg);
// The begin message with a generation; without one it starts eight bytes later.
constexpr std::size_t kBegin = kHeader + NLA_HDRLEN + sizeof(std::uint32_t);

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

}  // namespace

Batch::Batch() {
  clear();
}

std::size_t Batch::bytes() const {
  return messages_ == 0 ? 0 : buffer_.size() + (sealed_ != 0 ? 0 : kHeader);
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
  if (messages_ == 0) {
    (void)buffer_.room(kBegin);
    buffer_.shrink(kBegin);
  }
  char* at = buffer_.room(kHeader + bytes + kHeader);  // the end message fits without growing again
  write_header(at, 0, message_type(type), NLM_F_REQUEST | flags, kFirstSequence + static_cast<std::uint32_t>(messages_),
               number_of(family), 0);
  return at + kHeader;
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
  if (messages_ == 0) {
    (void)buffer_.room(kBegin);
    buffer_.shrink(kBegin);
  }
  const std::size_t size = other.buffer_.size() - kBegin;
  std::memcpy(buffer_.room(size + kHeader), other.buffer_.data() + kBegin, size);
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

std::string_view Batch::seal(std::optional<std::uint32_t> generation) {
  char* start = buffer_.data() + (generation ? 0 : kBegin - kHeader);
  write_header(start, generation ? kBegin : kHeader, NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, kBeginSequence, AF_UNSPEC,
               NFNL_SUBSYS_NFTABLES);
  if (generation) AttributeWriter(start + kHeader).be32(NFNL_BATCH_GENID, *generation);
  auto* first = reinterpret_cast<nlmsghdr*>(buffer_.data() + kBegin);
  first_flags_ = first->nlmsg_flags;
  first->nlmsg_flags |= NLM_F_ECHO;
  reinterpret_cast<nlmsghdr*>(buffer_.data() + last_)->nlmsg_flags |= NLM_F_ACK;
  sealed_ = buffer_.size();
  char* end = buffer_.room(kHeader);
  write_header(end, kHeader, NFNL_MSG_BATCH_END, NLM_F_REQUEST, last_sequence() + 1, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  buffer_.add(kHeader);
  start = buffer_.data() + (generation ? 0 : kBegin - kHeader);
  return {start, static_cast<std::size_t>(buffer_.data() + buffer_.size() - start)};
}

void Batch::unseal() {
  reinterpret_cast<nlmsghdr*>(buffer_.data() + last_)->nlmsg_flags &= static_cast<std::uint16_t>(~NLM_F_ACK);
  reinterpret_cast<nlmsghdr*>(buffer_.data() + kBegin)->nlmsg_flags = first_flags_;
  buffer_.shrink(sealed_);
  sealed_ = 0;
}

std::uint32_t Batch::first_sequence() {
  return kFirstSequence;
}

bool Batch::first_is_echoed() const {
  return messages_ != 0 && (reinterpret_cast<const nlmsghdr*>(buffer_.data() + kBegin)->nlmsg_flags & NLM_F_ECHO) != 0;
}

std::uint32_t Batch::last_sequence() const {
  return kFirstSequence + static_cast<std::uint32_t>(messages_) - 1;
}

std::string_view Batch::message(std::uint32_t sequence) const {
  std::size_t at = kBegin;
  for (std::size_t i = 0; i < messages_; ++i) {
    nlmsghdr header;
    std::memcpy(&header, buffer_.data() + at, sizeof header);
    if (header.nlmsg_seq == sequence) return {buffer_.data() + at, header.nlmsg_len};
    at += header.nlmsg_len;
  }
  return {};
}

}  // namespace kubenatd::netlink
