#include "netlink/trace/trace_event.h"

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <cstring>

#include "netlink/core/attributes.h"

namespace kubenatd::netlink::trace {
namespace {

using Type = TraceEvent::Type;
using Verdict = TraceEvent::Verdict;

// Since Linux 6.17; the headers of distributions are older.
constexpr std::uint16_t kCtId = 18;
constexpr std::uint16_t kCtDirection = 19;
constexpr std::uint16_t kCtStatus = 20;
constexpr std::uint16_t kCtState = 21;

constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;

std::uint8_t byte_at(std::string_view bytes, std::size_t offset) {
  return static_cast<std::uint8_t>(bytes[offset]);
}

std::uint16_t be16_at(std::string_view bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(byte_at(bytes, offset) << 8U | byte_at(bytes, offset + 1));
}

std::uint32_t be32_at(std::string_view bytes, std::size_t offset) {
  return static_cast<std::uint32_t>(be16_at(bytes, offset)) << 16U | be16_at(bytes, offset + 2);
}

rules::Address address_at(std::string_view bytes, std::size_t offset, rules::Family family) {
  rules::Address address;
  address.family = family;
  std::memcpy(address.bytes.data(), bytes.data() + offset, rules::bits_of(family) / 8U);
  return address;
}

/// The transport that follows. The kernel gives no more than 40 bytes of the network header, so of an IPv6 packet with
/// extension headers it cannot be seen; the length of what was given tells nothing either.
bool is_extension(std::uint8_t next) {
  return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT || next == IPPROTO_DSTOPTS ||
         next == IPPROTO_AH;
}

void read_transport(std::string_view bytes, TracedHeader& header) {
  switch (header.protocol) {
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_SCTP:
      if (bytes.size() < 4) return;
      header.source_port = be16_at(bytes, 0);
      header.destination_port = be16_at(bytes, 2);
      if (header.protocol != IPPROTO_TCP || bytes.size() < 14) return;
      header.tcp_sequence = be32_at(bytes, 4);
      header.tcp_flags = byte_at(bytes, 13);
      return;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      if (bytes.size() < 2) return;
      header.icmp_type = byte_at(bytes, 0);
      header.icmp_code = byte_at(bytes, 1);
      return;
    default: return;
  }
}

Verdict verdict_of(std::int32_t code) {
  switch (code) {
    case NFT_CONTINUE:
    case NFT_BREAK: return Verdict::kContinue;
    case NFT_JUMP: return Verdict::kJump;
    case NFT_GOTO: return Verdict::kGoto;
    case NFT_RETURN: return Verdict::kReturn;
    default: break;
  }
  // The upper bits hold the number of a queue, or the errno that the sender is told.
  switch (static_cast<std::uint32_t>(code) & NF_VERDICT_MASK) {
    case NF_DROP: return Verdict::kDrop;
    case NF_ACCEPT: return Verdict::kAccept;
    case NF_STOLEN: return Verdict::kStolen;
    case NF_QUEUE: return Verdict::kQueue;
    default: return Verdict::kOther;
  }
}

Type type_of(std::uint32_t number) {
  switch (number) {
    case NFT_TRACETYPE_POLICY: return Type::kPolicy;
    case NFT_TRACETYPE_RETURN: return Type::kReturn;
    case NFT_TRACETYPE_RULE: return Type::kRule;
    default: return Type::kOther;
  }
}

}  // namespace

std::optional<TracedHeader> read_traced_header(std::string_view network, std::string_view transport) {
  if (network.empty()) return std::nullopt;
  TracedHeader header;
  switch (byte_at(network, 0) >> 4U) {
    case 4:
      if (network.size() < kIpv4Header) return std::nullopt;
      header.source = address_at(network, 12, rules::Family::kIpv4);
      header.destination = address_at(network, 16, rules::Family::kIpv4);
      header.protocol = byte_at(network, 9);
      header.is_fragment = (be16_at(network, 6) & 0x1fffU) != 0;
      break;
    case 6:
      if (network.size() < kIpv6Header) return std::nullopt;
      header.source = address_at(network, 8, rules::Family::kIpv6);
      header.destination = address_at(network, 24, rules::Family::kIpv6);
      header.protocol = byte_at(network, 6);
      if (is_extension(header.protocol)) return header;
      break;
    default: return std::nullopt;
  }
  if (!header.is_fragment) read_transport(transport, header);
  return header;
}

std::optional<TraceEvent> read_trace_event(const Message& message) {
  if (message.table_type() != NFT_MSG_TRACE) return std::nullopt;
  TraceEvent event;
  event.family = message.family();
  std::string_view network, transport;
  TracedConnection connection;
  bool tracked = false;
  AttributeReader reader(message.attributes());
  for (Attribute attribute; reader.next(attribute);) {
    switch (attribute.type) {
      case NFTA_TRACE_ID: event.id = attribute.be32(); break;
      case NFTA_TRACE_TYPE: event.type = type_of(attribute.be32()); break;
      case NFTA_TRACE_TABLE: event.table = attribute.text(); break;
      case NFTA_TRACE_CHAIN: event.chain = attribute.text(); break;
      case NFTA_TRACE_RULE_HANDLE: event.rule = attribute.be64(); break;
      case NFTA_TRACE_VERDICT:
        event.verdict =
            verdict_of(static_cast<std::int32_t>(find_attribute(attribute.payload, NFTA_VERDICT_CODE).be32()));
        event.jump = find_attribute(attribute.payload, NFTA_VERDICT_CHAIN).text();
        break;
      case NFTA_TRACE_POLICY: event.verdict = verdict_of(static_cast<std::int32_t>(attribute.be32())); break;
      case NFTA_TRACE_MARK: event.mark = attribute.be32(); break;
      case NFTA_TRACE_NFPROTO: event.protocol_family = attribute.be32(); break;
      case NFTA_TRACE_NETWORK_HEADER: network = attribute.payload; break;
      case NFTA_TRACE_TRANSPORT_HEADER: transport = attribute.payload; break;
      case NFTA_TRACE_IIF: event.in_index = attribute.be32(); break;
      case NFTA_TRACE_OIF: event.out_index = attribute.be32(); break;
      case kCtId:
        connection.id = attribute.be32();
        tracked = true;
        break;
      case kCtDirection: connection.reply = !attribute.payload.empty() && attribute.payload[0] != 0; break;
      case kCtStatus: connection.status = attribute.be32(); break;
      case kCtState:
        connection.state = attribute.be32();
        tracked = true;
        break;
      default: break;
    }
  }
  event.header = read_traced_header(network, transport);
  if (tracked) event.connection = connection;
  return event;
}

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNone: return "";
    case Verdict::kAccept: return "accept";
    case Verdict::kDrop: return "drop";
    case Verdict::kStolen: return "stolen";
    case Verdict::kQueue: return "queue";
    case Verdict::kContinue: return "continue";
    case Verdict::kJump: return "jump";
    case Verdict::kGoto: return "goto";
    case Verdict::kReturn: return "return";
    case Verdict::kOther: return "other";
  }
  return "";
}

}  // namespace kubenatd::netlink::trace
