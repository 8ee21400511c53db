#include "netlink/core/batch.h"

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <cerrno>
#include <memory>
#include <new>
#include <string>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"
#include "netlink/iptables/rule_encoder.h"

namespace kubenatd::netlink {
namespace {

using rules::Family;
using rules::Table;

constexpr std::size_t kHeader = sizeof(nlmsghdr) + sizeof(nfgenmsg);
// The begin message with a generation; without one it starts eight bytes later.
constexpr std::size_t kBegin = kHeader + NLA_HDRLEN + sizeof(std::uint32_t);
// Table and chain names, handles and flags of any message, rounded up.
constexpr std::size_t kNamesBound = 512;
constexpr std::size_t kMaxChainName = 255;  // NFT_CHAIN_MAXNAMELEN - 1

// Sequence numbers: the begin message, then the messages in order, then the end message.
constexpr std::uint32_t kBeginSequence = 1;
constexpr std::uint32_t kFirstSequence = 2;

/// Where iptables hooks its builtin chains (iptables/nft.c of 1.8.9).
struct Hook {
  Table table;
  std::string_view chain;
  std::uint32_t number;
  std::int32_t priority;
  const char* type;
};
constexpr Hook kHooks[] = {
    {Table::kFilter, "INPUT", NF_INET_LOCAL_IN, 0, "filter"},
    {Table::kFilter, "FORWARD", NF_INET_FORWARD, 0, "filter"},
    {Table::kFilter, "OUTPUT", NF_INET_LOCAL_OUT, 0, "filter"},
    {Table::kNat, "PREROUTING", NF_INET_PRE_ROUTING, -100, "nat"},
    {Table::kNat, "INPUT", NF_INET_LOCAL_IN, 100, "nat"},
    {Table::kNat, "OUTPUT", NF_INET_LOCAL_OUT, -100, "nat"},
    {Table::kNat, "POSTROUTING", NF_INET_POST_ROUTING, 100, "nat"},
    {Table::kMangle, "PREROUTING", NF_INET_PRE_ROUTING, -150, "filter"},
    {Table::kMangle, "INPUT", NF_INET_LOCAL_IN, -150, "filter"},
    {Table::kMangle, "FORWARD", NF_INET_FORWARD, -150, "filter"},
    {Table::kMangle, "OUTPUT", NF_INET_LOCAL_OUT, -150, "route"},
    {Table::kMangle, "POSTROUTING", NF_INET_POST_ROUTING, -150, "filter"},
};

const Hook* find_hook(Table table, std::string_view chain) {
  for (const Hook& hook : kHooks)
    if (hook.table == table && hook.chain == chain) return &hook;
  return nullptr;
}

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

struct FreeTable {
  void operator()(nftnl_table* table) const { nftnl_table_free(table); }
};
struct FreeChain {
  void operator()(nftnl_chain* chain) const { nftnl_chain_free(chain); }
};

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

void Batch::refuse(Family family, Table table, std::string_view chain, std::string_view operation,
                   std::string_view why) {
  if (refused_) return;
  refused_ = rules::Error{describe_object(family, rules::name_of(table), chain), std::string(operation),
                          std::string(why), EINVAL};
}

bool Batch::is_name(Family family, Table table, std::string_view chain) {
  if (!chain.empty() && chain.size() <= kMaxChainName && chain.find('\0') == std::string_view::npos) return true;
  refuse(family, table, chain.substr(0, kMaxChainName), "write", "the name of a chain has 1 to 255 bytes");
  return false;
}

void Batch::add_table(Family family, Table table) {
  const std::unique_ptr<nftnl_table, FreeTable> description(nftnl_table_alloc());
  if (!description || nftnl_table_set_str(description.get(), NFTNL_TABLE_NAME, rules::name_of(table).data()) != 0)
    throw std::bad_alloc();
  char* at = begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, kNamesBound);
  auto* message = reinterpret_cast<nlmsghdr*>(at - kHeader);
  message->nlmsg_len = kHeader;
  nftnl_table_nlmsg_build_payload(message, description.get());
  finish(at - kHeader + message->nlmsg_len);
}

void Batch::delete_table(Family family, Table table) {
  AttributeWriter out(begin(NFT_MSG_DELTABLE, 0, family, kNamesBound));
  out.text(NFTA_TABLE_NAME, rules::name_of(table));
  finish(out.at());
}

void Batch::add_base_chain(Family family, Table table, std::string_view chain) {
  const Hook* hook = find_hook(table, chain);
  if (hook == nullptr) return refuse(family, table, chain, "create chain", "it is no builtin chain of iptables");
  const std::unique_ptr<nftnl_chain, FreeChain> description(nftnl_chain_alloc());
  if (!description || nftnl_chain_set_str(description.get(), NFTNL_CHAIN_TABLE, rules::name_of(table).data()) != 0 ||
      nftnl_chain_set_str(description.get(), NFTNL_CHAIN_NAME, hook->chain.data()) != 0 ||
      nftnl_chain_set_str(description.get(), NFTNL_CHAIN_TYPE, hook->type) != 0)
    throw std::bad_alloc();
  nftnl_chain_set_u32(description.get(), NFTNL_CHAIN_HOOKNUM, hook->number);
  nftnl_chain_set_s32(description.get(), NFTNL_CHAIN_PRIO, hook->priority);
  nftnl_chain_set_u32(description.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
  char* at = begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, kNamesBound);
  auto* message = reinterpret_cast<nlmsghdr*>(at - kHeader);
  message->nlmsg_len = kHeader;
  nftnl_chain_nlmsg_build_payload(message, description.get());
  finish(at - kHeader + message->nlmsg_len);
}

void Batch::add_chain(Family family, Table table, std::string_view chain, bool only_new) {
  if (!is_name(family, table, chain)) return;
  const std::uint16_t flags = NLM_F_CREATE | (only_new ? NLM_F_EXCL : 0);
  AttributeWriter out(begin(NFT_MSG_NEWCHAIN, flags, family, kNamesBound));
  out.text(NFTA_CHAIN_TABLE, rules::name_of(table));
  out.text(NFTA_CHAIN_NAME, chain);
  finish(out.at());
}

void Batch::delete_chain(Family family, Table table, std::string_view chain) {
  if (!is_name(family, table, chain)) return;
  // NLM_F_NONREC: the kernel refuses a chain with rules in it (EBUSY) instead of deleting them too.
  AttributeWriter out(begin(NFT_MSG_DELCHAIN, NLM_F_NONREC, family, kNamesBound));
  out.text(NFTA_CHAIN_TABLE, rules::name_of(table));
  out.text(NFTA_CHAIN_NAME, chain);
  finish(out.at());
}

void Batch::flush_chain(Family family, Table table, std::string_view chain) {
  if (!is_name(family, table, chain)) return;
  AttributeWriter out(begin(NFT_MSG_DELRULE, 0, family, kNamesBound));
  out.text(NFTA_RULE_TABLE, rules::name_of(table));
  out.text(NFTA_RULE_CHAIN, chain);
  finish(out.at());
}

void Batch::add_rule(Family family, Table table, std::string_view chain, const rules::Rule& rule, Placement placement,
                     bool echo) {
  if (!is_name(family, table, chain)) return;
  if (const std::string_view why = iptables::refusal_of(rule, family); !why.empty())
    return refuse(family, table, chain, "write rule", why);
  using Where = Placement::Where;
  // NLM_F_APPEND means after the neighbour, or at the end when there is none.
  const bool append = placement.where == Where::kLast || placement.where == Where::kAfter;
  const std::uint16_t flags = NLM_F_CREATE | (append ? NLM_F_APPEND : 0) | (echo ? NLM_F_ECHO : 0);
  AttributeWriter out(begin(NFT_MSG_NEWRULE, flags, family, kNamesBound + iptables::encoded_bound(rule)));
  out.text(NFTA_RULE_TABLE, rules::name_of(table));
  out.text(NFTA_RULE_CHAIN, chain);
  if (placement.where == Where::kBefore || placement.where == Where::kAfter)
    out.be64(NFTA_RULE_POSITION, placement.handle);
  finish(iptables::encode_rule(out.at(), rule, family));
  if (echo) ++echoes_;
}

void Batch::delete_rule(Family family, Table table, std::string_view chain, std::uint64_t handle) {
  if (!is_name(family, table, chain)) return;
  AttributeWriter out(begin(NFT_MSG_DELRULE, 0, family, kNamesBound));
  out.text(NFTA_RULE_TABLE, rules::name_of(table));
  out.text(NFTA_RULE_CHAIN, chain);
  out.be64(NFTA_RULE_HANDLE, handle);
  finish(out.at());
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
