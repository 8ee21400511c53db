#include "netlink/iptables/writer.h"

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

namespace kubenatd::netlink::iptables {
namespace {

using rules::Family;
using rules::Table;

constexpr std::size_t kHeader = sizeof(nlmsghdr) + sizeof(nfgenmsg);
// Table and chain names, handles and flags of any message, rounded up.
constexpr std::size_t kNamesBound = 512;
constexpr std::size_t kMaxChainName = 255;  // NFT_CHAIN_MAXNAMELEN - 1

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

struct FreeTable {
  void operator()(nftnl_table* table) const { nftnl_table_free(table); }
};
struct FreeChain {
  void operator()(nftnl_chain* chain) const { nftnl_chain_free(chain); }
};

void refuse(Batch& batch, Family family, std::string_view table, std::string_view chain, std::string_view operation,
            std::string_view why) {
  batch.refuse({describe_object(family, table, chain), std::string(operation), std::string(why), EINVAL});
}

bool is_name(Batch& batch, Family family, std::string_view table, std::string_view chain) {
  if (!chain.empty() && chain.size() <= kMaxChainName && chain.find('\0') == std::string_view::npos) return true;
  refuse(batch, family, table, chain.substr(0, kMaxChainName), "write", "the name of a chain has 1 to 255 bytes");
  return false;
}

}  // namespace

void add_table(Batch& batch, Family family, Table table) {
  const std::unique_ptr<nftnl_table, FreeTable> description(nftnl_table_alloc());
  if (!description || nftnl_table_set_str(description.get(), NFTNL_TABLE_NAME, rules::name_of(table).data()) != 0)
    throw std::bad_alloc();
  batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    auto* message = reinterpret_cast<nlmsghdr*>(at - kHeader);
    message->nlmsg_len = kHeader;
    nftnl_table_nlmsg_build_payload(message, description.get());
    return at - kHeader + message->nlmsg_len;
  });
}

void delete_table(Batch& batch, Family family, Table table) {
  batch.add(NFT_MSG_DELTABLE, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_TABLE_NAME, rules::name_of(table));
    return out.at();
  });
}

void add_base_chain(Batch& batch, Family family, Table table, std::string_view chain) {
  const Hook* hook = find_hook(table, chain);
  if (hook == nullptr)
    return refuse(batch, family, rules::name_of(table), chain, "create chain", "it is no builtin chain of iptables");
  const std::unique_ptr<nftnl_chain, FreeChain> description(nftnl_chain_alloc());
  if (!description || nftnl_chain_set_str(description.get(), NFTNL_CHAIN_TABLE, rules::name_of(table).data()) != 0 ||
      nftnl_chain_set_str(description.get(), NFTNL_CHAIN_NAME, hook->chain.data()) != 0 ||
      nftnl_chain_set_str(description.get(), NFTNL_CHAIN_TYPE, hook->type) != 0)
    throw std::bad_alloc();
  nftnl_chain_set_u32(description.get(), NFTNL_CHAIN_HOOKNUM, hook->number);
  nftnl_chain_set_s32(description.get(), NFTNL_CHAIN_PRIO, hook->priority);
  nftnl_chain_set_u32(description.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
  batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    auto* message = reinterpret_cast<nlmsghdr*>(at - kHeader);
    message->nlmsg_len = kHeader;
    nftnl_chain_nlmsg_build_payload(message, description.get());
    return at - kHeader + message->nlmsg_len;
  });
}

void add_chain(Batch& batch, Family family, Table table, std::string_view chain, bool only_new) {
  if (!is_name(batch, family, rules::name_of(table), chain)) return;
  const std::uint16_t flags = NLM_F_CREATE | (only_new ? NLM_F_EXCL : 0);
  batch.add(NFT_MSG_NEWCHAIN, flags, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_CHAIN_TABLE, rules::name_of(table));
    out.text(NFTA_CHAIN_NAME, chain);
    return out.at();
  });
}

void delete_chain(Batch& batch, Family family, Table table, std::string_view chain) {
  if (!is_name(batch, family, rules::name_of(table), chain)) return;
  // NLM_F_NONREC: the kernel refuses a chain with rules in it (EBUSY) instead of deleting them too.
  batch.add(NFT_MSG_DELCHAIN, NLM_F_NONREC, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_CHAIN_TABLE, rules::name_of(table));
    out.text(NFTA_CHAIN_NAME, chain);
    return out.at();
  });
}

void flush_chain(Batch& batch, Family family, Table table, std::string_view chain) {
  if (!is_name(batch, family, rules::name_of(table), chain)) return;
  batch.add(NFT_MSG_DELRULE, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_RULE_TABLE, rules::name_of(table));
    out.text(NFTA_RULE_CHAIN, chain);
    return out.at();
  });
}

void add_rule(Batch& batch, Family family, Table table, std::string_view chain, const rules::Rule& rule,
              Placement placement, bool echo, RuleForm form) {
  if (!is_name(batch, family, rules::name_of(table), chain)) return;
  if (const std::string_view why = refusal_of(rule, family); !why.empty())
    return refuse(batch, family, rules::name_of(table), chain, "write rule", why);
  using Where = Placement::Where;
  // NLM_F_APPEND means after the neighbour, or at the end when there is none.
  const bool append = placement.where == Where::kLast || placement.where == Where::kAfter;
  const std::uint16_t flags = NLM_F_CREATE | (append ? NLM_F_APPEND : 0) | (echo ? NLM_F_ECHO : 0);
  batch.add(NFT_MSG_NEWRULE, flags, family, kNamesBound + encoded_bound(rule), [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_RULE_TABLE, rules::name_of(table));
    out.text(NFTA_RULE_CHAIN, chain);
    if (placement.where == Where::kBefore || placement.where == Where::kAfter)
      out.be64(NFTA_RULE_POSITION, placement.handle);
    return encode_rule(out.at(), rule, family, form);
  });
}

void delete_rule(Batch& batch, Family family, Table table, std::string_view chain, std::uint64_t handle) {
  delete_rule(batch, family, rules::name_of(table), chain, handle);
}

void delete_rule(Batch& batch, Family family, std::string_view table, std::string_view chain, std::uint64_t handle) {
  if (!is_name(batch, family, table, chain)) return;
  batch.add(NFT_MSG_DELRULE, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_RULE_TABLE, table);
    out.text(NFTA_RULE_CHAIN, chain);
    out.be64(NFTA_RULE_HANDLE, handle);
    return out.at();
  });
}

}  // namespace kubenatd::netlink::iptables
