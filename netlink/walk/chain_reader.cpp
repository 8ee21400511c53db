#include "netlink/walk/chain_reader.h"

#include <fmt/format.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/walk/element_lookup.h"
#include "netlink/walk/expression_attributes.h"
#include "netlink/walk/rule_reader.h"

namespace kubenatd::netlink::walk {

using namespace rules::walk;
using rules::Status;

namespace {

/// Visits the rules as they are in messages.
Status dump_rules(NfTables& kernel, const WalkTable& table, std::string_view chain,
                  const std::function<void(std::string_view chain, const ExpressionAttributes& rule)>& visit,
                  const std::function<void()>& restart) {
  DumpQuestion question;
  question.type = NFT_MSG_GETRULE;
  question.table = table.name;
  question.name = chain;
  question.any_family = number_of(table.family);
  const auto look = [&](const Message& message) {
    const ExpressionAttributes attributes(message.attributes());
    const std::string_view of = attributes.text(NFTA_RULE_CHAIN);
    if (attributes.text(NFTA_RULE_TABLE) == table.name && (chain.empty() || chain == of)) visit(of, attributes);
  };
  const auto once = [&](bool loose) { return kernel.dump_once(question, look, loose); };
  return kernel.dump(fmt::format("{} {} {}", name_of(table.family), table.name, chain), once, restart,
                     Interrupted::kAccept);
}

}  // namespace

Status read_rules(NfTables& kernel, const WalkTable& table, std::string_view chain, const RuleVisitor& visit,
                  const std::function<void()>& restart) {
  const auto look = [&](std::string_view of, const ExpressionAttributes& attributes) {
    WalkRule rule = read_rule(attributes.payload(NFTA_RULE_EXPRESSIONS), attributes.payload(NFTA_RULE_USERDATA), table);
    rule.handle = attributes.be64(NFTA_RULE_HANDLE);
    visit(of, std::move(rule));
  };
  return dump_rules(kernel, table, chain, look, restart);
}

Status read_written_sets(NfTables& kernel, const WalkTable& table, std::string_view chain,
                         const std::function<void(std::string_view set)>& visit) {
  const auto look = [&](std::string_view /*of*/, const ExpressionAttributes& attributes) {
    AttributeReader list(attributes.payload(NFTA_RULE_EXPRESSIONS));
    for (Attribute element; list.next(element);) {
      const ExpressionAttributes expression(element.payload);
      if (expression.text(NFTA_EXPR_NAME) == "dynset")
        visit(find_attribute(expression.payload(NFTA_EXPR_DATA), NFTA_DYNSET_SET_NAME).text());
    }
  };
  return dump_rules(kernel, table, chain, look, [] {});
}

void ChainNames::add(std::string_view name) {
  starts_.push_back(static_cast<std::uint32_t>(names_.size()));
  names_.append(name).push_back('\0');
}

void ChainNames::sort() {
  std::ranges::sort(starts_, {}, [this](std::uint32_t start) { return at(start); });
}

std::vector<std::uint32_t>::const_iterator ChainNames::first_from(std::string_view name) const {
  return std::ranges::lower_bound(starts_, name, {}, [this](std::uint32_t start) { return at(start); });
}

bool ChainNames::contains(std::string_view name) const {
  const auto found = first_from(name);
  return found != starts_.end() && at(*found) == name;
}

bool ChainNames::has_like(std::string_view start) const {
  const auto found = first_from(start);
  return found != starts_.end() && at(*found).starts_with(start);
}

void ChainNames::for_each(const std::function<void(std::string_view name)>& visit) const {
  for (const std::uint32_t start : starts_) visit(at(start));
}

void ChainNames::clear() {
  names_.clear();
  starts_.clear();
}

std::optional<WalkChain> KernelChains::read(const WalkTable& table, std::string_view name) {
  if (!names_.contains(name)) return std::nullopt;
  WalkChain chain;
  chain.name = name;
  const auto visit = [&](std::string_view /*of*/, WalkRule&& rule) { chain.rules.push_back(std::move(rule)); };
  chain.unread = !read_rules(*kernel_, table, name, visit, [&] { chain.rules.clear(); });
  return chain;
}

}  // namespace kubenatd::netlink::walk
