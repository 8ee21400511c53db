#include "agent/dataplane/nftables/ownership.h"

#include <utility>

#include "agent/dataplane/table_owner.h"
#include "netlink/nftables/codec.h"
#include "rules/nftables/ruleset.h"

namespace kubenatd::agent::dataplane::nftables {
namespace {

using rules::nftables::kTable;

}  // namespace

rules::Status Ownership::find_out_support(NfSession& session, const std::optional<netlink::TableState>& table) {
  if (wanted_ == config::Settings::OwnTable::kOff || supported_) return {};
  if (!table) {
    const auto made = set_flags(session, kOwnedForever);
    if (!made && !refuses_flags(made.error().code)) return made;
    supported_ = made.has_value();
    return {};
  }
  if ((table->flags & netlink::kTablePersist) != 0) {
    supported_ = true;
    return {};
  }
  auto socket = session.connect();
  if (!socket) return {};  // asked again with the next look
  if (const auto can = can_own_tables(**socket, family_)) supported_ = *can;
  return {};
}

rules::Status Ownership::set_flags(NfSession& session, std::uint32_t flags) {
  netlink::Batch batch;
  netlink::nftables::add_nft_table(batch, family_, flags);
  // Not guarded: only the table and its flags are concerned, whatever others write into it.
  if (const auto committed = session.commit(batch, false); !committed) return std::unexpected(committed.error().error);
  return {};
}

rules::Status Ownership::claim(NfSession& session) {
  using State = TableOwnership::State;
  using How = TableOwnership::How;
  const auto table = session.kernel().table(family_, kTable);
  if (!table) return std::unexpected(table.error());
  if (auto found_out = find_out_support(session, *table); !found_out) return found_out;
  const bool own = wanted_ != config::Settings::OwnTable::kOff && supported_.value_or(false);
  const std::uint32_t port = session.kernel().port_id();
  must_replace_ = false;
  flags_ = own ? std::optional(kOwnedForever) : std::nullopt;
  if (*table && (*table)->owner != 0 && (*table)->owner != port) {
    // Who it is is looked up once.
    if (!is_foreign() || told_.port != (*table)->owner)
      told_ = {.state = State::kForeign,
               .how = How::kMade,
               .port = (*table)->owner,
               .owner = name_of_owner((*table)->owner)};
    return std::unexpected(owned_error(family_, kTable, "take over", told_.owner));
  }
  const bool is_ours = *table && (*table)->owner == port;
  next_ = {.state = own                                           ? State::kOwned
                    : wanted_ == config::Settings::OwnTable::kOff ? State::kOff
                                                                  : State::kUnsupported,
           .how = is_ours ? next_.how : How::kMade,
           .port = own ? port : 0,
           .owner = {}};
  if (!*table || is_ours) return {};
  const bool asleep = ((*table)->flags & netlink::kTableDormant) != 0;
  if (own && !(*table)->is_orphan()) {
    must_replace_ = true;
    next_.how = How::kReplaced;
  } else if (own || asleep) {
    // The flag persist cannot be changed (nf_tables_updtable, 6.18).
    if (auto set = set_flags(session, own ? kOwnedForever : (*table)->flags & netlink::kTablePersist); !set) return set;
    if (own) next_.how = How::kAdopted;
    woken_ = woken_ || asleep;
  }
  return {};
}

bool Ownership::take_woken() {
  return std::exchange(woken_, false);
}

void Ownership::committed() {
  if (next_.state == TableOwnership::State::kUnknown) return;
  must_replace_ = false;
  told_ = next_;
}

}  // namespace kubenatd::agent::dataplane::nftables
