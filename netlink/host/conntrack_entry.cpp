#include "netlink/host/conntrack_entry.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>

#include <cstring>

namespace kubenatd::netlink::host {
namespace {

struct Endpoints {
  rules::Address source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
  std::uint8_t protocol = 0;
  std::optional<std::uint16_t> zone;
};

std::uint16_t read_u16(const nlattr* attribute) {
  return ntohs(nla_get_u16(attribute));
}

bool read_address(const nlattr* attribute, rules::Family family, rules::Address& address) {
  address.family = family;
  const std::size_t size = address.octets().size();
  if (attribute == nullptr || static_cast<std::size_t>(nla_len(attribute)) != size) return false;
  std::memcpy(address.bytes.data(), nla_data(attribute), size);
  return true;
}

/// A tuple with addresses and, for protocols that have them, ports. Nothing when the message is not well-formed.
std::optional<Endpoints> read_tuple(nlattr* attribute, rules::Family family) {
  if (attribute == nullptr) return std::nullopt;
  std::array<nla_policy, CTA_TUPLE_MAX + 1> tuple_policy{};
  tuple_policy[CTA_TUPLE_IP].type = NLA_NESTED;
  tuple_policy[CTA_TUPLE_PROTO].type = NLA_NESTED;
  tuple_policy[CTA_TUPLE_ZONE].type = NLA_U16;
  std::array<nla_policy, CTA_PROTO_MAX + 1> proto_policy{};
  proto_policy[CTA_PROTO_NUM].type = NLA_U8;
  proto_policy[CTA_PROTO_SRC_PORT].type = NLA_U16;
  proto_policy[CTA_PROTO_DST_PORT].type = NLA_U16;

  std::array<nlattr*, CTA_TUPLE_MAX + 1> tuple{};
  std::array<nlattr*, CTA_IP_MAX + 1> ip{};
  std::array<nlattr*, CTA_PROTO_MAX + 1> proto{};
  if (nla_parse_nested(tuple.data(), CTA_TUPLE_MAX, attribute, tuple_policy.data()) < 0) return std::nullopt;
  if (tuple[CTA_TUPLE_IP] == nullptr || tuple[CTA_TUPLE_PROTO] == nullptr) return std::nullopt;
  if (nla_parse_nested(ip.data(), CTA_IP_MAX, tuple[CTA_TUPLE_IP], nullptr) < 0) return std::nullopt;
  if (nla_parse_nested(proto.data(), CTA_PROTO_MAX, tuple[CTA_TUPLE_PROTO], proto_policy.data()) < 0)
    return std::nullopt;

  const bool v4 = family == rules::Family::kIpv4;
  Endpoints ends;
  if (!read_address(ip[v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC], family, ends.source)) return std::nullopt;
  if (!read_address(ip[v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST], family, ends.destination)) return std::nullopt;
  if (proto[CTA_PROTO_NUM] == nullptr) return std::nullopt;
  ends.protocol = nla_get_u8(proto[CTA_PROTO_NUM]);
  if (proto[CTA_PROTO_SRC_PORT] != nullptr) ends.source_port = read_u16(proto[CTA_PROTO_SRC_PORT]);
  if (proto[CTA_PROTO_DST_PORT] != nullptr) ends.destination_port = read_u16(proto[CTA_PROTO_DST_PORT]);
  if (tuple[CTA_TUPLE_ZONE] != nullptr) ends.zone = read_u16(tuple[CTA_TUPLE_ZONE]);
  return ends;
}

}  // namespace

std::optional<ConntrackFlow> read_conntrack_entry(const nlmsghdr& message, rules::Family family, std::uint8_t protocol,
                                                  ConntrackAttributes& attributes) {
  std::array<nla_policy, CTA_MAX + 1> policy{};
  policy[CTA_TUPLE_ORIG].type = NLA_NESTED;
  policy[CTA_TUPLE_REPLY].type = NLA_NESTED;
  policy[CTA_ID].type = NLA_U32;
  policy[CTA_ZONE].type = NLA_U16;
  // libnl does not write to a message that it reads.
  auto* header = const_cast<nlmsghdr*>(&message);
  if (nlmsg_parse(header, sizeof(nfgenmsg), attributes.data(), CTA_MAX, policy.data()) < 0) return std::nullopt;
  const auto* generic = static_cast<const nfgenmsg*>(nlmsg_data(header));
  if (generic->nfgen_family != (family == rules::Family::kIpv4 ? AF_INET : AF_INET6)) return std::nullopt;

  const std::optional<Endpoints> original = read_tuple(attributes[CTA_TUPLE_ORIG], family);
  if (!original || original->protocol != protocol) return std::nullopt;
  const std::optional<Endpoints> reply = read_tuple(attributes[CTA_TUPLE_REPLY], family);
  if (!reply) return std::nullopt;

  ConntrackFlow flow;
  flow.protocol = original->protocol;
  flow.original_source = original->source;
  flow.original_source_port = original->source_port;
  flow.original_destination = original->destination;
  flow.original_destination_port = original->destination_port;
  flow.reply_source = reply->source;
  flow.reply_source_port = reply->source_port;
  flow.zone = attributes[CTA_ZONE] != nullptr ? read_u16(attributes[CTA_ZONE]) : original->zone.value_or(0);
  return flow;
}

}  // namespace kubenatd::netlink::host
