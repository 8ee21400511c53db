#include "netlink/core/nf_tables.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>

#include "netlink/core/attributes.h"
#include "netlink/core/messages.h"
#include "netlink/core/names.h"
#include "netlink/core/request.h"
#include "netlink/iptables/rule_decoder.h"

namespace kubenatd::netlink {
namespace {

using rules::fail;
using rules::Family;
using rules::Table;

constexpr int kDumpTries = 8;
/// So many of them must be whole even with Interrupted::kAccept.
constexpr int kStrictTries = 3;
// A dump of a whole table walks over all that it has dumped again for each 32 KiB of answer (__nf_tables_dump_rules),
// 4 s for 140 000 rules; the kernel finds a single chain by hash. Tables up to this size are dumped whole.
constexpr std::size_t kWholeDumpUses = 4000;
// For acknowledgements and refusals.
constexpr std::size_t kAnswerBytes = 1024 * 1024;

class TableRequest : public Request {
 public:
  TableRequest(std::uint16_t type, std::uint16_t flags, std::uint32_t sequence, std::uint8_t family)
      : Request(NFNL_SUBSYS_NFTABLES, type, flags, sequence, family) {}
};

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

rules::Result<bool> NfTables::dump_once(std::string_view request, std::string_view object, const MessageVisitor& visit,
                                        bool loose) {
  if (auto sent = socket_->send(request); !sent) return std::unexpected(std::move(sent.error()));
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
        if (whole) visit(message);
        continue;
      }
      const Acknowledgement answer =
          message.type == NLMSG_DONE ? read_end_of_dump(message) : read_acknowledgement(message);
      if (answer.code == EINTR) return false;
      // What is dumped is not there: there is nothing to dump.
      if (answer.code == 0 || answer.code == ENOENT) return whole;
      return fail(std::string(object), "dump", answer.cause(), answer.code);
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
  socket_->drain();
  if (auto sent = socket_->send(request); !sent) return std::unexpected(std::move(sent.error()));
  for (;;) {
    const auto received = socket_->receive();
    if (!received) return std::unexpected(received.error());
    MessageReader reader(received->data);
    for (Message message; reader.next(message);) {
      if (message.sequence != sequence || message.type != NLMSG_ERROR) continue;
      const Acknowledgement answer = read_acknowledgement(message);
      if (answer.code == 0) return true;
      if (answer.code == ENOENT) return false;
      return fail(std::string(object), "look up", answer.cause(), answer.code);
    }
  }
}

rules::Result<bool> NfTables::has_table(Family family, Table table) {
  return has_table(family, rules::name_of(table));
}

rules::Result<bool> NfTables::has_table(Family family, std::string_view table) {
  TableRequest request(NFT_MSG_GETTABLE, NLM_F_ACK, ++sequence_, number_of(family));
  request.name(NFTA_TABLE_NAME, table);
  return exists(request.finish(), sequence_, describe_object(family, table, {}));
}

rules::Status NfTables::dump_objects(Family family, std::string_view table, std::uint16_t type, std::string_view set,
                                     const AttributeVisitor& visit, const std::function<void()>& restart) {
  // The name of the table has number 1 in requests for sets, chains, rules and elements alike, that of the set 2.
  static_assert(NFTA_SET_TABLE == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1);
  const auto once = [&](bool loose) {
    TableRequest request(type, NLM_F_DUMP, ++sequence_, number_of(family));
    request.name(NFTA_SET_ELEM_LIST_TABLE, table);
    if (!set.empty()) request.name(NFTA_SET_ELEM_LIST_SET, set);
    const auto read = [&](const Message& message) {
      if (message.table_type() && message.family() == number_of(family)) visit(message.attributes());
    };
    return dump_once(request.finish(), describe_object(family, table, set), read, loose);
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

rules::Result<bool> NfTables::dump_chains_once(Family family, Table table, const ChainVisitor& visit,
                                               std::optional<std::uint16_t>& mark, bool loose) {
  const std::string_view table_name = rules::name_of(table);
  TableRequest request(NFT_MSG_GETCHAIN, NLM_F_DUMP, ++sequence_, number_of(family));
  request.name(NFTA_CHAIN_TABLE, table_name);
  const auto read = [&](const Message& message) {
    if (message.table_type() != NFT_MSG_NEWCHAIN || message.family() != number_of(family)) return;
    mark = message.generation_mark();
    LiveChain chain;
    bool is_ours = false;
    AttributeReader reader(message.attributes());
    for (Attribute attribute; reader.next(attribute);) {
      switch (attribute.type) {
        // The kernel dumps the chains of every table of the family (nf_tables_dump_chains, 6.18).
        case NFTA_CHAIN_TABLE: is_ours = attribute.text() == table_name; break;
        case NFTA_CHAIN_NAME: chain.name = attribute.text(); break;
        case NFTA_CHAIN_HOOK: chain.is_base = true; break;
        case NFTA_CHAIN_USE: chain.use = attribute.be32(); break;
        case NFTA_CHAIN_POLICY: chain.policy_drop = attribute.be32() == NF_DROP; break;
        default: break;
      }
    }
    if (is_ours && !chain.name.empty()) visit(chain);
  };
  return dump_once(request.finish(), describe_object(family, table_name, "chains"), read, loose);
}

rules::Status NfTables::dump_chains(Family family, Table table, const ChainVisitor& visit,
                                    const std::function<void()>& restart, Interrupted interrupted) {
  const auto once = [&](bool loose) {
    std::optional<std::uint16_t> mark;
    return dump_chains_once(family, table, visit, mark, loose);
  };
  return dump(describe_object(family, rules::name_of(table), "chains"), once, restart, interrupted);
}

rules::Result<bool> NfTables::dump_rules_once(Family family, Table table, std::string_view chain,
                                              std::optional<std::uint16_t>& mark, LiveRule& rule,
                                              const RuleVisitor& visit, bool loose) {
  const std::string_view table_name = rules::name_of(table);
  TableRequest request(NFT_MSG_GETRULE, NLM_F_DUMP, ++sequence_, number_of(family));
  request.name(NFTA_RULE_TABLE, table_name);
  if (!chain.empty()) request.name(NFTA_RULE_CHAIN, chain);
  bool same_generation = true;
  const auto read = [&](const Message& message) {
    if (message.table_type() != NFT_MSG_NEWRULE || message.family() != number_of(family)) return;
    if (!mark) mark = message.generation_mark();
    if (mark != message.generation_mark() && !loose) same_generation = false;
    if (!same_generation) return;
    std::string_view in_table, expressions;
    bool has_user_data = false;
    rule.chain = {};
    rule.handle = 0;
    AttributeReader reader(message.attributes());
    for (Attribute attribute; reader.next(attribute);) {
      switch (attribute.type) {
        case NFTA_RULE_TABLE: in_table = attribute.text(); break;
        case NFTA_RULE_CHAIN: rule.chain = attribute.text(); break;
        case NFTA_RULE_HANDLE: rule.handle = attribute.be64(); break;
        case NFTA_RULE_EXPRESSIONS: expressions = attribute.payload; break;
        case NFTA_RULE_USERDATA: has_user_data = true; break;
        default: break;
      }
    }
    if (in_table != table_name || (!chain.empty() && rule.chain != chain)) return;
    iptables::RuleCounters counters;
    iptables::decode_rule(expressions, family, rule.rule, counters);
    rule.packets = counters.packets;
    rule.bytes = counters.bytes;
    // iptables 1.8.9 writes none; nft keeps its comments there, which iptables prints as another match.
    if (has_user_data && rule.rule.opaque.empty()) {
      rule.rule = rules::Rule{};
      rule.rule.opaque = "has user data of nft";
    }
    visit(rule);
  };
  auto whole = dump_once(request.finish(), describe_object(family, table_name, chain), read, loose);
  if (whole && !same_generation) return false;
  return whole;
}

rules::Status NfTables::dump_foreign_rules(Family family, std::string_view table, const ForeignVisitor& visit,
                                           const std::function<void()>& restart) {
  const auto once = [&](bool loose) {
    TableRequest request(NFT_MSG_GETRULE, NLM_F_DUMP, ++sequence_, number_of(family));
    request.name(NFTA_RULE_TABLE, table);
    const auto read = [&](const Message& message) {
      if (message.table_type() != NFT_MSG_NEWRULE || message.family() != number_of(family)) return;
      const std::string_view attributes = message.attributes();
      if (find_attribute(attributes, NFTA_RULE_TABLE).text() != table) return;
      visit(find_attribute(attributes, NFTA_RULE_CHAIN).text(),
            find_attribute(attributes, NFTA_RULE_EXPRESSIONS).payload);
    };
    return dump_once(request.finish(), describe_object(family, table, {}), read, loose);
  };
  // Whoever asks hears of every change from the monitor.
  return dump(describe_object(family, table, {}), once, restart, Interrupted::kAccept);
}

rules::Result<bool> NfTables::dump_table_once(Family family, Table table, LiveRule& rule, const RuleVisitor& visit) {
  const auto before = generation();
  if (!before) return std::unexpected(before.error());
  std::string names;  // each with its NUL: one piece of memory for 50 000 chains
  std::size_t uses = 0;
  std::optional<std::uint16_t> mark;
  const auto collect = [&](const LiveChain& chain) {
    uses += chain.use;
    if (chain.use != 0) names.append(chain.name).push_back('\0');
  };
  if (auto whole = dump_chains_once(family, table, collect, mark, false); !whole || !*whole) return whole;
  if (uses <= kWholeDumpUses) return dump_rules_once(family, table, {}, mark, rule, visit, false);
  for (std::size_t at = 0; at < names.size();) {
    const std::string_view name = names.data() + at;
    if (auto whole = dump_rules_once(family, table, name, mark, rule, visit, false); !whole || !*whole) return whole;
    at += name.size() + 1;
  }
  const auto after = generation();
  if (!after) return std::unexpected(after.error());
  return *before == *after;
}

rules::Status NfTables::dump_rules(Family family, Table table, std::string_view chain, const RuleVisitor& visit,
                                   const std::function<void()>& restart, Interrupted interrupted) {
  LiveRule rule;
  const auto once = [&](bool loose) {
    if (chain.empty()) return dump_table_once(family, table, rule, visit);
    std::optional<std::uint16_t> mark;
    return dump_rules_once(family, table, chain, mark, rule, visit, loose);
  };
  if (chain.empty()) interrupted = Interrupted::kRepeat;
  return dump(describe_object(family, rules::name_of(table), chain), once, restart, interrupted);
}

}  // namespace kubenatd::netlink
