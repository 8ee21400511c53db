#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "netlink/trace/trace_event.h"

/// What real packets met, put together from the kernel's events and held against what `explain` says.
namespace kubenatd::agent::trace {

using netlink::trace::TracedConnection;
using netlink::trace::TracedHeader;
using netlink::trace::TraceEvent;

/// One thing that a packet met: a rule that fitted, the end of a chain.
struct Step {
  TraceEvent::Type type = TraceEvent::Type::kRule;
  std::string chain;
  std::optional<std::uint64_t> rule;  ///< handle
  TraceEvent::Verdict verdict = TraceEvent::Verdict::kNone;
  std::string jump;
  std::uint32_t mark = 0;  ///< of the packet, behind the rule
};

/// The packet's way through one base chain and those below it.
struct Passage {
  std::uint8_t family = 0;  ///< NFPROTO_* of the table
  std::string table;
  std::string chain;                   ///< the base chain
  std::optional<TracedHeader> header;  ///< as the packet came here; none: the kernel did not say
  std::uint32_t in_index = 0, out_index = 0;
  std::vector<Step> steps;
};

/// One packet's way through the node.
struct Packet {
  enum class End : std::uint8_t {
    kLost,     ///< no rule ended it, and it was not seen at the end of its way either
    kLeft,     ///< by `out_index`
    kArrived,  ///< at a process of the node's own network, if one listens
    kDropped,  ///< by the last step of the last passage
    kQueued,   ///< given to a program, and not seen again
    kStolen,   ///< taken out of the way (synproxy, fwd)
  };
  bool reply = false;
  bool sent_here = false;      ///< by the node itself; else it came in by `in_index`
  TracedHeader first, last;    ///< as it was seen first and last
  std::uint32_t in_index = 0;  ///< at the start
  std::uint32_t out_index = 0;
  bool came_back = false;                      ///< it was sent to the node itself, and came in again by lo
  std::optional<TracedConnection> connection;  ///< as told first
  std::vector<Passage> passages;
  End end = End::kLost;
  bool cut = false;               ///< more steps than are kept
  std::size_t in_connection = 0;  ///< index into Journal::connections(), after join()
};

/// All packets of a connection that were seen. Joined by the connection's id where the kernel tells it, else by
/// addresses and ports before and after translation.
struct Connection {
  std::optional<std::uint32_t> id;
  TracedHeader original;                   ///< of the first packet that was seen
  std::optional<TracedHeader> translated;  ///< as a packet of the original direction left or arrived
  std::vector<std::size_t> packets;        ///< indices into Journal::packets(), in the order of time
};

/// Puts events together to packets, and packets to connections.
///
/// Only packets that the table of netlink/trace has marked are taken: what other programs trace is passed over. An id
/// spans the hooks of one pass through the node; a packet that comes in again by lo has another one and is joined by
/// its headers. Ids come again: a packet that is seen at a start again is another one.
///
/// Threading: one thread. Failure: none, whatever comes. Cost: constant for an event; past `most` packets of the
/// original direction, or kMostPackets of all, nothing more is taken, and a packet keeps at most kMostSteps steps.
class Journal {
 public:
  explicit Journal(std::size_t most) : most_(most) {}

  static constexpr std::size_t kMostPackets = 1000;
  static constexpr std::size_t kMostSteps = 5000;

  void add(const TraceEvent& event);
  /// Joins packets to connections; answers whose connection was not seen are taken away. Call it once, at the end.
  void join();

  [[nodiscard]] const std::vector<Packet>& packets() const { return packets_; }
  [[nodiscard]] const std::vector<Connection>& connections() const { return connections_; }
  /// Of the original direction.
  [[nodiscard]] std::size_t seen() const { return seen_; }
  /// Answers of connections that were not seen.
  [[nodiscard]] std::size_t unjoined() const { return unjoined_; }

 private:
  struct Open {
    std::size_t packet = 0;
    bool in_passage = false;  ///< the last passage goes on
    bool ended = false;       ///< another start with this id is another packet
    std::size_t steps = 0;
  };

  void note_place(const TraceEvent& event);
  void start(const TraceEvent& event, bool reply);
  [[nodiscard]] bool come_back(const TraceEvent& event);
  void add_step(const TraceEvent& event, Open& open);
  [[nodiscard]] std::size_t connection_of(const Packet& packet) const;

  std::size_t most_;
  std::vector<Packet> packets_;
  std::vector<Connection> connections_;
  std::unordered_map<std::uint32_t, Open> open_;
  std::size_t seen_ = 0;
  std::size_t unjoined_ = 0;
};

/// "tcp 10.244.1.5:40000 -> 10.96.0.10:53"; ICMP: without ports.
[[nodiscard]] std::string to_text(const TracedHeader& header);

}  // namespace kubenatd::agent::trace
