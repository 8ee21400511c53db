#include "netlink/trace/trace_table.h"

#include <linux/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <string>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/core/batch.h"
#include "netlink/core/nf_tables.h"
#include "netlink/trace/trace_rules.h"

namespace kubenatd::netlink::trace {
namespace {

using rules::Family;

// Behind the defragmentation (-400), so that ports are there, and before raw (-300).
constexpr std::int32_t kBeforeRaw = -350;
// Behind connection tracking (-200), before mangle (-150).
constexpr std::int32_t kBehindTracking = -199;
// The kernel's own last hook, which confirms connections, has INT_MAX.
constexpr std::int32_t kLast = INT_MAX - 1;

struct PlacedChain {
  std::string_view name;
  std::uint32_t hook;
  std::int32_t priority;
  TracePlace place;
};
constexpr std::array<PlacedChain, 6> kChains{{
    {"prerouting", NF_INET_PRE_ROUTING, kBeforeRaw, TracePlace::kStart},
    {"output", NF_INET_LOCAL_OUT, kBeforeRaw, TracePlace::kStart},
    {"replies-prerouting", NF_INET_PRE_ROUTING, kBehindTracking, TracePlace::kReply},
    {"replies-output", NF_INET_LOCAL_OUT, kBehindTracking, TracePlace::kReply},
    {"arrived", NF_INET_LOCAL_IN, kLast, TracePlace::kArrived},
    {"left", NF_INET_POST_ROUTING, kLast, TracePlace::kLeft},
}};

// What nft calls its types (include/datatype.h of 1.0.6), so that it can list the set.
constexpr std::uint32_t kTypeIpv4 = 7, kTypeIpv6 = 8, kTypeProtocol = 12, kTypeService = 13;
constexpr unsigned kTypeBits = 6;

constexpr std::size_t kNamesBound = 1024;
// One attribute holds 64 KiB.
constexpr std::size_t kElementBound = 128;
constexpr std::size_t kMostSources = 400;

void add_table(Batch& batch, Family family, bool owned) {
  batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_TABLE_NAME, kTraceTable);
    if (owned) out.be32(NFTA_TABLE_FLAGS, kTableOwner);
    return out.at();
  });
}

void add_set(Batch& batch, Family family, bool has_source) {
  batch.add(NFT_MSG_NEWSET, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    const std::uint32_t address = family == Family::kIpv4 ? kTypeIpv4 : kTypeIpv6;
    std::uint32_t type = (address << kTypeBits | kTypeProtocol) << kTypeBits | kTypeService;
    std::uint32_t length = address_size(family) + 4 + 4;
    if (has_source) {
      type = type << kTypeBits | address;
      length += address_size(family);
    }
    AttributeWriter out(at);
    out.text(NFTA_SET_TABLE, kTraceTable);
    out.text(NFTA_SET_NAME, kTracedSet);
    out.be32(NFTA_SET_FLAGS, NFT_SET_TIMEOUT);
    out.be32(NFTA_SET_KEY_TYPE, type);
    out.be32(NFTA_SET_KEY_LEN, length);
    out.be32(NFTA_SET_ID, kTracedSetId);
    return out.at();
  });
}

std::string key_of(const TraceTarget& target, const rules::Address* source) {
  std::string key;
  const auto add = [&](const void* bytes, std::size_t size) {
    key.append(static_cast<const char*>(bytes), size);
    while (key.size() % 4 != 0) key.push_back('\0');
  };
  add(target.destination.bytes.data(), address_size(target.destination.family));
  const auto protocol = static_cast<std::uint8_t>(target.protocol);
  add(&protocol, sizeof protocol);
  const std::uint16_t port = htobe16(target.port);
  add(&port, sizeof port);
  if (source != nullptr) add(source->bytes.data(), address_size(source->family));
  return key;
}

void add_elements(Batch& batch, const TraceTarget& target) {
  std::vector<std::string> keys;
  if (target.sources.empty()) keys.push_back(key_of(target, nullptr));
  for (const rules::Address& source : target.sources) keys.push_back(key_of(target, &source));
  std::ranges::sort(keys);
  keys.erase(std::ranges::unique(keys).begin(), keys.end());
  const Family family = target.destination.family;
  batch.add(NFT_MSG_NEWSETELEM, NLM_F_CREATE, family, kNamesBound + keys.size() * kElementBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_SET_ELEM_LIST_TABLE, kTraceTable);
    out.text(NFTA_SET_ELEM_LIST_SET, kTracedSet);
    out.be32(NFTA_SET_ELEM_LIST_SET_ID, kTracedSetId);
    char* list = out.open();
    for (const std::string& bytes : keys) {
      char* element = out.open();
      char* key = out.open();
      out.raw(NFTA_DATA_VALUE, bytes.data(), static_cast<std::uint16_t>(bytes.size()));
      out.close(key, NFTA_SET_ELEM_KEY);
      out.be64(NFTA_SET_ELEM_TIMEOUT, static_cast<std::uint64_t>(target.lifetime.count()));
      out.close(element, NFTA_LIST_ELEM);
    }
    out.close(list, NFTA_SET_ELEM_LIST_ELEMENTS);
    return out.at();
  });
}

void add_chain(Batch& batch, Family family, const PlacedChain& chain) {
  batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_CHAIN_TABLE, kTraceTable);
    out.text(NFTA_CHAIN_NAME, chain.name);
    char* hook = out.open();
    out.be32(NFTA_HOOK_HOOKNUM, chain.hook);
    out.be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.priority));
    out.close(hook, NFTA_CHAIN_HOOK);
    out.be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
    out.literal(NFTA_CHAIN_TYPE, "filter");
    return out.at();
  });
}

void add_rule(Batch& batch, Family family, std::string_view chain, const std::string& expressions) {
  batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family, kNamesBound + expressions.size(), [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_RULE_TABLE, kTraceTable);
    out.text(NFTA_RULE_CHAIN, chain);
    char* list = out.open();
    std::memcpy(out.at(), expressions.data(), expressions.size());
    out = AttributeWriter(out.at() + expressions.size());
    out.close(list, NFTA_RULE_EXPRESSIONS);
    return out.at();
  });
}

void add_all(Batch& batch, const TraceTarget& target, bool owned) {
  const Family family = target.destination.family;
  const bool has_source = !target.sources.empty();
  add_table(batch, family, owned);
  add_set(batch, family, has_source);
  add_elements(batch, target);
  for (const PlacedChain& chain : kChains) {
    if (chain.place == TracePlace::kReply && !target.replies) continue;
    add_chain(batch, family, chain);
    if (chain.place == TracePlace::kStart) {
      const bool is_tcp = target.protocol == rules::Protocol::kTcp;
      if (is_tcp) add_rule(batch, family, chain.name, start_rule(family, has_source, true, kFirstPackets));
      add_rule(batch, family, chain.name,
               start_rule(family, has_source, false, is_tcp ? kOtherPackets : kFirstPackets));
    }
    if (chain.place == TracePlace::kReply) add_rule(batch, family, chain.name, reply_rule(family, has_source));
  }
}

void add_deletion(Batch& batch, Family family) {
  batch.add(NFT_MSG_DELTABLE, 0, family, kNamesBound, [](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_TABLE_NAME, kTraceTable);
    return out.at();
  });
}

}  // namespace

std::optional<TracePlace> trace_place(std::string_view chain) {
  const auto* found = std::ranges::find(kChains, chain, &PlacedChain::name);
  return found == kChains.end() ? std::nullopt : std::optional(found->place);
}

rules::Result<TraceTable> TraceTable::make(const TraceTarget& target) {
  auto socket = open_socket();
  if (!socket) return std::unexpected(std::move(socket.error()));
  return make(std::move(*socket), target);
}

rules::Result<TraceTable> TraceTable::make(std::unique_ptr<Socket> socket, const TraceTarget& target) {
  const std::string object = "table " + std::string(kTraceTable);
  const Family family = target.destination.family;
  if (target.port == 0 || target.lifetime.count() <= 0)
    return rules::fail(object, "make", "a flow has a port and the trace an end", EINVAL);
  if (target.sources.size() > kMostSources)
    return rules::fail(object, "make", "more than " + std::to_string(kMostSources) + " sources", E2BIG);
  for (const rules::Address& source : target.sources)
    if (source.family != family) return rules::fail(object, "make", "a source is of the other family", EINVAL);

  NfTables kernel(std::move(socket));
  auto left_behind = kernel.has_table(family, kTraceTable);
  if (!left_behind) return std::unexpected(std::move(left_behind.error()));
  if (*left_behind) {
    Batch deletion;
    add_deletion(deletion, family);
    const auto deleted = kernel.commit(deletion, std::nullopt);
    // The kernel lets nobody but its owner touch it.
    if (!deleted && deleted.error().error.code == EPERM)
      return rules::fail(object, "make", "another process traces already", EBUSY);
    if (!deleted && deleted.error().error.code != ENOENT) return std::unexpected(deleted.error().error);
  }
  for (const bool owned : {true, false}) {
    Batch batch;
    add_all(batch, target, owned);
    const auto made = kernel.commit(batch, std::nullopt);
    if (made) return TraceTable(std::move(kernel), family, owned);
    const int code = made.error().error.code;
    const bool old_kernel = owned && (code == EINVAL || code == EOPNOTSUPP);
    if (!old_kernel) return std::unexpected(made.error().error);
  }
  return rules::fail(object, "make", "the kernel refuses it", EINVAL);
}

TraceTable::~TraceTable() {
  if (!kernel_) return;
  Batch deletion;
  add_deletion(deletion, family_);
  (void)kernel_->commit(deletion, std::nullopt);  // somebody may have been faster, and the socket's end does it, too
}

}  // namespace kubenatd::netlink::trace
