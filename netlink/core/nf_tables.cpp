#include "netlink/core/nf_tables.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/names.h"
#include "netlink/core/request.h"

namespace kubenatd::netlink {
namespace {

using rules::fail;
using rules::Family;
using rules::Table;

constexpr int kDumpTries = 8;
/// So many of them must be whole even with Interrupted::kAccept.
constexpr int kStrictTries = 3;
// For acknowledgements and refusals.
constexpr std::size_t kAnswerBytes = 1024 * 1024;
constexpr std::size_t kMaxKey = 64;  // NFT_DATA_VALUE_MAXLEN

class TableRequest : public Request {
 public:
  TableRequest(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence, std::uint8_t family)
      : Request(NFNL_SUBSYS_NFTABLES, type, flags, sequence, family) {}
};

/// "inet nat postrouting"; of all families, when the number is 0.
std::string describe_any(std::uint8_t family, std::string_view table, std::string_view name) {
  if (const auto known = family_of(family)) return describe_object(*known, table, name);
  std::string text;
  if (family == NFPROTO_INET) text = "inet ";
  if (family == NFPROTO_NETDEV) text = "netdev ";
  if (family == NFPROTO_BRIDGE) text = "bridge ";
  if (family == NFPROTO_ARP) text = "arp ";
  text += table.empty() ? "nf_tables" : table;
  if (!name.empty()) text.append(" ").append(name);
  return text;
}

}  // namespace

NfTables::NfTables(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {
  socket_->grow_receive_buffer(kAnswerBytes);
}

rules::Result<NfTables> NfTables::open() {
  auto socket = open_socket();
  if (!socket) return std::unexpected(std::move(socket.error()));
  return NfTables(std::move(*socket));
}

std::uint32_t NfTables::port_id() const {
  return socket_->port_id();
}

rules::Result<bool> NfTables::dump_once(const DumpQuestion& question, const MessageVisitor& visit, bool loose) {
  // The name of the table has number 1 in requests for sets, chains, rules and elements alike, that of the set or of
  // the chain 2; an answer has the type before that of its question.
  static_assert(NFTA_SET_TABLE == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1 &&
                NFTA_FLOWTABLE_TABLE == 1);
  static_assert(NFTA_RULE_CHAIN == 2 && NFTA_SET_ELEM_LIST_SET == 2);
  static_assert(NFT_MSG_NEWTABLE == NFT_MSG_GETTABLE - 1 && NFT_MSG_NEWCHAIN == NFT_MSG_GETCHAIN - 1 &&
                NFT_MSG_NEWRULE == NFT_MSG_GETRULE - 1 && NFT_MSG_NEWSET == NFT_MSG_GETSET - 1 &&
                NFT_MSG_NEWSETELEM == NFT_MSG_GETSETELEM - 1 && NFT_MSG_NEWFLOWTABLE == NFT_MSG_GETFLOWTABLE - 1);
  const std::uint8_t family = question.any_family.value_or(number_of(question.family));
  TableRequest request(question.type, NLM_F_DUMP, ++sequence_, family);
  if (!question.table.empty()) request.name(NFTA_RULE_TABLE, question.table);
  if (!question.name.empty()) request.name(NFTA_RULE_CHAIN, question.name);
  if (auto sent = socket_->send(request.finish()); !sent) return std::unexpected(std::move(sent.error()));
  bool whole = true;
  for (;;) {
    const auto received = socket_->receive();
    if (!received) return std::unexpected(received.error());
    if (received->kind != Received::Kind::kData) {
      whole = false;  // messages are missing
      continue;
    }
    MessageReader reader(received->data);
    for (Message message; reader.next(message);) {
      if (message.sequence != sequence_) continue;
      if ((message.flags & NLM_F_DUMP_INTR) != 0 && !loose) whole = false;
      if (message.type != NLMSG_DONE && message.type != NLMSG_ERROR) {
        const bool asked = family == NFPROTO_UNSPEC || message.family() == family;
        if (whole && asked && message.table_type() == question.type - 1) visit(message);
        continue;
      }
      const Acknowledgement answer =
          message.type == NLMSG_DONE ? read_end_of_dump(message) : read_acknowledgement(message);
      if (answer.code == EINTR) return false;
      // What is dumped is not there: there is nothing to dump.
      if (answer.code == 0 || answer.code == ENOENT) return whole;
      return fail(describe_any(family, question.table, question.name), "dump", answer.cause(), answer.code);
    }
  }
}

rules::Status NfTables::dump(std::string_view object, const std::function<rules::Result<bool>(bool loose)>& once,
                             const std::function<void()>& restart, Interrupted interrupted) {
  for (int tries = 0; tries < kDumpTries; ++tries) {
    if (tries != 0 && restart) restart();
    socket_->drain();
    const bool loose = interrupted == Interrupted::kAccept && tries >= kStrictTries;
    const rules::Result<bool> whole = once(loose);
    if (!whole) return std::unexpected(whole.error());
    // Two loose ones: what a list lacks in one of them, because it was shortened meanwhile, the other one has.
    if (*whole && (!loose || tries > kStrictTries)) return {};
  }
  return fail(std::string(object), "dump", "other writers interrupted it " + std::to_string(kDumpTries) + " times",
              EINTR);
}

rules::Result<bool> NfTables::exists(std::string_view request, std::uint32_t sequence, std::string_view object) {
  return ask(request, sequence, object, [](const Message&) {});
}

rules::Result<bool> NfTables::ask(std::string_view request, std::uint32_t sequence, std::string_view object,
                                  const MessageVisitor& visit) {
  socket_->drain();
  if (auto sent = socket_->send(request); !sent) return std::unexpected(std::move(sent.error()));
  for (;;) {
    const auto received = socket_->receive();
    if (!received) return std::unexpected(received.error());
    MessageReader reader(received->data);
    for (Message message; reader.next(message);) {
      if (message.sequence != sequence) continue;
      if (message.type != NLMSG_ERROR) {
        visit(message);
        continue;
      }
      const Acknowledgement answer = read_acknowledgement(message);
      if (answer.code == 0) return true;
      if (answer.code == ENOENT) return false;
      return fail(std::string(object), "look up", answer.cause(), answer.code);
    }
  }
}

rules::Result<bool> NfTables::get_element(const ElementQuestion& question, const AttributeVisitor& visit) {
  std::array<char, 128> memory{};
  AttributeWriter out(memory.data());
  char* list = out.open();
  char* element = out.open();
  if (question.flags != 0) out.be32(NFTA_SET_ELEM_FLAGS, question.flags);
  if (!question.key.empty()) {
    char* key = out.open();
    const std::string_view bytes = question.key.substr(0, kMaxKey);
    out.raw(NFTA_DATA_VALUE, bytes.data(), static_cast<std::uint16_t>(bytes.size()));
    out.close(key, NFTA_SET_ELEM_KEY);
  }
  out.close(element, NFTA_LIST_ELEM);
  out.close(list, NFTA_SET_ELEM_LIST_ELEMENTS);
  TableRequest request(NFT_MSG_GETSETELEM, NLM_F_ACK, ++sequence_, question.family);
  request.name(NFTA_SET_ELEM_LIST_TABLE, question.table);
  request.name(NFTA_SET_ELEM_LIST_SET, question.set);
  request.attributes({memory.data(), static_cast<std::size_t>(out.at() - memory.data())});
  return ask(request.finish(), sequence_, describe_any(question.family, question.table, question.set),
             [&](const Message& message) {
               if (message.table_type() == NFT_MSG_NEWSETELEM) visit(message.attributes());
             });
}

rules::Result<bool> NfTables::has_table(Family family, Table table) {
  return has_table(family, rules::name_of(table));
}

rules::Result<bool> NfTables::has_table(Family family, std::string_view table) {
  TableRequest request(NFT_MSG_GETTABLE, NLM_F_ACK, ++sequence_, number_of(family));
  request.name(NFTA_TABLE_NAME, table);
  return exists(request.finish(), sequence_, describe_object(family, table, {}));
}

rules::Result<std::optional<TableState>> NfTables::table(Family family, std::string_view table) {
  TableRequest request(NFT_MSG_GETTABLE, NLM_F_ACK, ++sequence_, number_of(family));
  request.name(NFTA_TABLE_NAME, table);
  TableState state;
  const auto there = ask(request.finish(), sequence_, describe_object(family, table, {}), [&](const Message& message) {
    if (message.table_type() != NFT_MSG_NEWTABLE) return;
    state.flags = find_attribute(message.attributes(), NFTA_TABLE_FLAGS).be32();
    state.owner = find_attribute(message.attributes(), NFTA_TABLE_OWNER).be32();
  });
  if (!there) return std::unexpected(there.error());
  return *there ? std::optional(state) : std::nullopt;
}

rules::Status NfTables::dump_objects(Family family, std::string_view table, std::uint16_t type, std::string_view set,
                                     const AttributeVisitor& visit, const std::function<void()>& restart) {
  const auto once = [&](bool loose) {
    return dump_once(
        {family, type, table, set}, [&](const Message& message) { visit(message.attributes()); }, loose);
  };
  return dump(describe_object(family, table, set), once, restart, Interrupted::kRepeat);
}

rules::Result<bool> NfTables::has_chain(Family family, Table table, std::string_view chain) {
  TableRequest request(NFT_MSG_GETCHAIN, NLM_F_ACK, ++sequence_, number_of(family));
  request.name(NFTA_CHAIN_TABLE, rules::name_of(table));
  request.name(NFTA_CHAIN_NAME, chain);
  return exists(request.finish(), sequence_, describe_object(family, rules::name_of(table), chain));
}

rules::Result<std::uint32_t> NfTables::generation() {
  TableRequest request(NFT_MSG_GETGEN, NLM_F_ACK, ++sequence_, AF_UNSPEC);
  socket_->drain();
  if (auto sent = socket_->send(request.finish()); !sent) return std::unexpected(std::move(sent.error()));
  std::optional<std::uint32_t> generation;
  for (;;) {
    const auto received = socket_->receive();
    if (!received) return std::unexpected(received.error());
    MessageReader reader(received->data);
    for (Message message; reader.next(message);) {
      if (message.sequence != sequence_) continue;
      if (message.table_type() == NFT_MSG_NEWGEN) generation = find_attribute(message.attributes(), NFTA_GEN_ID).be32();
      if (message.type != NLMSG_ERROR) continue;
      const Acknowledgement answer = read_acknowledgement(message);
      if (answer.code != 0) return fail("nf_tables", "read the generation", answer.cause(), answer.code);
      if (!generation) return fail("nf_tables", "read the generation", "the kernel gave none", EBADMSG);
      return *generation;
    }
  }
}

rules::Status NfTables::dump_foreign_rules(Family family, std::string_view table, const ForeignVisitor& visit,
                                           const std::function<void()>& restart) {
  const auto read = [&](const Message& message) {
    const std::string_view attributes = message.attributes();
    if (find_attribute(attributes, NFTA_RULE_TABLE).text() != table) return;
    visit({.chain = find_attribute(attributes, NFTA_RULE_CHAIN).text(),
           .expressions = find_attribute(attributes, NFTA_RULE_EXPRESSIONS).payload,
           .handle = find_attribute(attributes, NFTA_RULE_HANDLE).be64()});
  };
  const auto once = [&](bool loose) { return dump_once({family, NFT_MSG_GETRULE, table, {}}, read, loose); };
  // Whoever asks hears of every change from the monitor.
  return dump(describe_object(family, table, {}), once, restart, Interrupted::kAccept);
}

}  // namespace kubenatd::netlink
