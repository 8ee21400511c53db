#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "agent/trace/journal.h"
#include "netlink/trace/trace_event.h"
#include "test/fuzz/fuzz.h"

/// Messages of traced packets, and the journal that puts them together.
namespace kubenatd::fuzz {

using agent::trace::Journal;

void check(std::string_view input) {
  constexpr std::size_t kMost = 3;
  Journal journal(kMost);
  while (!input.empty()) {
    netlink::Message message;
    message.type = NFNL_SUBSYS_NFTABLES << 8U | NFT_MSG_TRACE;
    message.payload = take_piece(input);
    const auto event = netlink::trace::read_trace_event(message);
    if (event) journal.add(*event);
  }
  journal.join();
  require(journal.seen() <= kMost, "no more packets than were asked for");
  require(journal.packets().size() <= Journal::kMostPackets, "packets are bounded");
  for (const auto& packet : journal.packets()) {
    require(packet.in_connection < journal.connections().size(), "a packet has a connection");
    for (const auto& passage : packet.passages)
      require(passage.steps.size() <= Journal::kMostSteps, "steps are bounded");
    require_line(agent::trace::to_text(packet.first));
    require_line(agent::trace::to_text(packet.last));
  }
  for (const auto& connection : journal.connections())
    for (const std::size_t packet : connection.packets)
      require(packet < journal.packets().size(), "a connection's packets are there");
}

}  // namespace kubenatd::fuzz
