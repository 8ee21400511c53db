#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>

#include "test/support/fake/core.h"
#include "test/support/fake/socket.h"

/// What the fake kernel answers to those who read.
namespace kubenatd::test::fake {
namespace {

constexpr std::size_t kDatagram = 32 * 1024;  // of a dump (netlink_dump)
constexpr std::size_t kElementList = 3000;    // of one message

void dump_elements(const Envelope& envelope, const Table& table, const Set& set, std::vector<std::string>& out) {
  std::string list;
  const auto send = [&] {
    out.push_back(encode_elements(envelope, NFT_MSG_NEWSETELEM, table, set, list));
    list.clear();
  };
  for (const auto& [key, element] : set.elements) {
    if (!element->life.now) continue;
    list += nest(NFTA_LIST_ELEM, encode_element(set, *element));
    if (list.size() > kElementList) send();
  }
  if (!list.empty()) send();
  send();  // the kernel finds out with an empty one that there are no more
}

}  // namespace

void Core::get_generation(FakeSocket& from, const Request& request) {
  from.deliver(encode_generation(envelope(request, from.port_id()), from.process()));
}

void Core::handle_request(FakeSocket& from, const Request& request) {
  const std::uint32_t port = from.port_id();
  if ((request.flags & NLM_F_REQUEST) == 0 || request.type < NLMSG_MIN_TYPE) return;
  const auto refuse = [&](Problem problem) { from.deliver(encode_answer(request, port, problem)); };
  if (request.subsystem() != NFNL_SUBSYS_NFTABLES) return refuse({EINVAL, 0, {}});
  if (auto ordered = faults_.asked(request, port)) return refuse(std::move(*ordered));
  if (request.operation() == NFT_MSG_GETGEN) {
    get_generation(from, request);
  } else if ((request.flags & NLM_F_DUMP) == NLM_F_DUMP) {
    ++counts_.dumps;
    auto messages = dump(request, port);
    if (!messages) return refuse(std::move(messages.error()));
    std::string datagram;
    for (const std::string& message : *messages) {
      if (!datagram.empty() && datagram.size() + message.size() > kDatagram)
        from.deliver_always(std::exchange(datagram, {}));
      datagram += message;
    }
    from.deliver_always(std::move(datagram));
    return;
  } else {
    const auto found = look_up(request, port);
    if (!found) return refuse(found.error());
    from.deliver(*found);
  }
  if ((request.flags & NLM_F_ACK) != 0) from.deliver(encode_answer(request, port, {}));
}

std::vector<std::string> Core::dump_table(const Request& request, const Envelope& envelope, const Table& table) {
  std::vector<std::string> out;
  const std::string_view wanted_table = request.text(NFTA_RULE_TABLE);
  switch (request.operation()) {
    case NFT_MSG_GETTABLE: out.push_back(encode_table(envelope, NFT_MSG_NEWTABLE, table)); break;
    case NFT_MSG_GETCHAIN:  // of every table, whichever is asked for
      for (const auto& chain : table.chains)
        if (chain->life.now) out.push_back(encode_chain(envelope, NFT_MSG_NEWCHAIN, table, *chain));
      break;
    case NFT_MSG_GETRULE: {
      if (!wanted_table.empty() && wanted_table != table.name) break;
      const std::string_view wanted_chain = request.text(NFTA_RULE_CHAIN);
      const auto dump_chain = [&](const Chain& chain) {
        std::uint64_t previous = 0;
        for (const auto& rule : chain.rules) {
          if (!rule->life.now) continue;
          out.push_back(encode_rule(envelope, NFT_MSG_NEWRULE, table, chain, *rule, previous));
          previous = rule->handle;
        }
      };
      if (!wanted_chain.empty()) {
        if (const Chain* chain = table.find_chain(wanted_chain, false)) dump_chain(*chain);
        break;
      }
      for (const auto& chain : table.chains)
        if (chain->life.now) dump_chain(*chain);
      break;
    }
    case NFT_MSG_GETSET:
      if (!wanted_table.empty() && wanted_table != table.name) break;
      for (const auto& set : table.sets)
        if (set->life.now) out.push_back(encode_set(envelope, NFT_MSG_NEWSET, table, *set));
      break;
    default: break;
  }
  return out;
}

std::expected<std::vector<std::string>, Problem> Core::dump(const Request& request, std::uint32_t port_id) {
  Envelope multi = envelope(request, port_id);
  multi.flags = NLM_F_MULTI;
  std::vector<std::string> messages;
  const std::string_view wanted = request.text(NFTA_RULE_TABLE);
  const bool of_sets = request.operation() == NFT_MSG_GETSET || request.operation() == NFT_MSG_GETSETELEM;
  // Asked for the sets of a table, the kernel looks whether it is there; asked for rules or chains it does not.
  if (of_sets && !wanted.empty() && ruleset_.find_table(request.family(), wanted, false) == nullptr)
    return request.refuse(ENOENT, NFTA_SET_TABLE);
  if (request.operation() == NFT_MSG_GETSETELEM) {
    const Table* table = ruleset_.find_table(request.family(), wanted, false);
    const Set* set = table == nullptr ? nullptr : table->find_set(request.text(NFTA_SET_ELEM_LIST_SET), false);
    if (set == nullptr) return request.refuse(ENOENT, NFTA_SET_ELEM_LIST_SET);
    dump_elements(multi, *table, *set, messages);
  } else {
    for (const auto& table : ruleset_.tables) {
      if (!table->life.now || (request.family() != 0 && request.family() != table->family)) continue;
      for (std::string& message : dump_table(request, multi, *table)) messages.push_back(std::move(message));
    }
  }
  Envelope end = multi;
  if (Faults::take(faults_.interrupted_dumps)) {
    end.flags |= NLM_F_DUMP_INTR;
    if (!messages.empty()) reinterpret_cast<nlmsghdr*>(messages.back().data())->nlmsg_flags |= NLM_F_DUMP_INTR;
  }
  messages.push_back(encode_done(end));
  return messages;
}

std::expected<std::string, Problem> Core::look_up(const Request& request, std::uint32_t port_id) {
  const Envelope single = envelope(request, port_id);
  const Table* table = ruleset_.find_table(request.family(), request.text(NFTA_TABLE_NAME), false);
  switch (request.operation()) {
    case NFT_MSG_GETTABLE:
    case NFT_MSG_GETCHAIN:
    case NFT_MSG_GETRULE:
    case NFT_MSG_GETSET: break;
    default: return Request::refuse(EOPNOTSUPP);
  }
  if (table == nullptr) return request.refuse(ENOENT, NFTA_TABLE_NAME);
  if (request.operation() == NFT_MSG_GETTABLE) return encode_table(single, NFT_MSG_NEWTABLE, *table);
  if (request.operation() == NFT_MSG_GETSET) {
    const Set* set = table->find_set(request.text(NFTA_SET_NAME), false);
    if (set == nullptr) return request.refuse(ENOENT, NFTA_SET_NAME);
    return encode_set(single, NFT_MSG_NEWSET, *table, *set);
  }
  const bool of_rule = request.operation() == NFT_MSG_GETRULE;
  const std::uint16_t name = of_rule ? std::uint16_t{NFTA_RULE_CHAIN} : std::uint16_t{NFTA_CHAIN_NAME};
  const Chain* chain = table->find_chain(request.text(name), false);
  if (chain == nullptr) return request.refuse(ENOENT, name);
  if (!of_rule) return encode_chain(single, NFT_MSG_NEWCHAIN, *table, *chain);
  const auto handle = request.find(NFTA_RULE_HANDLE);
  const auto at = chain->by_handle.find(handle ? handle->be64() : 0);
  if (at == chain->by_handle.end()) return request.refuse(ENOENT, NFTA_RULE_HANDLE);
  return encode_rule(single, NFT_MSG_NEWRULE, *table, *chain, *at->second, 0);
}

}  // namespace kubenatd::test::fake
