#include "netlink/core/refusal.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <cstddef>

#include "netlink/core/attributes.h"
#include "netlink/core/names.h"
#include "netlink/core/rule_attributes.h"

namespace kubenatd::netlink {
namespace {

constexpr std::size_t kHeader = sizeof(nlmsghdr) + sizeof(nfgenmsg);

/// Which expression of a rule the kernel did not like, and where the rule leads to.
void name_expression(std::string_view message, std::uint32_t offset, rules::Refusal& refusal) {
  const std::string_view expressions = refusal.attributes.empty()
                                           ? std::string_view()
                                           : find_attribute(message.substr(kHeader), NFTA_RULE_EXPRESSIONS).payload;
  refusal.jump = jump_of(expressions);
  AttributeReader reader(expressions);
  for (Attribute element; reader.next(element);) {
    const auto start = static_cast<std::size_t>(element.payload.data() - message.data());
    if (offset == 0 || offset + NLA_HDRLEN < start || offset >= start + element.payload.size()) continue;
    const std::string_view name = find_attribute(element.payload, NFTA_EXPR_NAME).text();
    refusal.expression = name;
    if (name == "match" || name == "target")
      refusal.expression.append(" ").append(
          find_attribute(find_attribute(element.payload, NFTA_EXPR_DATA).payload, NFTA_MATCH_NAME).text());
  }
}

/// The element of a list that lies at `offset` of its message, or the only one; empty when it is not known which.
std::string_view element_at(std::string_view attributes, std::string_view message, std::uint32_t offset) {
  AttributeReader list(find_attribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).payload);
  std::size_t count = 0;
  std::string_view last;
  for (Attribute element; list.next(element); ++count) {
    const auto start = static_cast<std::size_t>(element.payload.data() - message.data());
    if (offset + NLA_HDRLEN >= start && offset < start + element.payload.size()) return element.payload;
    last = element.payload;
  }
  return count == 1 ? last : std::string_view();
}

}  // namespace

rules::Operation operation_of(std::uint16_t type) {
  using rules::Operation;
  switch (type) {
    case NFT_MSG_NEWTABLE: return Operation::kCreateTable;
    case NFT_MSG_DELTABLE: return Operation::kDeleteTable;
    case NFT_MSG_NEWCHAIN: return Operation::kCreateChain;
    case NFT_MSG_DELCHAIN: return Operation::kDeleteChain;
    case NFT_MSG_NEWRULE: return Operation::kAddRule;
    case NFT_MSG_DELRULE: return Operation::kDeleteRule;
    case NFT_MSG_NEWSET: return Operation::kCreateSet;
    case NFT_MSG_DELSET: return Operation::kDeleteSet;
    case NFT_MSG_NEWSETELEM: return Operation::kAddElement;
    case NFT_MSG_DELSETELEM: return Operation::kDeleteElement;
    case NFT_MSG_NEWFLOWTABLE: return Operation::kCreateFlowtable;
    case NFT_MSG_DELFLOWTABLE: return Operation::kDeleteFlowtable;
    default: return Operation::kNone;
  }
}

rules::Refusal name_refusal(const Acknowledgement& answer, std::string_view message) {
  rules::Refusal refusal;
  refusal.code = answer.code;
  refusal.explanation = answer.explanation;
  MessageReader reader(message);
  Message parsed;
  const auto family = reader.next(parsed) ? family_of(parsed.family()) : std::nullopt;
  if (!family) return refusal;
  const std::uint16_t type = parsed.table_type().value_or(0);
  const std::string_view attributes = parsed.attributes();
  refusal.operation = operation_of(type);
  rules::ObjectRef& object = refusal.object;
  object.family = *family;
  // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE are one number.
  object.table = find_attribute(attributes, NFTA_TABLE_NAME).text();
  switch (refusal.operation) {
    case rules::Operation::kAddRule:
      refusal.attributes = find_attribute(attributes, NFTA_RULE_EXPRESSIONS).payload;
      name_expression(message, answer.offset, refusal);
      [[fallthrough]];
    case rules::Operation::kDeleteRule:
      object.kind = rules::ObjectRef::Kind::kRule;
      object.name = find_attribute(attributes, NFTA_RULE_CHAIN).text();
      object.handle = find_attribute(attributes, NFTA_RULE_HANDLE).be64();
      break;
    case rules::Operation::kCreateChain:
    case rules::Operation::kDeleteChain:
      object.kind = rules::ObjectRef::Kind::kChain;
      object.name = find_attribute(attributes, NFTA_CHAIN_NAME).text();
      break;
    case rules::Operation::kAddElement:
    case rules::Operation::kDeleteElement:
      object.kind = rules::ObjectRef::Kind::kElement;
      object.name = find_attribute(attributes, NFTA_SET_ELEM_LIST_SET).text();
      refusal.attributes = element_at(attributes, message, answer.offset);
      break;
    case rules::Operation::kCreateSet:
    case rules::Operation::kDeleteSet:
      object.kind = rules::ObjectRef::Kind::kSet;
      object.name = find_attribute(attributes, NFTA_SET_NAME).text();
      break;
    case rules::Operation::kCreateFlowtable:
    case rules::Operation::kDeleteFlowtable:
      object.kind = rules::ObjectRef::Kind::kFlowtable;
      object.name = find_attribute(attributes, NFTA_FLOWTABLE_NAME).text();
      break;
    default: break;
  }
  return refusal;
}

}  // namespace kubenatd::netlink
