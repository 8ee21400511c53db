#include "agent/dataplane/canary.h"
#include "netlink/iptables/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace kubenatd::agent::dataplane {
namespace {

using netlink::TableEvent;
using rules::Table;

constexpr std::string_view kChain = "KUBE-PROXY-CANARY";
constexpr std::array kTables{Table::kMangle, Table::kNat, Table::kFilter};

}  // namespace

rules::Status Canary::take_away(NfSession& session, rules::Family family) {
  if (std::ranges::find(taken_, family) != taken_.end()) return {};
  netlink::Batch batch;
  for (const Table table : kTables) {
    const auto there = session.kernel().has_chain(family, table, kChain);
    if (!there) return std::unexpected(there.error());
    if (!*there) continue;
    netlink::iptables::flush_chain(batch, family, table, kChain);
    netlink::iptables::delete_chain(batch, family, table, kChain);
  }
  if (!batch.empty()) {
    // Without the guard: names alone say what goes.
    if (const auto committed = session.commit(batch, false); !committed) {
      // Somebody jumps to one of them, or took one away meanwhile: neither is worth another try now.
      const int code = committed.error().error.code;
      if (code != EBUSY && code != ENOENT) return std::unexpected(committed.error().error);
    }
  }
  taken_.push_back(family);
  return {};
}

void Canary::note(const TableEvent& event) {
  if (event.kind == TableEvent::Kind::kChainAdded && event.chain == kChain) made_ = true;
  if (event.kind == TableEvent::Kind::kGeneration && std::exchange(made_, false))
    maker_ = fmt::format("{} ({})", event.process_name, event.process_id);
}

std::optional<std::string> Canary::take_maker() {
  return std::exchange(maker_, std::nullopt);
}

}  // namespace kubenatd::agent::dataplane
