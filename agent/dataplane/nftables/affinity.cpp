#include "agent/dataplane/nftables/affinity.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "netlink/core/messages.h"
#include "netlink/core/names.h"
#include "netlink/core/request.h"
#include "netlink/nftables/codec.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using namespace rules::nftables;

constexpr int kMaxTries = 16;

/// The identity at the end of a key.
std::uint32_t sticky_id_of(const Bytes<kKeyCapacity>& key) {
  std::uint32_t number = 0;
  if (key.size >= sizeof number) std::memcpy(&number, key.data.data() + key.size - sizeof number, sizeof number);
  return number;
}

Backend backend_of(const Bytes<kDataCapacity>& data, rules::Family family) {
  const std::size_t address_size = bits_of(family) / 8;
  Backend backend{{family, {}}, 0};
  std::copy_n(data.data.begin(), address_size, backend.address.bytes.begin());
  backend.port = static_cast<std::uint16_t>(data.data[address_size] << 8 | data.data[address_size + 1]);
  return backend;
}

}  // namespace

bool AffinityPurge::is_stale(const ElementKey& key, const Bytes<kDataCapacity>& endpoint,
                             const DesiredElements& desired) const {
  return !desired.is_sticky_backend(sticky_id_of(key.key), backend_of(endpoint, family_));
}

rules::Result<AffinityPurge::Forgotten> AffinityPurge::advance(NfSession& session, const DesiredElements& desired,
                                                               Time now) {
  const Time start = Clock::now();
  Forgotten forgotten;
  do {
    rules::Status done;
    if (stage_ == Stage::kIdle) done = begin(session);
    if (done) done = stage_ == Stage::kReading ? read(desired, start + kSlice) : remove(session, desired, forgotten);
    if (!done) {
      give_up();
      return std::unexpected(done.error());
    }
  } while (due() && Clock::now() < start + kSlice);
  // At once, after whatever else there is to do: until then clients go where nobody answers.
  next_ = now;
  return forgotten;
}

rules::Status AffinityPurge::begin(NfSession& session) {
  if (!socket_) {
    auto socket = session.connect();
    if (!socket) return std::unexpected(socket.error());
    socket_ = std::move(*socket);
  }
  netlink::Request request(NFNL_SUBSYS_NFTABLES, NFT_MSG_GETSETELEM, NLM_F_DUMP, ++sequence_,
                           netlink::number_of(family_));
  request.name(NFTA_SET_ELEM_LIST_TABLE, kTable);
  request.name(NFTA_SET_ELEM_LIST_SET, name_of({SetId::kAffinity, 0}));
  if (auto sent = socket_->send(request.finish()); !sent) return sent;
  stale_.clear();
  stage_ = Stage::kReading;
  wanted_ = false;
  return {};
}

rules::Status AffinityPurge::read(const DesiredElements& desired, Time end) {
  do {
    const auto received = socket_->receive();
    if (!received) return std::unexpected(received.error());
    if (received->kind != netlink::Received::Kind::kData) {
      wanted_ = true;  // something is missing: another pass
      continue;
    }
    netlink::MessageReader reader(received->data);
    for (netlink::Message message; reader.next(message);) {
      if (message.sequence != sequence_) continue;
      if (message.type == NLMSG_DONE || message.type == NLMSG_ERROR) {
        const netlink::Acknowledgement answer =
            message.type == NLMSG_DONE ? netlink::read_end_of_dump(message) : netlink::read_acknowledgement(message);
        // The map is not there, or went: nothing is remembered. Another writer (EINTR): what was read counts.
        if (answer.code != 0 && answer.code != ENOENT && answer.code != EINTR)
          return rules::fail(std::string(kTable) + " " + name_of({SetId::kAffinity, 0}), "dump", answer.cause(),
                             answer.code);
        end_of_reading();
        return {};
      }
      netlink::nftables::read_nft_elements(message.attributes(), {SetId::kAffinity, 0},
                                           [&](const netlink::nftables::LiveElement& element) {
                                             if (is_stale(element.key, element.data, desired))
                                               stale_.push_back({element.key, element.data});
                                           });
    }
    if (stale_.size() >= kMostKnown) {
      socket_.reset();  // ends the dump
      wanted_ = true;
      end_of_reading();
      return {};
    }
  } while (Clock::now() < end);
  return {};
}

void AffinityPurge::end_of_reading() {
  stage_ = stale_.empty() ? Stage::kIdle : Stage::kRemoving;
}

rules::Status AffinityPurge::remove(NfSession& session, const DesiredElements& desired, Forgotten& forgotten) {
  const std::size_t first = stale_.size() - std::min(stale_.size(), kMostRemoved);
  std::vector<Client> some(stale_.begin() + static_cast<std::ptrdiff_t>(first), stale_.end());
  stale_.resize(first);
  // Its endpoint may be back.
  std::erase_if(some, [&](const Client& client) { return !is_stale(client.key, client.endpoint, desired); });
  for (int tries = 0; tries < kMaxTries && !some.empty(); ++tries) {
    netlink::Batch batch;
    netlink::nftables::add_nft_table(batch, family_);
    netlink::nftables::ElementWriter writer(batch, family_, netlink::nftables::ElementWriter::Change::kRemove);
    for (const Client& client : some) writer.write(client.key);
    writer.end();
    const auto committed = session.commit(batch, false);
    if (committed) {
      forgotten.clients += some.size();
      ++forgotten.transactions;
      break;
    }
    if (committed.error().error.code != ENOENT) return std::unexpected(committed.error().error);
    // An entry ended by itself meanwhile.
    const std::size_t before = some.size();
    for (const rules::Refusal& refusal : committed.error().refusals) {
      if (refusal.attributes.empty()) continue;
      const ElementKey gone = netlink::nftables::read_nft_element(refusal.attributes, {SetId::kAffinity, 0}).key;
      std::erase_if(some, [&](const Client& client) { return client.key == gone; });
    }
    if (some.size() == before) break;  // the next pass finds those that are left
  }
  if (stale_.empty()) stage_ = Stage::kIdle;
  return {};
}

void AffinityPurge::give_up() {
  socket_.reset();
  stale_.clear();
  stage_ = Stage::kIdle;
  wanted_ = true;
}

}  // namespace kubenatd::agent::dataplane::nftables
