#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "netlink/core/messages.h"
#include "rules/address.h"

/// The kernel's own word on real packets: which rules they met (NFT_MSG_TRACE).
namespace kubenatd::netlink::trace {

/// What a traced packet had in its headers.
struct TracedHeader {
  rules::Address source, destination;
  std::uint8_t protocol = 0;  ///< of the transport; of IPv6, the header that follows the extension headers
  bool is_fragment = false;   ///< not the first one: there are no ports in it
  std::optional<std::uint16_t> source_port, destination_port;  ///< of TCP, UDP and SCTP
  std::optional<std::uint8_t> tcp_flags;
  std::optional<std::uint32_t> tcp_sequence;
  std::optional<std::uint8_t> icmp_type, icmp_code;  ///< of ICMP and ICMPv6
  bool operator==(const TracedHeader&) const = default;
};

/// The packet's connection. Linux before 6.17 does not tell.
struct TracedConnection {
  std::optional<std::uint32_t> id;  ///< the same for all packets of the connection while it lives
  bool reply = false;               ///< the packet goes the other way
  std::uint32_t state = 0;          ///< one bit, NF_CT_STATE_BIT
  std::uint32_t status = 0;         ///< IPS_*
  bool operator==(const TracedConnection&) const = default;

  // Bits of `state` (linux/netfilter/nf_conntrack_common.h).
  static constexpr std::uint32_t kInvalid = 1, kEstablished = 2, kRelated = 4, kNew = 8, kUntracked = 64;
};

/// One step of a traced packet.
struct TraceEvent {
  enum class Type : std::uint8_t {
    kOther,
    kPolicy,  ///< the end of a base chain: its policy decides
    kReturn,  ///< back to the chain before, by a rule or at the end of a chain
    kRule,    ///< a rule fitted
  };
  enum class Verdict : std::uint8_t {
    kNone,
    kAccept,
    kDrop,
    kStolen,
    kQueue,
    kContinue,
    kJump,
    kGoto,
    kReturn,
    kOther,
  };
  std::uint32_t id = 0;     ///< of the packet; another one after lo, a tunnel or a copy; may come again
  std::uint8_t family = 0;  ///< NFPROTO_* of the table
  Type type = Type::kOther;
  std::string table, chain;
  std::optional<std::uint64_t> rule;  ///< handle
  Verdict verdict = Verdict::kNone;   ///< kPolicy: the policy
  std::string jump;                   ///< kJump, kGoto
  std::uint32_t mark = 0;
  std::uint32_t protocol_family = 0;  ///< NFPROTO_* of the packet

  // Only in the first event of a packet in each base chain.
  std::optional<TracedHeader> header;
  std::uint32_t in_index = 0, out_index = 0;  ///< 0: none
  std::optional<TracedConnection> connection;
};

/// Reads a message of the group NFNLGRP_NFTRACE; none when it is another message. Pure. Failure: none, whatever the
/// bytes: what is too short or missing stays as it is by default. Cost: linear.
[[nodiscard]] std::optional<TraceEvent> read_trace_event(const Message& message);

/// The headers in NFTA_TRACE_NETWORK_HEADER and _TRANSPORT_HEADER; none when they are of no IP packet.
[[nodiscard]] std::optional<TracedHeader> read_traced_header(std::string_view network, std::string_view transport);

/// "accept", "drop", ... as nft writes them.
[[nodiscard]] std::string_view name_of(TraceEvent::Verdict verdict);

}  // namespace kubenatd::netlink::trace
