#include "netlink/core/trial.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/refusal.h"

namespace kubenatd::netlink {
namespace {

// Each refusal is a datagram of its own, which counts with the kernel's overhead.
constexpr std::size_t kAnswerBytes = 4096;
// What sendmsg may take beyond the bytes (sk_buff and padding).
constexpr std::size_t kSendOverhead = 64 * 1024;
constexpr std::size_t kNameBound = 320;
/// Of the begin message; those of a Batch's messages come behind it.
constexpr std::uint32_t kBeginSequence = 1;

std::string begin_message() {
  nlmsghdr header{.nlmsg_len = sizeof(nlmsghdr) + sizeof(nfgenmsg),
                  .nlmsg_type = NFNL_MSG_BATCH_BEGIN,
                  .nlmsg_flags = NLM_F_REQUEST,
                  .nlmsg_seq = kBeginSequence,
                  .nlmsg_pid = 0};
  nfgenmsg general{AF_UNSPEC, NFNETLINK_V0, htobe16(NFNL_SUBSYS_NFTABLES)};
  std::string bytes(header.nlmsg_len, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &general, sizeof general);
  return bytes;
}

/// The last message asks for an acknowledgement: silence is no yes.
void ask_for_answer(std::string& bytes) {
  std::size_t at = 0;
  nlmsghdr header{};
  for (std::size_t next = 0; next + sizeof header <= bytes.size(); next += NLMSG_ALIGN(header.nlmsg_len)) {
    std::memcpy(&header, bytes.data() + next, sizeof header);
    at = next;
  }
  std::memcpy(&header, bytes.data() + at, sizeof header);
  header.nlmsg_flags |= NLM_F_ACK;
  std::memcpy(bytes.data() + at, &header, sizeof header);
}

std::vector<std::string> features_of_rule(std::string_view attributes) {
  std::vector<std::string> features;
  AttributeReader reader(find_attribute(attributes, NFTA_RULE_EXPRESSIONS).payload);
  for (Attribute element; reader.next(element);) {
    std::string name(find_attribute(element.payload, NFTA_EXPR_NAME).text());
    const std::string_view data = find_attribute(element.payload, NFTA_EXPR_DATA).payload;
    // NFTA_TARGET_NAME is the same number.
    if (name == "match" || name == "target") name.append(" ").append(find_attribute(data, NFTA_MATCH_NAME).text());
    features.push_back(std::move(name));
  }
  return features;
}

std::string feature_of_set(std::string_view attributes) {
  const std::uint32_t flags = find_attribute(attributes, NFTA_SET_FLAGS).be32();
  if ((flags & NFT_SET_INTERVAL) != 0) return "set ranges";
  if ((flags & NFT_SET_TIMEOUT) != 0) return "set timeout";
  return (flags & NFT_SET_MAP) != 0 ? "set map" : "set";
}

std::vector<std::string> features_of(rules::Operation operation, std::string_view attributes) {
  switch (operation) {
    case rules::Operation::kCreateTable: return {"table"};
    case rules::Operation::kCreateSet: return {feature_of_set(attributes)};
    case rules::Operation::kAddRule: return features_of_rule(attributes);
    case rules::Operation::kCreateFlowtable: return {"flowtable"};
    case rules::Operation::kCreateChain: {
      const std::string_view type = find_attribute(attributes, NFTA_CHAIN_TYPE).text();
      if (type.empty()) return {};
      return {"chain " + std::string(type)};
    }
    default: return {};
  }
}

/// By sequence number: what was answered to it.
using Answers = std::map<std::uint32_t, Acknowledgement>;

rules::Result<Answers> read_answers(Socket& socket) {
  Answers answers;
  for (;;) {
    // The kernel has handled all of it inside sendmsg.
    const auto received = socket.poll();
    if (!received) return std::unexpected(received.error());
    if (received->kind == Received::Kind::kNothing) return answers;
    if (received->kind == Received::Kind::kOverrun)
      return rules::fail("nf_tables", "try out", "the kernel's answers were lost", ENOBUFS);
    MessageReader reader(received->data);
    for (Message message; reader.next(message);) {
      if (message.type != NLMSG_ERROR) continue;
      Acknowledgement answer = read_acknowledgement(message);
      const std::uint32_t sequence = answer.sequence;
      answers.insert_or_assign(sequence, std::move(answer));
    }
  }
}

}  // namespace

rules::Result<std::vector<TriedMessage>> try_out(Socket& socket, const Batch& batch) {
  if (batch.refused()) return std::unexpected(*batch.refused());
  std::vector<TriedMessage> tried;
  if (batch.empty()) return tried;
  std::string bytes = begin_message().append(batch.written());
  ask_for_answer(bytes);
  socket.drain();
  socket.grow_send_buffer(bytes.size() + kSendOverhead);
  socket.grow_receive_buffer((batch.messages() + 1) * kAnswerBytes);
  if (auto sent = socket.send(bytes); !sent)
    return rules::fail("nf_tables", "try out", sent.error().operation + ": " + sent.error().cause, sent.error().code);
  const auto answers = read_answers(socket);
  if (!answers) return std::unexpected(answers.error());
  if (const auto whole = answers->find(kBeginSequence); whole != answers->end())
    return rules::fail("nf_tables", "try out", whole->second.cause(), whole->second.code);

  MessageReader reader(batch.written());
  Message message;
  std::uint32_t last = 0;
  while (reader.next(message)) {
    last = message.sequence;
    const std::string_view whole(message.payload.data() - sizeof(nlmsghdr), message.payload.size() + sizeof(nlmsghdr));
    TriedMessage one;
    // What it is about is read as that of a refused one.
    rules::Refusal named = name_refusal(Acknowledgement(), whole);
    one.operation = named.operation;
    one.object = named.object;
    one.features = features_of(one.operation, message.attributes());
    if (const auto answer = answers->find(message.sequence); answer != answers->end() && answer->second.code != 0)
      one.refusal = name_refusal(answer->second, whole);
    tried.push_back(std::move(one));
  }
  if (!answers->contains(last)) return rules::fail("nf_tables", "try out", "the kernel's answer was lost", EBADMSG);
  return tried;
}

void add_dormant_table(Batch& batch, rules::Family family, std::string_view table) {
  batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, family, kNameBound, [&](char* at) {
    AttributeWriter out(at);
    out.text(NFTA_TABLE_NAME, table);
    out.be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_DORMANT);
    return out.at();
  });
}

}  // namespace kubenatd::netlink
