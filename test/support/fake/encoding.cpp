#include "test/support/fake/encoding.h"

#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cstring>

namespace kubenatd::test::fake {
namespace {

/// Writes a message into a string that grows.
class Encoder {
 public:
  Encoder() = default;
  Encoder(const Envelope& envelope, std::uint16_t type, std::uint8_t family) {
    header(envelope, static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type));
    const nfgenmsg general{family, NFNETLINK_V0, htobe16(static_cast<std::uint16_t>(envelope.generation))};
    plain(general);
  }
  void header(const Envelope& envelope, std::uint16_t type) {
    plain(nlmsghdr{0, type, envelope.flags, envelope.sequence, envelope.port_id});
  }
  template <class Value>
  void plain(const Value& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void bytes(std::string_view content) { bytes_.append(content); }
  void raw(std::uint16_t type, std::string_view content) {
    plain(nlattr{static_cast<std::uint16_t>(NLA_HDRLEN + content.size()), type});
    bytes_.append(content);
    bytes_.append((NLA_ALIGNTO - content.size() % NLA_ALIGNTO) % NLA_ALIGNTO, '\0');
  }
  void text(std::uint16_t type, const std::string& content) { raw(type, {content.c_str(), content.size() + 1}); }
  void be32(std::uint16_t type, std::uint32_t value) {
    value = htobe32(value);
    raw(type, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  void be64(std::uint16_t type, std::uint64_t value) {
    value = htobe64(value);
    raw(type, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  /// Without NLA_F_NESTED, as nf_tables does it.
  void nested(std::uint16_t type, std::string_view content) { raw(type, content); }
  [[nodiscard]] std::string attributes() { return std::move(bytes_); }
  [[nodiscard]] std::string message() {
    const auto size = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof size);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
};

std::string counter_at_zero() {
  Encoder data, expression;
  data.be64(NFTA_COUNTER_BYTES, 0);
  data.be64(NFTA_COUNTER_PACKETS, 0);
  expression.text(NFTA_EXPR_NAME, "counter");
  expression.nested(NFTA_EXPR_DATA, data.attributes());
  return expression.attributes();
}

std::string value_nest(std::uint16_t type, std::string_view value) {
  Encoder inner;
  inner.raw(NFTA_DATA_VALUE, value);
  return nest(type, inner.attributes());
}

}  // namespace

std::string nest(std::uint16_t type, std::string_view content) {
  Encoder out;
  out.nested(type, content);
  return out.attributes();
}

std::string encode_generation(const Envelope& envelope, const Process& writer) {
  Encoder out(envelope, NFT_MSG_NEWGEN, 0);
  out.be32(NFTA_GEN_ID, envelope.generation);
  out.be32(NFTA_GEN_PROC_PID, writer.id);
  out.text(NFTA_GEN_PROC_NAME, writer.name);
  return out.message();
}

std::string encode_table(const Envelope& envelope, std::uint16_t type, const Table& table) {
  Encoder out(envelope, type, table.family);
  out.text(NFTA_TABLE_NAME, table.name);
  out.be64(NFTA_TABLE_HANDLE, table.handle);
  if (type == NFT_MSG_DELTABLE) return out.message();
  out.be32(NFTA_TABLE_FLAGS, table.flags);
  if (table.owner != 0) out.be32(NFTA_TABLE_OWNER, table.owner);
  const auto used = std::ranges::count_if(table.chains, [](const auto& chain) { return chain->life.next; }) +
                    std::ranges::count_if(table.sets, [](const auto& set) { return set->life.next; });
  out.be32(NFTA_TABLE_USE, static_cast<std::uint32_t>(used));
  if (!table.user_data.empty()) out.raw(NFTA_TABLE_USERDATA, table.user_data);
  return out.message();
}

std::string encode_chain(const Envelope& envelope, std::uint16_t type, const Table& table, const Chain& chain) {
  Encoder out(envelope, type, table.family);
  out.text(NFTA_CHAIN_TABLE, table.name);
  out.text(NFTA_CHAIN_NAME, chain.name);
  out.be64(NFTA_CHAIN_HANDLE, chain.handle);
  if (type == NFT_MSG_DELCHAIN) return out.message();
  if (chain.hook) {
    Encoder hook;
    hook.be32(NFTA_HOOK_HOOKNUM, chain.hook->number);
    hook.be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.hook->priority));
    out.nested(NFTA_CHAIN_HOOK, hook.attributes());
    out.be32(NFTA_CHAIN_POLICY, chain.policy);
    out.text(NFTA_CHAIN_TYPE, chain.hook->type);
    out.be32(NFTA_CHAIN_FLAGS, NFT_CHAIN_BASE);
  }
  out.be32(NFTA_CHAIN_USE, chain.use);
  return out.message();
}

std::string encode_rule(const Envelope& envelope, std::uint16_t type, const Table& table, const Chain& chain,
                        const Rule& rule, std::uint64_t previous) {
  Encoder out(envelope, type, table.family);
  out.text(NFTA_RULE_TABLE, table.name);
  out.text(NFTA_RULE_CHAIN, chain.name);
  out.be64(NFTA_RULE_HANDLE, rule.handle);
  if (previous != 0) out.be64(NFTA_RULE_POSITION, previous);
  out.nested(NFTA_RULE_EXPRESSIONS, rule.expressions);
  if (!rule.user_data.empty()) out.raw(NFTA_RULE_USERDATA, rule.user_data);
  return out.message();
}

std::string encode_set(const Envelope& envelope, std::uint16_t type, const Table& table, const Set& set) {
  Encoder out(envelope, type, table.family);
  out.text(NFTA_SET_TABLE, table.name);
  out.text(NFTA_SET_NAME, set.name);
  out.be64(NFTA_SET_HANDLE, set.handle);
  if (type == NFT_MSG_DELSET) return out.message();
  if (set.flags != 0) out.be32(NFTA_SET_FLAGS, set.flags);
  out.be32(NFTA_SET_KEY_TYPE, set.key_type);
  out.be32(NFTA_SET_KEY_LEN, set.key_length);
  if ((set.flags & NFT_SET_MAP) != 0) {
    out.be32(NFTA_SET_DATA_TYPE, set.data_type);
    out.be32(NFTA_SET_DATA_LEN, set.data_length);
  }
  if (!set.user_data.empty()) out.raw(NFTA_SET_USERDATA, set.user_data);
  Encoder description;
  if (set.size != 0) description.be32(NFTA_SET_DESC_SIZE, set.size);
  if (set.fields.size() > 1) {
    Encoder fields;
    for (const std::uint32_t length : set.fields) {
      Encoder field;
      field.be32(NFTA_SET_FIELD_LEN, length);
      fields.nested(NFTA_LIST_ELEM, field.attributes());
    }
    description.nested(NFTA_SET_DESC_CONCAT, fields.attributes());
  }
  out.nested(NFTA_SET_DESC, description.attributes());
  if (set.counted) out.nested(NFTA_SET_EXPR, counter_at_zero());
  return out.message();
}

std::string encode_element(const Set& set, const Element& element) {
  std::string text = value_nest(NFTA_SET_ELEM_KEY, element.key);
  if (set.has_ranges()) text += value_nest(NFTA_SET_ELEM_KEY_END, element.key_end);
  if (!element.data.empty()) text += nest(NFTA_SET_ELEM_DATA, element.data);
  if (set.counted) text += nest(NFTA_SET_ELEM_EXPR, counter_at_zero());
  if (element.user_data.empty()) return text;
  Encoder user;
  user.raw(NFTA_SET_ELEM_USERDATA, element.user_data);
  return text + user.attributes();
}

std::string encode_elements(const Envelope& envelope, std::uint16_t type, const Table& table, const Set& set,
                            std::string_view elements) {
  Encoder out(envelope, type, table.family);
  out.text(NFTA_SET_ELEM_LIST_TABLE, table.name);
  out.text(NFTA_SET_ELEM_LIST_SET, set.name);
  out.nested(NFTA_SET_ELEM_LIST_ELEMENTS, elements);
  return out.message();
}

std::string encode_change(const Envelope& envelope, const Change& change) {
  if (change.element != nullptr)
    return encode_elements(envelope, change.type, *change.table, *change.set,
                           nest(NFTA_LIST_ELEM, encode_element(*change.set, *change.element)));
  if (change.set != nullptr) return encode_set(envelope, change.type, *change.table, *change.set);
  if (change.rule != nullptr) return encode_rule(envelope, change.type, *change.table, *change.chain, *change.rule, 0);
  if (change.chain != nullptr) return encode_chain(envelope, change.type, *change.table, *change.chain);
  return encode_table(envelope, change.type, *change.table);
}

std::string encode_answer(const Request& request, std::uint32_t port_id, const Problem& problem) {
  Encoder details;
  if (!problem.explanation.empty()) details.text(NLMSGERR_ATTR_MSG, problem.explanation);
  // In the host's byte order, as no attribute of nf_tables is.
  if (problem.offset != 0)
    details.raw(NLMSGERR_ATTR_OFFS, {reinterpret_cast<const char*>(&problem.offset), sizeof problem.offset});
  const std::string extended = details.attributes();
  Envelope envelope{NLM_F_CAPPED, request.sequence, port_id, 0};
  if (!extended.empty()) envelope.flags |= NLM_F_ACK_TLVS;
  nlmsgerr error{};
  error.error = -problem.code;
  std::memcpy(&error.msg, request.message.data(), sizeof error.msg);
  Encoder out;
  out.header(envelope, NLMSG_ERROR);
  out.plain(error);
  out.bytes(extended);
  return out.message();
}

std::string encode_done(const Envelope& envelope) {
  Encoder out;
  Envelope multi = envelope;
  multi.flags |= NLM_F_MULTI;
  out.header(multi, NLMSG_DONE);
  out.plain(std::int32_t{0});
  return out.message();
}

}  // namespace kubenatd::test::fake
