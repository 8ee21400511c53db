#include "agent/trace/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "netlink/trace/trace_table.h"

namespace kubenatd::agent::trace {
namespace {

using netlink::trace::kTraceTable;
using netlink::trace::TracePlace;
using Type = TraceEvent::Type;
using Verdict = TraceEvent::Verdict;
using End = Packet::End;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

bool same_tuple(const TracedHeader& one, const TracedHeader& other) {
  return one.protocol == other.protocol && one.source == other.source && one.destination == other.destination &&
         one.source_port == other.source_port && one.destination_port == other.destination_port;
}

bool is_reverse(const TracedHeader& one, const TracedHeader& other) {
  return one.protocol == other.protocol && one.source == other.destination && one.destination == other.source &&
         one.source_port == other.destination_port && one.destination_port == other.source_port;
}

/// Our rule has marked the packet here.
bool is_mark(const TraceEvent& event) {
  return event.type == Type::kRule && event.rule.has_value();
}

bool ends_passage(const TraceEvent& event) {
  switch (event.verdict) {
    case Verdict::kAccept:
    case Verdict::kDrop:
    case Verdict::kStolen:
    case Verdict::kQueue: return true;
    default: return event.type == Type::kPolicy;
  }
}

}  // namespace

void Journal::add(const TraceEvent& event) {
  if (event.table == kTraceTable) {
    if (event.header) note_place(event);
    return;
  }
  const auto found = open_.find(event.id);
  if (found == open_.end() || found->second.ended) return;
  Open& open = found->second;
  Packet& packet = packets_[open.packet];
  const bool continues = open.in_passage && !event.header && packet.passages.back().table == event.table &&
                         packet.passages.back().family == event.family;
  if (!continues) {
    if (packet.passages.size() >= kMostSteps) {
      packet.cut = true;
      return;
    }
    packet.passages.push_back(
        {event.family, event.table, event.chain, event.header, event.in_index, event.out_index, {}});
    open.in_passage = true;
    if (event.header) packet.last = *event.header;
    if (event.out_index != 0) packet.out_index = event.out_index;
    if (event.connection && !packet.connection) packet.connection = event.connection;
    packet.end = End::kLost;  // whatever a queue did with it: it is here again
  }
  add_step(event, open);
}

void Journal::add_step(const TraceEvent& event, Open& open) {
  Packet& packet = packets_[open.packet];
  // Linux 6.18 tells the end of a base chain as a rule without a handle that goes on; the policy follows.
  const bool says_nothing = event.type == Type::kRule && !event.rule && event.verdict == Verdict::kContinue;
  if (!says_nothing && ++open.steps > kMostSteps) packet.cut = true;
  if (!says_nothing && !packet.cut)
    packet.passages.back().steps.push_back(
        {event.type, event.chain, event.rule, event.verdict, event.jump, event.mark});
  if (!ends_passage(event)) return;
  open.in_passage = false;
  switch (event.verdict) {
    case Verdict::kDrop:
      packet.end = End::kDropped;
      open.ended = true;
      break;
    case Verdict::kQueue: packet.end = End::kQueued; break;
    case Verdict::kStolen:
      packet.end = End::kStolen;
      open.ended = true;
      break;
    default: break;
  }
}

void Journal::note_place(const TraceEvent& event) {
  const auto place = netlink::trace::trace_place(event.chain);
  if (!place) return;
  const auto found = open_.find(event.id);
  const bool known = found != open_.end() && !found->second.ended;
  switch (*place) {
    case TracePlace::kStart:
      if (come_back(event)) return;
      if (is_mark(event)) return start(event, false);
      // Another packet with an id that comes again, or one in a tunnel.
      if (found != open_.end()) open_.erase(found);
      return;
    case TracePlace::kReply:
      if (!known && is_mark(event)) return start(event, true);
      break;
    case TracePlace::kArrived:
    case TracePlace::kLeft: break;
  }
  if (!known) return;
  Packet& packet = packets_[found->second.packet];
  found->second.in_passage = false;
  packet.last = *event.header;
  if (event.connection && !packet.connection) packet.connection = event.connection;
  if (*place == TracePlace::kReply) return;
  packet.end = *place == TracePlace::kLeft ? End::kLeft : End::kArrived;
  packet.out_index = event.out_index;
  found->second.ended = true;
}

void Journal::start(const TraceEvent& event, bool reply) {
  if (packets_.size() >= kMostPackets || (!reply && seen_ >= most_)) {
    open_.erase(event.id);
    return;
  }
  Packet packet;
  packet.reply = reply;
  packet.sent_here = event.in_index == 0;
  packet.first = packet.last = *event.header;
  packet.in_index = event.in_index;
  packet.connection = event.connection;
  open_[event.id] = {packets_.size(), false, false, 0};
  packets_.push_back(std::move(packet));
  if (!reply) ++seen_;
}

bool Journal::come_back(const TraceEvent& event) {
  if (event.in_index == 0) return false;
  // The latest one: two copies of a packet are one after the other.
  for (std::size_t i = packets_.size(); i-- > 0;) {
    Packet& packet = packets_[i];
    // lo is the one interface by which what has left comes in again.
    if (packet.end != End::kLeft || packet.out_index != event.in_index || packet.came_back ||
        packet.last != *event.header)
      continue;
    packet.came_back = true;
    packet.end = End::kLost;
    std::size_t steps = 0;
    for (const Passage& passage : packet.passages) steps += passage.steps.size();
    open_[event.id] = {i, false, false, steps};
    return true;
  }
  return false;
}

std::size_t Journal::connection_of(const Packet& packet) const {
  const bool has_id = packet.connection && packet.connection->id;
  const std::uint32_t id = has_id ? *packet.connection->id : 0;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const Connection& known = connections_[i];
    if (has_id && known.id) {
      if (id == *known.id) return i;
      continue;
    }
    if (!packet.reply && same_tuple(known.original, packet.first)) return i;
    if (packet.reply && known.translated && is_reverse(*known.translated, packet.first)) return i;
  }
  return kNone;
}

void Journal::join() {
  // Answers may be told before the packet that they answer has ended: originals first.
  for (const bool replies : {false, true}) {
    for (std::size_t i = 0; i < packets_.size(); ++i) {
      Packet& packet = packets_[i];
      if (packet.reply != replies) continue;
      packet.in_connection = connection_of(packet);
      if (packet.in_connection == kNone) {
        if (replies) continue;
        packet.in_connection = connections_.size();
        connections_.push_back({std::nullopt, packet.first, std::nullopt, {}});
      }
      Connection& connection = connections_[packet.in_connection];
      if (!connection.id && packet.connection) connection.id = packet.connection->id;
      const bool through = packet.end == End::kLeft || packet.end == End::kArrived;
      if (!replies && through && !connection.translated) connection.translated = packet.last;
    }
  }
  const auto unjoined = std::erase_if(packets_, [](const Packet& packet) { return packet.in_connection == kNone; });
  unjoined_ += unjoined;
  for (std::size_t i = 0; i < packets_.size(); ++i) connections_[packets_[i].in_connection].packets.push_back(i);
  open_.clear();
}

std::string to_text(const TracedHeader& header) {
  const auto end = [](const rules::Address& address, const std::optional<std::uint16_t>& port) {
    return port ? rules::join_host_port(address, *port) : address.to_string();
  };
  return fmt::format("{} -> {}", end(header.source, header.source_port),
                     end(header.destination, header.destination_port));
}

}  // namespace kubenatd::agent::trace
