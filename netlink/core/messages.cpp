#include "netlink/core/messages.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "netlink/core/attributes.h"

namespace kubenatd::netlink {

std::optional<std::uint16_t> Message::table_type() const {
  if (NFNL_SUBSYS_ID(type) != NFNL_SUBSYS_NFTABLES) return std::nullopt;
  return NFNL_MSG_TYPE(type);
}

std::uint8_t Message::family() const {
  return payload.size() < sizeof(nfgenmsg) ? 0 : static_cast<std::uint8_t>(payload[0]);
}

std::uint16_t Message::generation_mark() const {
  nfgenmsg general{};
  if (payload.size() >= sizeof general) std::memcpy(&general, payload.data(), sizeof general);
  return be16toh(general.res_id);
}

std::string_view Message::attributes() const {
  return payload.substr(std::min(payload.size(), sizeof(nfgenmsg)));
}

bool MessageReader::next(Message& message) {
  nlmsghdr header;
  if (rest_.size() < sizeof header) return false;
  std::memcpy(&header, rest_.data(), sizeof header);
  if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest_.size()) return false;
  message = {header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq, header.nlmsg_pid,
             rest_.substr(sizeof header, header.nlmsg_len - sizeof header)};
  rest_.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest_.size()));
  return true;
}

namespace {

/// The kernel's words, which become part of a line for people.
std::string printable(std::string_view text) {
  constexpr std::size_t kLongest = 256;  // far more than any that Linux 6.18 has
  std::string line(text.substr(0, kLongest));
  std::ranges::replace_if(
      line, [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  return line;
}

}  // namespace

int positive_errno(std::int32_t error) {
  if (error == std::numeric_limits<std::int32_t>::min()) return EBADMSG;
  return error < 0 ? -error : error;
}

std::string Acknowledgement::cause() const {
  std::string text = std::strerror(code);
  if (!explanation.empty()) text.append(": ").append(explanation);
  return text;
}

Acknowledgement read_acknowledgement(const Message& message) {
  Acknowledgement result;
  nlmsgerr error;
  if (message.payload.size() < sizeof error) {
    result.code = EBADMSG;
    return result;
  }
  std::memcpy(&error, message.payload.data(), sizeof error);
  result.sequence = error.msg.nlmsg_seq;
  result.code = positive_errno(error.error);
  if ((message.flags & NLM_F_ACK_TLVS) == 0) return result;
  std::size_t header = sizeof error;
  if ((message.flags & NLM_F_CAPPED) == 0 && error.msg.nlmsg_len >= sizeof error.msg)
    header += NLMSG_ALIGN(error.msg.nlmsg_len) - sizeof error.msg;
  if (header > message.payload.size()) return result;
  AttributeReader reader(message.payload.substr(header));
  Attribute attribute;
  while (reader.next(attribute)) {
    if (attribute.type == NLMSGERR_ATTR_MSG) result.explanation = printable(attribute.text());
    if (attribute.type == NLMSGERR_ATTR_OFFS && attribute.payload.size() == sizeof result.offset)
      std::memcpy(&result.offset, attribute.payload.data(), sizeof result.offset);
  }
  return result;
}

Acknowledgement read_end_of_dump(const Message& message) {
  Acknowledgement result{message.sequence, 0, {}, 0};
  std::int32_t code = 0;
  if (message.payload.size() >= sizeof code) std::memcpy(&code, message.payload.data(), sizeof code);
  result.code = code < 0 ? positive_errno(code) : 0;
  return result;
}

void CommitAnswers::add(std::string_view datagram) {
  MessageReader reader(datagram);
  Message message;
  while (reader.next(message)) {
    if (message.type == NLMSG_ERROR) {
      Acknowledgement acknowledgement = read_acknowledgement(message);
      if (acknowledgement.code == 0) {
        acknowledged = true;
      } else {
        refusals.push_back(std::move(acknowledgement));
      }
    } else if (message.table_type() == NFT_MSG_NEWRULE) {
      handles.push_back(find_attribute(message.attributes(), NFTA_RULE_HANDLE).be64());
    } else if (message.table_type() == NFT_MSG_NEWGEN) {
      generation = find_attribute(message.attributes(), NFTA_GEN_ID).be32();
    }
  }
}

}  // namespace kubenatd::netlink
