#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/names.h"
#include "netlink/core/nf_tables.h"
#include "netlink/iptables/rule_decoder.h"

/// The writing half of NfTables: a transaction and what the kernel says to it.
namespace kubenatd::netlink {
namespace {

using rules::Error;
using rules::Family;
using rules::Table;

constexpr std::size_t kHeader = sizeof(nlmsghdr) + sizeof(nfgenmsg);

// An echoed rule is a message of its own, packed into 4 KiB datagrams (nft_commit_notify) unless it is larger; the
// kernel doubles what is asked for and counts its own overhead.
constexpr std::size_t kEchoBytes = 4096;
constexpr std::size_t kAnswerBytes = 1024 * 1024;
// What sendmsg of a transaction may take beyond its bytes (sk_buff and padding).
constexpr std::size_t kSendOverhead = 64 * 1024;

std::string_view operation_of(std::uint16_t type) {
  switch (type) {
    case NFT_MSG_NEWTABLE: return "create table";
    case NFT_MSG_DELTABLE: return "delete table";
    case NFT_MSG_NEWCHAIN: return "create chain";
    case NFT_MSG_DELCHAIN: return "delete chain";
    case NFT_MSG_NEWRULE: return "add rule";
    case NFT_MSG_DELRULE: return "delete rule";
    case NFT_MSG_NEWSET: return "create set";
    case NFT_MSG_DELSET: return "delete set";
    case NFT_MSG_NEWSETELEM: return "add elements";
    case NFT_MSG_DELSETELEM: return "delete elements";
    default: return "commit";
  }
}

/// What of a rule the kernel did not like: "expression immediate, -j KUBE-X". The rule is put into `rule`.
std::string describe_fault(std::string_view message, std::uint32_t offset, Family family, rules::Rule& rule) {
  std::string text;
  const Attribute list = find_attribute(message.substr(kHeader), NFTA_RULE_EXPRESSIONS);
  AttributeReader reader(list.payload);
  for (Attribute element; reader.next(element);) {
    const auto start = static_cast<std::size_t>(element.payload.data() - message.data());
    if (offset + NLA_HDRLEN < start || offset >= start + element.payload.size()) continue;
    const std::string_view name = find_attribute(element.payload, NFTA_EXPR_NAME).text();
    text.append("expression ").append(name);
    if (name == "match" || name == "target") {
      const Attribute data = find_attribute(element.payload, NFTA_EXPR_DATA);
      text.append(" ").append(find_attribute(data.payload, NFTA_MATCH_NAME).text());
    }
    break;
  }
  iptables::RuleCounters counters;
  iptables::decode_rule(list.payload, family, rule, counters);
  if (const std::string_view chain = rules::jump_target(rule); !chain.empty())
    text.append(text.empty() ? "-j " : ", -j ").append(chain);
  return text;
}

/// The element of a list that lies at `offset` of its message; empty when none does.
std::string_view element_at(std::string_view attributes, std::string_view message, std::uint32_t offset) {
  AttributeReader list(find_attribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).payload);
  for (Attribute element; list.next(element);) {
    const auto start = static_cast<std::size_t>(element.payload.data() - message.data());
    if (offset + NLA_HDRLEN >= start && offset < start + element.payload.size()) return element.payload;
  }
  return {};
}

CommitFailure::Message name_refusal(const Acknowledgement& refusal, std::string_view message) {
  CommitFailure::Message result;
  result.error = {"nf_tables", "commit", refusal.cause(), refusal.code};
  MessageReader reader(message);
  Message parsed;
  const auto family = reader.next(parsed) ? family_of(parsed.family()) : std::nullopt;
  if (!family) return result;
  const std::uint16_t type = parsed.table_type().value_or(0);
  const bool is_rule = type == NFT_MSG_NEWRULE || type == NFT_MSG_DELRULE;
  const bool is_chain = type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN;
  // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE and NFTA_RULE_TABLE are one number.
  const std::string_view table = find_attribute(parsed.attributes(), NFTA_TABLE_NAME).text();
  result.table = table_of(table).value_or(Table::kFilter);
  if (is_rule) result.chain = find_attribute(parsed.attributes(), NFTA_RULE_CHAIN).text();
  if (is_chain) result.chain = find_attribute(parsed.attributes(), NFTA_CHAIN_NAME).text();
  const bool is_set = type >= NFT_MSG_NEWSET && type <= NFT_MSG_DELSETELEM;
  const std::string_view set = is_set ? find_attribute(parsed.attributes(), NFTA_SET_NAME).text() : std::string_view();
  result.set = set;
  if (type == NFT_MSG_NEWSETELEM || type == NFT_MSG_DELSETELEM)
    result.element = element_at(parsed.attributes(), message, refusal.offset);
  result.error.object = describe_object(*family, table, is_set ? set : std::string_view(result.chain));
  result.error.operation = operation_of(type);
  if (type == NFT_MSG_NEWRULE)
    if (const std::string fault = describe_fault(message, refusal.offset, *family, result.rule); !fault.empty())
      result.error.cause.append(" (").append(fault).append(")");
  return result;
}

std::unexpected<CommitFailure> refused(Error error, bool generation_changed = false) {
  return std::unexpected(CommitFailure{std::move(error), generation_changed, {}});
}

}  // namespace

std::expected<CommitReport, CommitFailure> NfTables::commit(Batch& batch, std::optional<std::uint32_t> generation) {
  if (batch.refused_) return refused(*batch.refused_);
  CommitReport report;
  if (batch.empty()) {
    if (generation) {
      report.generation = *generation;
      return report;
    }
    auto now = this->generation();
    if (!now) return refused(std::move(now.error()));
    report.generation = *now;
    return report;
  }
  socket_.drain();
  socket_.grow_send_buffer(batch.bytes() + kSendOverhead);
  if (batch.echoes_ != 0) socket_.grow_receive_buffer(kAnswerBytes + batch.echoes_ * kEchoBytes);
  const rules::Status sent = socket_.send(batch.seal(generation));
  batch.unseal();
  if (!sent)
    return refused({"nf_tables", "commit", sent.error().operation + ": " + sent.error().cause, sent.error().code});

  // The kernel has handled the transaction inside sendmsg: every answer is queued by now. A refused one sends no
  // echoes, so that these cannot push out a refusal: an overrun without any refusal has lost echoes and the
  // acknowledgement.
  CommitAnswers answers;
  if (!batch.first_is_echoed()) answers.unwanted = Batch::first_sequence();
  bool overrun = false;
  for (;;) {
    const auto received = socket_.poll();
    if (!received) return refused(received.error());
    if (received->kind == Received::Kind::kNothing) break;
    if (received->kind == Received::Kind::kOverrun) overrun = true;
    answers.add(received->data);
  }
  if (!answers.refusals.empty()) return name_refusals(batch, answers);
  if (!answers.acknowledged && !(overrun && batch.echoes_ != 0))
    return refused({"nf_tables", "commit", "the kernel did not answer", overrun ? ENOBUFS : EBADMSG});

  if (answers.handles.size() == batch.echoes_) report.handles = std::move(answers.handles);
  if (answers.generation) {
    report.generation = *answers.generation;
  } else if (generation) {
    // Without a word of the kernel nothing had to be changed, for which it starts no generation; in an overrun the word
    // was lost. 0 is passed over (nf_tables_commit).
    report.generation = overrun ? std::max(*generation + 1, 1U) : *generation;
  } else if (auto now = this->generation()) {
    report.generation = *now;
  }
  return report;
}

std::unexpected<CommitFailure> NfTables::name_refusals(const Batch& batch, const CommitAnswers& answers) {
  CommitFailure failure;
  for (const Acknowledgement& refusal : answers.refusals) {
    // The kernel answers this for the whole transaction, though with the sequence number of its first message.
    if (refusal.code == ERESTART) {
      failure.generation_changed = true;
      failure.error = {"nf_tables", "commit", "another writer came between", ERESTART};
      continue;
    }
    const std::string_view message = batch.message(refusal.sequence);
    CommitFailure::Message named = name_refusal(refusal, message);
    if (failure.error.code == 0) failure.error = named.error;
    if (!message.empty()) failure.messages.push_back(std::move(named));
  }
  return std::unexpected(std::move(failure));
}

}  // namespace kubenatd::netlink
