#include "test/support/fake/core.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "netlink/core/attributes.h"
#include "test/support/fake/socket.h"
#include "test/support/fake/transaction.h"

namespace kubenatd::test::fake {
namespace {

// The kernel packs events and echoes so far (NLMSG_GOODSIZE less its overhead).
constexpr std::size_t kPacked = 3776;

/// Packs messages into datagrams and gives each to `deliver`.
template <class Deliver>
void pack(const std::vector<std::string>& messages, Deliver deliver) {
  std::string datagram;
  for (const std::string& message : messages) {
    if (!datagram.empty() && datagram.size() + message.size() > kPacked) deliver(std::exchange(datagram, {}));
    datagram += message;
  }
  if (!datagram.empty()) deliver(std::move(datagram));
}

}  // namespace

void Core::attach(FakeSocket& socket) {
  const std::lock_guard lock(mutex_);
  sockets_.push_back(&socket);
}

void Core::detach(FakeSocket& socket) {
  const std::lock_guard lock(mutex_);
  std::erase(sockets_, &socket);
  // nft_rcv_nl_event: nobody is told, and the generation stays.
  for (const auto& table : ruleset_.tables) {
    if (table->owner != socket.port_id()) continue;
    table->flags &= ~std::uint32_t{0x2};  // NFT_TABLE_F_OWNER
  }
  std::erase_if(ruleset_.tables, [&](const auto& table) {
    return table->owner == socket.port_id() && (table->flags & 0x4) == 0;  // NFT_TABLE_F_PERSIST
  });
  for (const auto& table : ruleset_.tables)
    if (table->owner == socket.port_id()) table->owner = 0;
}

bool Core::has_listeners() const {
  return std::ranges::any_of(sockets_, [](const FakeSocket* socket) { return socket->is_member(NFNLGRP_NFTABLES); });
}

Envelope Core::envelope(const Request& request, std::uint32_t port_id) const {
  return {0, request.sequence, port_id, ruleset_.generation};
}

rules::Status Core::handle(FakeSocket& from, std::string_view bytes) {
  Request first;
  if (RequestReader reader(bytes); !reader.next(first)) return {};
  std::function<void()> before;
  {
    const std::lock_guard lock(mutex_);
    if (Faults::take(faults_.failing_sends))
      return rules::fail("netlink socket", "send " + std::to_string(bytes.size()) + " bytes",
                         std::strerror(faults_.send_code), faults_.send_code);
    if (first.type == NFNL_MSG_BATCH_BEGIN) before = std::exchange(faults_.before_commit, {});
  }
  // Without the lock: it is another writer that comes between.
  if (before) before();
  const std::lock_guard lock(mutex_);
  if (faults_.no_rights) {
    from.deliver(encode_answer(first, from.port_id(), {EPERM, 0, {}}));
    return {};
  }
  if (first.type == NFNL_MSG_BATCH_BEGIN) {
    handle_batch(from, bytes);
    return {};
  }
  RequestReader reader(bytes);
  for (Request request; reader.next(request);) handle_request(from, request);
  return {};
}

void Core::handle_batch(FakeSocket& from, std::string_view bytes) {
  RequestReader reader(bytes);
  Request begin;
  if (!reader.next(begin)) return;
  ++counts_.transactions;
  const auto wanted = begin.find(NFNL_BATCH_GENID);
  const bool is_stale = wanted && wanted->be32() != 0 && wanted->be32() != ruleset_.generation;
  const bool is_ordered = Faults::take(faults_.failing_commits);
  if (!is_stale && !is_ordered) return commit(from, begin, reader);
  ++counts_.refused;
  from.deliver(encode_answer(begin, from.port_id(), {is_ordered ? faults_.commit_code : ERESTART, 0, {}}));
}

void Core::commit(FakeSocket& from, const Request& begin, RequestReader reader) {
  bool validating = false;
  std::optional<Transaction> transaction;
  std::vector<std::string> answers, echoes;
  Request first;
  bool is_refused = false;
  std::vector<std::optional<Problem>> orders;  // asked once, though a transaction may be tried twice
  for (;;) {
    transaction.emplace(ruleset_, from.port_id(), validating);
    answers.clear();
    bool is_complete = false;
    is_refused = false;
    RequestReader messages = reader;
    std::size_t count = 0;
    for (Request request; messages.next(request); ++count) {
      if (request.type == NFNL_MSG_BATCH_END) {
        is_complete = true;
        break;
      }
      if (count == 0) first = request;
      if (orders.size() == count) orders.push_back(faults_.asked(request, from.port_id()));
      Outcome outcome;
      if (request.subsystem() != NFNL_SUBSYS_NFTABLES) {
        outcome = Request::refuse(EINVAL);
      } else if (orders[count]) {
        outcome = std::unexpected(*orders[count]);
      } else {
        outcome = transaction->apply(request);
      }
      if (!outcome) is_refused = true;
      if (!outcome && faults_.no_positions) outcome.error().offset = 0;
      if (!outcome || (request.flags & NLM_F_ACK) != 0)
        answers.push_back(encode_answer(request, from.port_id(), outcome ? Problem{} : outcome.error()));
    }
    if (!validating) counts_.messages += count;
    is_refused = is_refused || !is_complete;
    if (is_refused || validating || transaction->is_valid()) break;
    transaction->abort();
    validating = true;
  }
  if (!is_refused && !transaction->is_valid()) {
    answers.push_back(encode_answer(begin, from.port_id(), {EMLINK, 0, {}}));
    is_refused = true;
  }
  if (is_refused) {
    ++counts_.refused;
    transaction->abort();
  } else if (!transaction->empty()) {
    echoes = tell(from, *transaction, first);
  }
  answer(from, std::move(echoes), std::move(answers));
}

std::vector<std::string> Core::tell(FakeSocket& from, Transaction& transaction, const Request& first) {
  const bool heard = has_listeners();
  const bool lost = Faults::take(faults_.lost_events);
  std::vector<std::string> events, echoes, unechoed;
  const auto add = [&](std::string message, bool echo) {
    if (heard) events.push_back(message);
    (echo ? echoes : unechoed).push_back(std::move(message));
  };
  transaction.commit([&](const Change& change) {
    const bool echo = (change.flags & NLM_F_ECHO) != 0;
    if (echo || heard) add(encode_change({0, change.sequence, from.port_id(), ruleset_.generation}, change), echo);
  });
  add(encode_generation(envelope(first, from.port_id()), from.process()), (first.flags & NLM_F_ECHO) != 0);
  for (FakeSocket* socket : sockets_) {
    if (!socket->is_member(NFNLGRP_NFTABLES)) continue;
    if (lost) {
      socket->overrun();
      continue;
    }
    // The writer hears what it asked the echo of only once.
    pack(socket == &from ? unechoed : events, [&](std::string datagram) { socket->deliver(std::move(datagram)); });
  }
  return echoes;
}

void Core::answer(FakeSocket& from, std::vector<std::string> echoes, std::vector<std::string> answers) {
  const bool lose = Faults::take(faults_.lost_answers);
  if (lose) {
    const std::size_t kept = std::min(faults_.kept_answers, echoes.size());
    echoes.resize(kept);
    answers.resize(std::min(faults_.kept_answers - kept, answers.size()));
  }
  pack(echoes, [&](std::string datagram) { from.deliver(std::move(datagram)); });
  for (std::string& message : answers) from.deliver(std::move(message));
  if (lose) from.overrun();
}

}  // namespace kubenatd::test::fake
