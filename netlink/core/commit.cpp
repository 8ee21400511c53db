#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/names.h"
#include "netlink/core/nf_tables.h"
#include "netlink/core/rule_attributes.h"

/// The writing half of NfTables: a transaction and what the kernel says to it.
namespace kubenatd::netlink {
namespace {

using rules::Error;

constexpr std::size_t kHeader = sizeof(nlmsghdr) + sizeof(nfgenmsg);

// An echoed rule is a message of its own, packed into 4 KiB datagrams (nft_commit_notify) unless it is larger; the
// kernel doubles what is asked for and counts its own overhead.
constexpr std::size_t kEchoBytes = 4096;
constexpr std::size_t kAnswerBytes = 1024 * 1024;
// What sendmsg of a transaction may take beyond its bytes (sk_buff and padding).
constexpr std::size_t kSendOverhead = 64 * 1024;

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
    default: return Operation::kNone;
  }
}

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

/// The element of a list that lies at `offset` of its message; empty when none does.
std::string_view element_at(std::string_view attributes, std::string_view message, std::uint32_t offset) {
  AttributeReader list(find_attribute(attributes, NFTA_SET_ELEM_LIST_ELEMENTS).payload);
  for (Attribute element; list.next(element);) {
    const auto start = static_cast<std::size_t>(element.payload.data() - message.data());
    if (offset + NLA_HDRLEN >= start && offset < start + element.payload.size()) return element.payload;
  }
  return {};
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
    default: break;
  }
  return refusal;
}

std::unexpected<CommitFailure> not_applied(Error error) {
  return std::unexpected(CommitFailure{.error = std::move(error), .refusals = {}});
}

/// The one that a transaction starts; 0 is passed over (nf_tables_commit).
constexpr std::uint32_t generation_after(std::uint32_t generation) {
  return std::max(generation + 1, 1U);
}

}  // namespace

std::expected<CommitReport, CommitFailure> NfTables::commit(Batch& batch, std::optional<std::uint32_t> generation) {
  if (batch.refused_) return not_applied(*batch.refused_);
  // Only echoes can be so many that answers are lost; who did not ask for any is not made to wait for this.
  std::optional<std::uint32_t> before = generation;
  if (!before && (batch.empty() || batch.echoes_ != 0)) {
    auto now = this->generation();
    if (!now) return not_applied(std::move(now.error()));
    before = *now;
  }
  if (batch.empty()) return CommitReport{.generation = *before, .handles = {}};
  socket_->drain();
  socket_->grow_send_buffer(batch.bytes() + kSendOverhead);
  if (batch.echoes_ != 0) socket_->grow_receive_buffer(kAnswerBytes + batch.echoes_ * kEchoBytes);
  const rules::Status sent = socket_->send(batch.seal(generation));
  batch.unseal();
  if (!sent)
    return not_applied({"nf_tables", "commit", sent.error().operation + ": " + sent.error().cause, sent.error().code});

  auto answers = read_answers();
  if (!answers) return look_up_outcome(before, std::move(answers.error()));
  if (!answers->refusals.empty()) return name_refusals(batch, *answers);
  if (!answers->acknowledged) {
    const int code = answers->overrun ? ENOBUFS : EBADMSG;
    return look_up_outcome(before, {"nf_tables", "commit", "the kernel's answer was lost", code});
  }
  CommitReport report;
  if (answers->handles.size() == batch.echoes_) report.handles = std::move(answers->handles);
  if (answers->generation) {
    report.generation = *answers->generation;
    return report;
  }
  // Not told although asked for: nothing had to be changed, for which the kernel starts no generation.
  if (generation && batch.asked_generation_ && !answers->overrun) {
    report.generation = *generation;
    return report;
  }
  const auto now = this->generation();
  if (!now) return report;
  report.generation = generation && *now != *generation ? generation_after(*generation) : *now;
  return report;
}

rules::Result<CommitAnswers> NfTables::read_answers() {
  // The kernel has handled the transaction inside sendmsg: every answer is queued by now. A refused one sends no
  // echoes, so that these cannot push out a refusal.
  CommitAnswers answers;
  for (;;) {
    const auto received = socket_->poll();
    if (!received) return std::unexpected(received.error());
    if (received->kind == Received::Kind::kNothing) return answers;
    if (received->kind == Received::Kind::kOverrun) answers.overrun = true;
    answers.add(received->data);
  }
}

std::expected<CommitReport, CommitFailure> NfTables::look_up_outcome(std::optional<std::uint32_t> before, Error why) {
  const auto now = generation();
  if (now && before && *now == *before) return not_applied(std::move(why));
  // A refusal for another writer's sake (ERESTART) is a single small answer to a queue that was empty: it is not lost.
  // So the step is ours.
  if (now && before && *now == generation_after(*before)) return CommitReport{.generation = *now, .handles = {}};
  return std::unexpected(CommitFailure{.error = std::move(why), .unknown = true, .refusals = {}});
}

std::unexpected<CommitFailure> NfTables::name_refusals(const Batch& batch, const CommitAnswers& answers) {
  CommitFailure failure;
  std::uint32_t last_named = 0;
  for (const Acknowledgement& refusal : answers.refusals) {
    // The kernel answers this for the whole transaction, though with the sequence number of its first message.
    if (refusal.code == ERESTART) {
      failure.generation_changed = true;
      failure.error = {"nf_tables", "commit", "another writer came between", ERESTART};
      continue;
    }
    // The message before the first one bears its number: what is wrong with the table may be said twice.
    if (refusal.sequence != 0 && refusal.sequence == std::exchange(last_named, refusal.sequence)) continue;
    const std::string_view message = batch.message(refusal.sequence);
    rules::Refusal named = name_refusal(refusal, message);
    if (failure.error.code == 0) failure.error = rules::to_error(named);
    if (!message.empty()) failure.refusals.push_back(std::move(named));
  }
  return std::unexpected(std::move(failure));
}

}  // namespace kubenatd::netlink
