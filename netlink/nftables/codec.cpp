#include "netlink/nftables/codec.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstring>

#include "netlink/core/attributes.h"

namespace kubenatd::netlink::nftables {
namespace {

using namespace rules::nftables;
using rules::Family;

constexpr std::size_t kNamesBound = 1024;
// What nft calls its types (include/datatype.h of 1.0.6); the kernel only keeps the numbers.
constexpr std::uint32_t kTypeIpv4 = 7, kTypeIpv6 = 8, kTypeProtocol = 12, kTypeService = 13, kTypeClassId = 23;
constexpr unsigned kTypeBits = 6;
constexpr std::uint32_t kHostEndian = 1;  // nft's enum byteorder
// libnftnl's numbers of user data.
constexpr std::uint8_t kUserKeyByteOrder = 0;
constexpr std::uint8_t kUserDataByteOrder = 1;
// NFTA_SET_ELEM_LIST_ELEMENTS is one attribute, of 64 KiB at most.
constexpr std::size_t kListBytes = 60'000;
constexpr std::size_t kElementBound = 512;

std::uint32_t type_of(FieldType field, Family family) {
  switch (field) {
    case FieldType::kAddress: return family == Family::kIpv4 ? kTypeIpv4 : kTypeIpv6;
    case FieldType::kProtocol: return kTypeProtocol;
    case FieldType::kPort: return kTypeService;
    case FieldType::kClassId: return kTypeClassId;
  }
  return 0;
}

std::uint32_t bytes_of(FieldType field, Family family) {
  switch (field) {
    case FieldType::kAddress: return bits_of(family) / 8U;
    case FieldType::kProtocol: return 1;
    case FieldType::kPort: return 2;
    case FieldType::kClassId: return 4;
  }
  return 0;
}

std::uint32_t type_of(const std::vector<FieldType>& fields, Family family) {
  std::uint32_t type = 0;
  for (const FieldType field : fields) type = type << kTypeBits | type_of(field, family);
  return type;
}

std::uint32_t length_of(const std::vector<FieldType>& fields, Family family) {
  if (fields.size() == 1) return bytes_of(fields.front(), family);
  std::uint32_t length = 0;
  for (const FieldType field : fields) length += (bytes_of(field, family) + 3) / 4 * 4;
  return length;
}

bool is_host_endian(const std::vector<FieldType>& fields) {
  return fields.size() == 1 && fields.front() == FieldType::kClassId;
}

std::string user_data(std::uint8_t type, std::string_view payload) {
  std::string text;
  text.push_back(static_cast<char>(type));
  text.push_back(static_cast<char>(payload.size()));
  return text.append(payload);
}

std::string user_comment(std::string_view comment) {
  return user_data(kNftUserComment, std::string(comment) + '\0');
}

std::string user_number(std::uint8_t type, std::uint32_t number) {
  return user_data(type, {reinterpret_cast<const char*>(&number), sizeof number});
}

void raw(AttributeWriter& out, std::uint16_t type, std::string_view bytes) {
  out.raw(type, bytes.data(), static_cast<std::uint16_t>(bytes.size()));
}

std::uint32_t hook_number(Hook hook) {
  switch (hook) {
    case Hook::kPrerouting: return NF_INET_PRE_ROUTING;
    case Hook::kInput: return NF_INET_LOCAL_IN;
    case Hook::kForward: return NF_INET_FORWARD;
    case Hook::kOutput: return NF_INET_LOCAL_OUT;
    case Hook::kPostrouting: return NF_INET_POST_ROUTING;
    case Hook::kNone: break;
  }
  return 0;
}

void write_concatenation(AttributeWriter& out, const SetSpec& set, Family family) {
  char* fields = out.open();
  for (const FieldType field : set.key) {
    char* element = out.open();
    out.be32(NFTA_SET_FIELD_LEN, bytes_of(field, family));
    out.close(element, NFTA_LIST_ELEM);
  }
  out.close(fields, NFTA_SET_DESC_CONCAT);
}

}  // namespace

void add_nft_table(Batch& batch, Family family, std::optional<std::uint32_t> flags) {
  batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_TABLE_NAME, kTable);
    if (flags) out.be32(NFTA_TABLE_FLAGS, *flags);
    raw(out, NFTA_TABLE_USERDATA, user_comment(kTableComment));
    return out.at();
  });
}

void delete_nft_table(Batch& batch, Family family, std::string_view table) {
  batch.add(NFT_MSG_DELTABLE, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_TABLE_NAME, table);
    return out.at();
  });
}

void add_nft_set(Batch& batch, Family family, const SetSpec& set) {
  static std::uint32_t next_id = 0;  // only has to be new within the transaction
  batch.add(NFT_MSG_NEWSET, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    const LiveSet wanted = describe_nft_set(set, family);
    AttributeWriter out(at);
    out.text(NFTA_SET_TABLE, kTable);
    out.text(NFTA_SET_NAME, set.name);
    out.be32(NFTA_SET_FLAGS, wanted.flags);
    out.be32(NFTA_SET_KEY_TYPE, wanted.key_type);
    out.be32(NFTA_SET_KEY_LEN, wanted.key_length);
    if (!set.data.empty()) {
      out.be32(NFTA_SET_DATA_TYPE, wanted.data_type);
      out.be32(NFTA_SET_DATA_LEN, wanted.data_length);
    }
    out.be32(NFTA_SET_ID, ++next_id);
    if (set.size != 0 || set.interval) {
      char* description = out.open();
      if (set.size != 0) out.be32(NFTA_SET_DESC_SIZE, set.size);
      if (set.interval) write_concatenation(out, set, family);
      out.close(description, NFTA_SET_DESC);
    }
    std::string extra;
    if (is_host_endian(set.key)) extra += user_number(kUserKeyByteOrder, kHostEndian);
    if (is_host_endian(set.data)) extra += user_number(kUserDataByteOrder, kHostEndian);
    if (!extra.empty()) raw(out, NFTA_SET_USERDATA, extra);
    if (set.counted) {
      char* expression = out.open();
      out.text(NFTA_EXPR_NAME, kCounter);
      out.close(expression, NFTA_SET_EXPR);
    }
    return out.at();
  });
}

void delete_nft_set(Batch& batch, Family family, std::string_view set) {
  batch.add(NFT_MSG_DELSET, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_SET_TABLE, kTable);
    out.text(NFTA_SET_NAME, set);
    return out.at();
  });
}

namespace {

/// Without hook and priority, so that a flowtable which has gone meanwhile does not come back without its rules.
void change_device(Batch& batch, std::uint16_t type, Family family, std::string_view flowtable,
                   std::string_view device) {
  batch.add(type, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_FLOWTABLE_TABLE, kTable);
    out.text(NFTA_FLOWTABLE_NAME, flowtable);
    char* hook = out.open();
    char* devices = out.open();
    out.text(NFTA_DEVICE_NAME, device);
    out.close(devices, NFTA_FLOWTABLE_HOOK_DEVS);
    out.close(hook, NFTA_FLOWTABLE_HOOK);
    return out.at();
  });
}

}  // namespace

void add_nft_flowtable(Batch& batch, Family family, const FlowtableSpec& flowtable) {
  batch.add(NFT_MSG_NEWFLOWTABLE, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_FLOWTABLE_TABLE, kTable);
    out.text(NFTA_FLOWTABLE_NAME, flowtable.name);
    char* hook = out.open();
    out.be32(NFTA_FLOWTABLE_HOOK_NUM, NF_NETDEV_INGRESS);
    out.be32(NFTA_FLOWTABLE_HOOK_PRIORITY, static_cast<std::uint32_t>(flowtable.priority));
    out.close(hook, NFTA_FLOWTABLE_HOOK);
    return out.at();
  });
}

void add_flowtable_device(Batch& batch, Family family, std::string_view flowtable, std::string_view device) {
  change_device(batch, NFT_MSG_NEWFLOWTABLE, family, flowtable, device);
}

void remove_flowtable_device(Batch& batch, Family family, std::string_view flowtable, std::string_view device) {
  change_device(batch, NFT_MSG_DELFLOWTABLE, family, flowtable, device);
}

void delete_nft_flowtable(Batch& batch, Family family, std::string_view flowtable) {
  batch.add(NFT_MSG_DELFLOWTABLE, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_FLOWTABLE_TABLE, kTable);
    out.text(NFTA_FLOWTABLE_NAME, flowtable);
    return out.at();
  });
}

void add_nft_chain(Batch& batch, Family family, const Chain& chain) {
  batch.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_CHAIN_TABLE, kTable);
    out.text(NFTA_CHAIN_NAME, chain.name);
    if (chain.hook != Hook::kNone) {
      char* hook = out.open();
      out.be32(NFTA_HOOK_HOOKNUM, hook_number(chain.hook));
      out.be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.priority));
      out.close(hook, NFTA_CHAIN_HOOK);
      out.be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
      out.text(NFTA_CHAIN_TYPE, chain.nat ? "nat" : "filter");
    }
    return out.at();
  });
}

void delete_nft_chain(Batch& batch, Family family, std::string_view chain) {
  batch.add(NFT_MSG_DELCHAIN, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_CHAIN_TABLE, kTable);
    out.text(NFTA_CHAIN_NAME, chain);
    return out.at();
  });
}

void flush_nft_chain(Batch& batch, Family family, std::string_view chain) {
  batch.add(NFT_MSG_DELRULE, 0, family, kNamesBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_RULE_TABLE, kTable);
    out.text(NFTA_RULE_CHAIN, chain);
    return out.at();
  });
}

void add_nft_rule(Batch& batch, Family family, std::string_view chain, const NftRule& rule) {
  const std::string expressions = encode_nft_expressions(rule, family);
  batch.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, family, kNamesBound + expressions.size(), [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_RULE_TABLE, kTable);
    out.text(NFTA_RULE_CHAIN, chain);
    char* list = out.open();
    std::memcpy(out.at(), expressions.data(), expressions.size());
    out = AttributeWriter(out.at() + expressions.size());
    out.close(list, NFTA_RULE_EXPRESSIONS);
    if (!rule.comment.empty()) raw(out, NFTA_RULE_USERDATA, user_comment(rule.comment));
    return out.at();
  });
}

Bytes<kKeyCapacity> last_of(const ElementKey& key) {
  Bytes<kKeyCapacity> last = key.key;
  const std::size_t bits = std::min<std::size_t>(key.range, std::size_t{last.size} * 8);
  for (std::size_t bit = 0; bit < bits; ++bit)
    last.data[last.size - 1U - bit / 8] |= static_cast<std::uint8_t>(1U << bit % 8);
  return last;
}

void ElementWriter::write(const ElementKey& key, const ElementValue& value) {
  std::string& list = lists_[key.set];
  if (list.size() > kListBytes - kElementBound) send(key.set, list);
  const std::size_t before = list.size();
  list.resize(before + kElementBound);
  AttributeWriter out(list.data() + before);
  const auto nested = [&](std::uint16_t type, std::string_view bytes) {
    char* nest = out.open();
    raw(out, NFTA_DATA_VALUE, bytes);
    out.close(nest, type);
  };
  char* element = out.open();
  nested(NFTA_SET_ELEM_KEY, key.key.view());
  if (key.set.id == SetId::kSourceRanges) {
    nested(NFTA_SET_ELEM_KEY_END, last_of(key).view());
  }
  if (change_ == Change::kAdd && value.data.size != 0) nested(NFTA_SET_ELEM_DATA, value.data.view());
  if (change_ == Change::kAdd && value.comment)
    raw(out, NFTA_SET_ELEM_USERDATA, user_comment(std::string_view(*value.comment).substr(0, kMaxComment)));
  out.close(element, NFTA_LIST_ELEM);
  list.resize(static_cast<std::size_t>(out.at() - list.data()));
  ++elements_;
  if (packing_ == Packing::kSingle) send(key.set, list);
}

void ElementWriter::end() {
  for (auto& [set, list] : lists_)
    if (!list.empty()) send(set, list);
}

void ElementWriter::send(const SetRef& ref, std::string& elements) {
  const std::string set = name_of(ref);
  const bool adding = change_ == Change::kAdd;
  const std::uint16_t type = adding ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM;
  const std::uint16_t flags = adding ? NLM_F_CREATE | NLM_F_EXCL : 0;
  batch_.add(type, flags, family_, kNamesBound + elements.size(), [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_SET_ELEM_LIST_TABLE, kTable);
    out.text(NFTA_SET_ELEM_LIST_SET, set);
    char* list = out.open();
    std::memcpy(out.at(), elements.data(), elements.size());
    out = AttributeWriter(out.at() + elements.size());
    out.close(list, NFTA_SET_ELEM_LIST_ELEMENTS);
    return out.at();
  });
  elements.clear();
}

LiveSet describe_nft_set(const SetSpec& set, Family family) {
  LiveSet live;
  live.name = set.name;
  live.key_type = type_of(set.key, family);
  live.key_length = length_of(set.key, family);
  live.data_type = type_of(set.data, family);
  live.data_length = set.data.empty() ? 0 : length_of(set.data, family);
  if (!set.data.empty()) live.flags |= NFT_SET_MAP;
  if (set.dynamic) live.flags |= NFT_SET_EVAL | NFT_SET_TIMEOUT;
  if (set.interval) live.flags |= NFT_SET_INTERVAL | NFT_SET_CONCAT;
  live.size = set.size;
  live.counted = set.counted;
  return live;
}

bool LiveFlowtable::is_like(const FlowtableSpec& wanted) const {
  return name == wanted.name && hook == NF_NETDEV_INGRESS && priority == wanted.priority && flags == 0;
}

LiveNftChain describe_nft_chain(const Chain& chain) {
  LiveNftChain live;
  live.name = chain.name;
  if (chain.hook == Hook::kNone) return live;
  live.hook = hook_number(chain.hook);
  live.priority = chain.priority;
  live.type = chain.nat ? "nat" : "filter";
  live.policy = NF_ACCEPT;
  return live;
}

}  // namespace kubenatd::netlink::nftables
