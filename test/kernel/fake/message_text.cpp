#include "test/kernel/fake/message_text.h"

#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <map>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/names.h"
#include "netlink/iptables/rule_decoder.h"
#include "rules/text.h"

namespace kubenatd::test {
namespace {

using netlink::Attribute;
using netlink::AttributeReader;
using netlink::find_attribute;

bool is_zero(std::string_view bytes) {
  return std::ranges::all_of(bytes, [](char c) { return c == 0; });
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

/// Attributes in order of their number, but for `left_out`.
std::string describe_attributes(std::string_view attributes, const std::vector<std::uint16_t>& left_out = {}) {
  std::map<std::uint16_t, std::string> parts;
  AttributeReader reader(attributes);
  for (Attribute attribute; reader.next(attribute);)
    if (!is_zero(attribute.payload) && std::ranges::find(left_out, attribute.type) == left_out.end())
      parts[attribute.type] = hex(attribute.payload);
  std::string text;
  for (const auto& [type, value] : parts) text += fmt::format(" {}={}", type, value);
  return text;
}

/// Rules of iptables' model as iptables-save prints them, others expression by expression.
std::string describe_expressions(std::string_view expressions, std::uint8_t family_number) {
  const auto family = netlink::family_of(family_number);
  if (!family) return hex(expressions);
  rules::Rule rule;
  netlink::iptables::RuleCounters counters;
  netlink::iptables::decode_rule(expressions, *family, rule, counters);
  if (rule.opaque.empty()) return rules::to_text(rule, *family);
  std::string text;
  AttributeReader reader(expressions);
  for (Attribute expression; reader.next(expression);)
    text += fmt::format(" [{}{}]", find_attribute(expression.payload, NFTA_EXPR_NAME).text(),
                        describe_attributes(find_attribute(expression.payload, NFTA_EXPR_DATA).payload));
  return text;
}

std::string describe_rule(const netlink::Message& message, bool dumped) {
  const std::string_view attributes = message.attributes();
  std::string text = fmt::format("{} {} handle {}", find_attribute(attributes, NFTA_RULE_TABLE).text(),
                                 find_attribute(attributes, NFTA_RULE_CHAIN).text(),
                                 find_attribute(attributes, NFTA_RULE_HANDLE).be64());
  if (dumped) text += fmt::format(" after {}", find_attribute(attributes, NFTA_RULE_POSITION).be64());
  text += fmt::format(": {} user {}",
                      describe_expressions(find_attribute(attributes, NFTA_RULE_EXPRESSIONS).payload, message.family()),
                      hex(find_attribute(attributes, NFTA_RULE_USERDATA).payload));
  return text;
}

void describe_elements(const netlink::Message& message, const std::string& head, std::vector<std::string>& lines) {
  const std::string_view attributes = message.attributes();
  const std::string name = fmt::format("{}{} {}", head, find_attribute(attributes, NFTA_SET_ELEM_LIST_TABLE).text(),
                                       find_attribute(attributes, NFTA_SET_ELEM_LIST_SET).text());
  const Attribute list = find_attribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS);
  AttributeReader reader(list.payload);
  std::vector<std::string> elements;
  for (Attribute element; reader.next(element);)
    elements.push_back(name + describe_attributes(element.payload, {NFTA_SET_ELEM_TIMEOUT, NFTA_SET_ELEM_EXPIRATION}));
  if (elements.empty()) elements.push_back(name + " empty");
  for (std::string& element : elements) lines.push_back(std::move(element));
}

void describe_message(const netlink::Message& message, std::uint32_t own, std::vector<std::string>& lines) {
  if (message.type == NLMSG_ERROR) {
    const netlink::Acknowledgement answer = netlink::read_acknowledgement(message);
    lines.push_back(fmt::format("answer to {}: {} at {} {}{}", message.sequence, answer.code, answer.offset,
                                answer.explanation, message.sequence == answer.sequence ? "" : " WRONG"));
    return;
  }
  if (message.type == NLMSG_DONE) {
    lines.push_back(fmt::format("done {} {}", message.sequence, netlink::read_end_of_dump(message).code));
    return;
  }
  const auto type = message.table_type();
  if (!type) {
    lines.push_back(fmt::format("message of type {}", message.type));
    return;
  }
  const bool dumped = (message.flags & NLM_F_MULTI) != 0;
  const std::string head =
      fmt::format("message {} seq {} mark {} family {}{}{} ", *type, message.sequence, message.generation_mark(),
                  message.family(), dumped ? " dumped" : "", message.port_id == own ? " own" : "");
  switch (*type) {
    case NFT_MSG_NEWRULE:
    case NFT_MSG_DELRULE: lines.push_back(head + describe_rule(message, dumped)); break;
    case NFT_MSG_NEWSETELEM:
    case NFT_MSG_DELSETELEM: describe_elements(message, head, lines); break;
    case NFT_MSG_NEWTABLE: {
      // Whether there is an owner, not its port, which each kernel gives.
      const bool owned = !find_attribute(message.attributes(), NFTA_TABLE_OWNER).payload.empty();
      lines.push_back(head + describe_attributes(message.attributes(), {NFTA_TABLE_OWNER}) + (owned ? " owned" : ""));
      break;
    }
    case NFT_MSG_NEWSET:
    case NFT_MSG_DELSET:
      // What kind of set the kernel chose, and how much is in it (since 6.16).
      lines.push_back(head + describe_attributes(message.attributes(), {NFTA_SET_PAD, 19, 20}));
      break;
    case NFT_MSG_NEWCHAIN:
    case NFT_MSG_DELCHAIN:
      lines.push_back(head + describe_attributes(message.attributes(), {NFTA_CHAIN_PAD, NFTA_CHAIN_COUNTERS}));
      break;
    default: lines.push_back(head + describe_attributes(message.attributes())); break;
  }
}

}  // namespace

void describe_messages(std::string_view datagram, std::uint32_t own, std::vector<std::string>& lines) {
  netlink::MessageReader reader(datagram);
  for (netlink::Message message; reader.next(message);) describe_message(message, own, lines);
}

std::string describe_request(std::string_view bytes) {
  std::string text;
  netlink::MessageReader reader(bytes);
  for (netlink::Message message; reader.next(message);) {
    const auto type = message.table_type();
    if (!type) continue;
    text += fmt::format("\n    {}: message {} flags {:x} family {} {} {}", message.sequence, *type, message.flags,
                        message.family(), find_attribute(message.attributes(), 1).text(),
                        *type == NFT_MSG_GETGEN ? "" : find_attribute(message.attributes(), 2).text());
    if (*type == NFT_MSG_NEWCHAIN || *type == NFT_MSG_DELCHAIN) text += describe_attributes(message.attributes(), {1});
    if (*type == NFT_MSG_NEWRULE || *type == NFT_MSG_DELRULE)
      text += fmt::format(
          " handle {} position {}: {}", find_attribute(message.attributes(), NFTA_RULE_HANDLE).be64(),
          find_attribute(message.attributes(), NFTA_RULE_POSITION).be64(),
          describe_expressions(find_attribute(message.attributes(), NFTA_RULE_EXPRESSIONS).payload, message.family()));
    if (*type == NFT_MSG_NEWSETELEM || *type == NFT_MSG_DELSETELEM) {
      AttributeReader list(find_attribute(message.attributes(), NFTA_SET_ELEM_LIST_ELEMENTS).payload);
      for (Attribute element; list.next(element);) text += " {" + describe_attributes(element.payload) + " }";
    }
  }
  return text;
}

}  // namespace kubenatd::test
