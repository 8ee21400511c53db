#include "rules/walk/nft/vocabulary.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <algorithm>
#include <array>

namespace kubenatd::rules::walk::nft {
namespace {

using Base = Payload::Base;
constexpr std::array kHeaders{
    HeaderInfo{Header::kEther, "ether", Base::kLink, 0, 0},
    HeaderInfo{Header::kVlan, "vlan", Base::kLink, 0, ETH_P_8021Q},
    HeaderInfo{Header::kArp, "arp", Base::kNetwork, 0, ETH_P_ARP},
    HeaderInfo{Header::kIp, "ip", Base::kNetwork, 0, ETH_P_IP},
    HeaderInfo{Header::kIp6, "ip6", Base::kNetwork, 0, ETH_P_IPV6},
    HeaderInfo{Header::kIcmp, "icmp", Base::kTransport, IPPROTO_ICMP, 0},
    HeaderInfo{Header::kIcmpv6, "icmpv6", Base::kTransport, IPPROTO_ICMPV6, 0},
    HeaderInfo{Header::kIgmp, "igmp", Base::kTransport, IPPROTO_IGMP, 0},
    HeaderInfo{Header::kTcp, "tcp", Base::kTransport, IPPROTO_TCP, 0},
    HeaderInfo{Header::kUdp, "udp", Base::kTransport, IPPROTO_UDP, 0},
    HeaderInfo{Header::kUdplite, "udplite", Base::kTransport, IPPROTO_UDPLITE, 0},
    HeaderInfo{Header::kDccp, "dccp", Base::kTransport, IPPROTO_DCCP, 0},
    HeaderInfo{Header::kSctp, "sctp", Base::kTransport, IPPROTO_SCTP, 0},
    HeaderInfo{Header::kAh, "ah", Base::kTransport, IPPROTO_AH, 0},
    HeaderInfo{Header::kEsp, "esp", Base::kTransport, IPPROTO_ESP, 0},
    HeaderInfo{Header::kComp, "comp", Base::kTransport, IPPROTO_COMP, 0},
    HeaderInfo{Header::kTh, "th", Base::kTransport, 0, 0},
};

constexpr std::array kFields{
    Field{Header::kEther, "daddr", 0, 48, Type::kEther},
    Field{Header::kEther, "saddr", 48, 48, Type::kEther},
    Field{Header::kEther, "type", 96, 16, Type::kEtherType},
    Field{Header::kVlan, "pcp", 112, 3, Type::kInteger},
    Field{Header::kVlan, "dei", 115, 1, Type::kInteger},
    Field{Header::kVlan, "cfi", 115, 1, Type::kInteger},
    Field{Header::kVlan, "id", 116, 12, Type::kInteger},
    Field{Header::kVlan, "type", 128, 16, Type::kEtherType},
    Field{Header::kArp, "htype", 0, 16, Type::kInteger},
    Field{Header::kArp, "ptype", 16, 16, Type::kEtherType},
    Field{Header::kArp, "hlen", 32, 8, Type::kInteger},
    Field{Header::kArp, "plen", 40, 8, Type::kInteger},
    Field{Header::kArp, "operation", 48, 16, Type::kArpOperation},
    Field{Header::kArp, "saddr ether", 64, 48, Type::kEther},
    Field{Header::kArp, "saddr ip", 112, 32, Type::kAddress4},
    Field{Header::kArp, "daddr ether", 144, 48, Type::kEther},
    Field{Header::kArp, "daddr ip", 192, 32, Type::kAddress4},
    Field{Header::kIp, "version", 0, 4, Type::kInteger},
    Field{Header::kIp, "hdrlength", 4, 4, Type::kInteger},
    Field{Header::kIp, "dscp", 8, 6, Type::kDscp},
    Field{Header::kIp, "ecn", 14, 2, Type::kEcn},
    Field{Header::kIp, "length", 16, 16, Type::kInteger},
    Field{Header::kIp, "id", 32, 16, Type::kInteger},
    Field{Header::kIp, "frag-off", 48, 16, Type::kInteger},
    Field{Header::kIp, "ttl", 64, 8, Type::kInteger},
    Field{Header::kIp, "protocol", 72, 8, Type::kProtocol},
    Field{Header::kIp, "checksum", 80, 16, Type::kInteger},
    Field{Header::kIp, "saddr", 96, 32, Type::kAddress4},
    Field{Header::kIp, "daddr", 128, 32, Type::kAddress4},
    Field{Header::kIp6, "version", 0, 4, Type::kInteger},
    Field{Header::kIp6, "dscp", 4, 6, Type::kDscp},
    Field{Header::kIp6, "ecn", 10, 2, Type::kEcn},
    Field{Header::kIp6, "flowlabel", 12, 20, Type::kInteger},
    Field{Header::kIp6, "length", 32, 16, Type::kInteger},
    Field{Header::kIp6, "nexthdr", 48, 8, Type::kProtocol},
    Field{Header::kIp6, "hoplimit", 56, 8, Type::kInteger},
    Field{Header::kIp6, "saddr", 64, 128, Type::kAddress6},
    Field{Header::kIp6, "daddr", 192, 128, Type::kAddress6},
    Field{Header::kIcmp, "type", 0, 8, Type::kIcmpType},
    Field{Header::kIcmp, "code", 8, 8, Type::kIcmpCode},
    Field{Header::kIcmp, "checksum", 16, 16, Type::kInteger},
    Field{Header::kIcmp, "id", 32, 16, Type::kInteger},
    Field{Header::kIcmp, "sequence", 48, 16, Type::kInteger},
    Field{Header::kIcmp, "gateway", 32, 32, Type::kInteger},
    Field{Header::kIcmp, "mtu", 48, 16, Type::kInteger},
    Field{Header::kIcmpv6, "type", 0, 8, Type::kIcmpv6Type},
    Field{Header::kIcmpv6, "code", 8, 8, Type::kIcmpv6Code},
    Field{Header::kIcmpv6, "checksum", 16, 16, Type::kInteger},
    Field{Header::kIcmpv6, "parameter-problem", 32, 32, Type::kInteger},
    Field{Header::kIcmpv6, "mtu", 32, 32, Type::kInteger},
    Field{Header::kIcmpv6, "id", 32, 16, Type::kInteger},
    Field{Header::kIcmpv6, "sequence", 48, 16, Type::kInteger},
    Field{Header::kIcmpv6, "max-delay", 32, 16, Type::kInteger},
    Field{Header::kIcmpv6, "taddr", 64, 128, Type::kAddress6},
    Field{Header::kIcmpv6, "daddr", 192, 128, Type::kAddress6},
    Field{Header::kIgmp, "type", 0, 8, Type::kIgmpType},
    Field{Header::kIgmp, "mrt", 8, 8, Type::kInteger},
    Field{Header::kIgmp, "checksum", 16, 16, Type::kInteger},
    Field{Header::kIgmp, "group", 32, 32, Type::kInteger},
    Field{Header::kTcp, "sport", 0, 16, Type::kPort},
    Field{Header::kTcp, "dport", 16, 16, Type::kPort},
    Field{Header::kTcp, "sequence", 32, 32, Type::kInteger},
    Field{Header::kTcp, "ackseq", 64, 32, Type::kInteger},
    Field{Header::kTcp, "doff", 96, 4, Type::kInteger},
    Field{Header::kTcp, "reserved", 100, 4, Type::kInteger},
    Field{Header::kTcp, "flags", 104, 8, Type::kTcpFlags},
    Field{Header::kTcp, "window", 112, 16, Type::kInteger},
    Field{Header::kTcp, "checksum", 128, 16, Type::kInteger},
    Field{Header::kTcp, "urgptr", 144, 16, Type::kInteger},
    Field{Header::kUdp, "sport", 0, 16, Type::kPort},
    Field{Header::kUdp, "dport", 16, 16, Type::kPort},
    Field{Header::kUdp, "length", 32, 16, Type::kInteger},
    Field{Header::kUdp, "checksum", 48, 16, Type::kInteger},
    Field{Header::kUdplite, "sport", 0, 16, Type::kPort},
    Field{Header::kUdplite, "dport", 16, 16, Type::kPort},
    Field{Header::kUdplite, "csumcov", 32, 16, Type::kInteger},
    Field{Header::kUdplite, "checksum", 48, 16, Type::kInteger},
    Field{Header::kDccp, "sport", 0, 16, Type::kPort},
    Field{Header::kDccp, "dport", 16, 16, Type::kPort},
    Field{Header::kDccp, "type", 67, 4, Type::kDccpType},
    Field{Header::kSctp, "sport", 0, 16, Type::kPort},
    Field{Header::kSctp, "dport", 16, 16, Type::kPort},
    Field{Header::kSctp, "vtag", 32, 32, Type::kInteger},
    Field{Header::kSctp, "checksum", 64, 32, Type::kInteger},
    Field{Header::kAh, "nexthdr", 0, 8, Type::kProtocol},
    Field{Header::kAh, "hdrlength", 8, 8, Type::kInteger},
    Field{Header::kAh, "reserved", 16, 16, Type::kInteger},
    Field{Header::kAh, "spi", 32, 32, Type::kInteger},
    Field{Header::kAh, "sequence", 64, 32, Type::kInteger},
    Field{Header::kEsp, "spi", 0, 32, Type::kInteger},
    Field{Header::kEsp, "sequence", 32, 32, Type::kInteger},
    Field{Header::kComp, "nexthdr", 0, 8, Type::kProtocol},
    Field{Header::kComp, "flags", 8, 8, Type::kInteger},
    Field{Header::kComp, "cpi", 16, 16, Type::kInteger},
    Field{Header::kTh, "sport", 0, 16, Type::kPort},
    Field{Header::kTh, "dport", 16, 16, Type::kPort},
};

constexpr std::array kMeta{
    Key{"length", NFT_META_LEN, Type::kHostInteger, 4},
    Key{"protocol", NFT_META_PROTOCOL, Type::kEtherType, 2},
    Key{"priority", NFT_META_PRIORITY, Type::kClassId, 4},
    Key{"mark", NFT_META_MARK, Type::kMark, 4},
    Key{"iif", NFT_META_IIF, Type::kInterfaceIndex, 4},
    Key{"oif", NFT_META_OIF, Type::kInterfaceIndex, 4},
    Key{"iifname", NFT_META_IIFNAME, Type::kInterface, 16},
    Key{"oifname", NFT_META_OIFNAME, Type::kInterface, 16},
    Key{"iiftype", NFT_META_IIFTYPE, Type::kInterfaceType, 2},
    Key{"oiftype", NFT_META_OIFTYPE, Type::kInterfaceType, 2},
    Key{"skuid", NFT_META_SKUID, Type::kUser, 4},
    Key{"skgid", NFT_META_SKGID, Type::kGroup, 4},
    Key{"nftrace", NFT_META_NFTRACE, Type::kInteger, 1},
    Key{"rtclassid", NFT_META_RTCLASSID, Type::kRealm, 4},
    Key{"secmark", NFT_META_SECMARK, Type::kHostInteger, 4},
    Key{"nfproto", NFT_META_NFPROTO, Type::kFamily, 1},
    Key{"l4proto", NFT_META_L4PROTO, Type::kProtocol, 1},
    Key{"ibrname", NFT_META_BRI_IIFNAME, Type::kInterface, 16},
    Key{"obrname", NFT_META_BRI_OIFNAME, Type::kInterface, 16},
    Key{"ibriport", NFT_META_BRI_IIFNAME, Type::kInterface, 16},
    Key{"obriport", NFT_META_BRI_OIFNAME, Type::kInterface, 16},
    Key{"pkttype", NFT_META_PKTTYPE, Type::kPacketType, 1},
    Key{"cpu", NFT_META_CPU, Type::kHostInteger, 4},
    Key{"iifgroup", NFT_META_IIFGROUP, Type::kInterfaceGroup, 4},
    Key{"oifgroup", NFT_META_OIFGROUP, Type::kInterfaceGroup, 4},
    Key{"cgroup", NFT_META_CGROUP, Type::kHostInteger, 4},
    Key{"random", NFT_META_PRANDOM, Type::kInteger, 4},
    Key{"ipsec", NFT_META_SECPATH, Type::kBoolean, 1},
    Key{"secpath", NFT_META_SECPATH, Type::kBoolean, 1},
    Key{"iifkind", NFT_META_IIFKIND, Type::kInterface, 16},
    Key{"oifkind", NFT_META_OIFKIND, Type::kInterface, 16},
    Key{"ibrpvid", NFT_META_BRI_IIFPVID, Type::kHostInteger, 2},
    Key{"ibrvproto", NFT_META_BRI_IIFVPROTO, Type::kEtherType, 2},
    Key{"time", NFT_META_TIME_NS, Type::kTimestamp, 8},
    Key{"day", NFT_META_TIME_DAY, Type::kDay, 1},
    Key{"hour", NFT_META_TIME_HOUR, Type::kHour, 4},
    Key{"sdif", NFT_META_SDIF, Type::kInterfaceIndex, 4},
    Key{"sdifname", NFT_META_SDIFNAME, Type::kInterface, 16},
};

constexpr std::array kCt{
    Key{"state", NFT_CT_STATE, Type::kCtState, 4},         Key{"direction", NFT_CT_DIRECTION, Type::kCtDirection, 1},
    Key{"status", NFT_CT_STATUS, Type::kCtStatus, 4},      Key{"mark", NFT_CT_MARK, Type::kMark, 4},
    Key{"secmark", NFT_CT_SECMARK, Type::kHostInteger, 4}, Key{"expiration", NFT_CT_EXPIRATION, Type::kTime, 4},
    Key{"helper", NFT_CT_HELPER, Type::kString, 16},       Key{"l3proto", NFT_CT_L3PROTOCOL, Type::kFamily, 1},
    Key{"saddr", NFT_CT_SRC, Type::kUnknown, 0},           Key{"daddr", NFT_CT_DST, Type::kUnknown, 0},
    Key{"protocol", NFT_CT_PROTOCOL, Type::kProtocol, 1},  Key{"proto-src", NFT_CT_PROTO_SRC, Type::kPort, 2},
    Key{"proto-dst", NFT_CT_PROTO_DST, Type::kPort, 2},    Key{"label", NFT_CT_LABELS, Type::kCtLabel, 16},
    Key{"packets", NFT_CT_PKTS, Type::kHostInteger, 8},    Key{"bytes", NFT_CT_BYTES, Type::kHostInteger, 8},
    Key{"avgpkt", NFT_CT_AVGPKT, Type::kHostInteger, 8},   Key{"zone", NFT_CT_ZONE, Type::kHostInteger, 2},
    Key{"event", NFT_CT_EVENTMASK, Type::kCtEvent, 4},     Key{"ip saddr", NFT_CT_SRC_IP, Type::kAddress4, 4},
    Key{"ip daddr", NFT_CT_DST_IP, Type::kAddress4, 4},    Key{"ip6 saddr", NFT_CT_SRC_IP6, Type::kAddress6, 16},
    Key{"ip6 daddr", NFT_CT_DST_IP6, Type::kAddress6, 16}, Key{"id", NFT_CT_ID, Type::kInteger, 4},
};

constexpr std::array kRt{
    Key{"classid", NFT_RT_CLASSID, Type::kRealm, 4},
    Key{"ip nexthop", NFT_RT_NEXTHOP4, Type::kAddress4, 4},
    Key{"ip6 nexthop", NFT_RT_NEXTHOP6, Type::kAddress6, 16},
    Key{"mtu", NFT_RT_TCPMSS, Type::kHostInteger, 2},
    Key{"ipsec", NFT_RT_XFRM, Type::kBoolean, 1},
};

constexpr std::array kSocket{
    Key{"transparent", NFT_SOCKET_TRANSPARENT, Type::kInteger, 1},
    Key{"mark", NFT_SOCKET_MARK, Type::kMark, 4},
    Key{"wildcard", NFT_SOCKET_WILDCARD, Type::kInteger, 1},
    Key{"cgroupv2", NFT_SOCKET_CGROUPV2, Type::kCgroup, 8},
};

constexpr std::uint32_t kTcp = NFT_EXTHDR_OP_TCPOPT;
constexpr std::uint32_t kIpv4 = NFT_EXTHDR_OP_IPV4;
constexpr std::uint32_t kSctp = NFT_EXTHDR_OP_SCTP;
constexpr std::uint32_t kIpv6 = NFT_EXTHDR_OP_IPV6;
// A row without a name is for the presence of the option.
constexpr std::array kOptions{
    OptionField{kTcp, "eol", 0, "kind", 0, 8},
    OptionField{kTcp, "nop", 1, "kind", 0, 8},
    OptionField{kTcp, "maxseg", 2, "kind", 0, 8},
    OptionField{kTcp, "maxseg", 2, "length", 8, 8},
    OptionField{kTcp, "maxseg", 2, "size", 16, 16},
    OptionField{kTcp, "window", 3, "kind", 0, 8},
    OptionField{kTcp, "window", 3, "length", 8, 8},
    OptionField{kTcp, "window", 3, "count", 16, 8},
    OptionField{kTcp, "sack-perm", 4, "kind", 0, 8},
    OptionField{kTcp, "sack-perm", 4, "length", 8, 8},
    OptionField{kTcp, "sack", 5, "kind", 0, 8},
    OptionField{kTcp, "sack", 5, "length", 8, 8},
    OptionField{kTcp, "sack", 5, "left", 16, 32},
    OptionField{kTcp, "sack", 5, "right", 48, 32},
    OptionField{kTcp, "timestamp", 8, "kind", 0, 8},
    OptionField{kTcp, "timestamp", 8, "length", 8, 8},
    OptionField{kTcp, "timestamp", 8, "tsval", 16, 32},
    OptionField{kTcp, "timestamp", 8, "tsecr", 48, 32},
    OptionField{kTcp, "fastopen", 34, "kind", 0, 8},
    OptionField{kTcp, "fastopen", 34, "length", 8, 8},
    OptionField{kTcp, "md5sig", 19, "kind", 0, 8},
    OptionField{kTcp, "md5sig", 19, "length", 8, 8},
    OptionField{kTcp, "mptcp", 30, "kind", 0, 8},
    OptionField{kTcp, "mptcp", 30, "length", 8, 8},
    OptionField{kTcp, "mptcp", 30, "subtype", 16, 4},
    OptionField{kIpv4, "lsrr", 131, "type", 0, 8},
    OptionField{kIpv4, "lsrr", 131, "length", 8, 8},
    OptionField{kIpv4, "lsrr", 131, "ptr", 16, 8},
    OptionField{kIpv4, "lsrr", 131, "addr", 24, 32},
    OptionField{kIpv4, "rr", 7, "type", 0, 8},
    OptionField{kIpv4, "rr", 7, "length", 8, 8},
    OptionField{kIpv4, "rr", 7, "ptr", 16, 8},
    OptionField{kIpv4, "rr", 7, "addr", 24, 32},
    OptionField{kIpv4, "ssrr", 137, "type", 0, 8},
    OptionField{kIpv4, "ssrr", 137, "length", 8, 8},
    OptionField{kIpv4, "ssrr", 137, "ptr", 16, 8},
    OptionField{kIpv4, "ssrr", 137, "addr", 24, 32},
    OptionField{kIpv4, "ra", 148, "type", 0, 8},
    OptionField{kIpv4, "ra", 148, "length", 8, 8},
    OptionField{kIpv4, "ra", 148, "value", 16, 16},
    OptionField{kSctp, "data", 0, "", 0, 8},
    OptionField{kSctp, "data", 0, "type", 0, 8},
    OptionField{kSctp, "data", 0, "flags", 8, 8},
    OptionField{kSctp, "data", 0, "length", 16, 16},
    OptionField{kSctp, "init", 1, "", 0, 8},
    OptionField{kSctp, "init-ack", 2, "", 0, 8},
    OptionField{kSctp, "sack", 3, "", 0, 8},
    OptionField{kSctp, "heartbeat", 4, "", 0, 8},
    OptionField{kSctp, "heartbeat-ack", 5, "", 0, 8},
    OptionField{kSctp, "abort", 6, "", 0, 8},
    OptionField{kSctp, "shutdown", 7, "", 0, 8},
    OptionField{kSctp, "shutdown-ack", 8, "", 0, 8},
    OptionField{kSctp, "error", 9, "", 0, 8},
    OptionField{kSctp, "cookie-echo", 10, "", 0, 8},
    OptionField{kSctp, "cookie-ack", 11, "", 0, 8},
    OptionField{kIpv6, "hbh", 0, "nexthdr", 0, 8, Type::kProtocol},
    OptionField{kIpv6, "hbh", 0, "hdrlength", 8, 8},
    OptionField{kIpv6, "rt", 43, "nexthdr", 0, 8, Type::kProtocol},
    OptionField{kIpv6, "rt", 43, "hdrlength", 8, 8},
    OptionField{kIpv6, "rt", 43, "type", 16, 8},
    OptionField{kIpv6, "rt", 43, "seg-left", 24, 8},
    OptionField{kIpv6, "frag", 44, "nexthdr", 0, 8, Type::kProtocol},
    OptionField{kIpv6, "frag", 44, "reserved", 8, 8},
    OptionField{kIpv6, "frag", 44, "frag-off", 16, 13},
    OptionField{kIpv6, "frag", 44, "reserved2", 29, 2},
    OptionField{kIpv6, "frag", 44, "more-fragments", 31, 1},
    OptionField{kIpv6, "frag", 44, "id", 32, 32},
    OptionField{kIpv6, "dst", 60, "nexthdr", 0, 8, Type::kProtocol},
    OptionField{kIpv6, "dst", 60, "hdrlength", 8, 8},
    OptionField{kIpv6, "mh", 135, "nexthdr", 0, 8, Type::kProtocol},
    OptionField{kIpv6, "mh", 135, "hdrlength", 8, 8},
    OptionField{kIpv6, "mh", 135, "type", 16, 8, Type::kMobilityType},
    OptionField{kIpv6, "mh", 135, "reserved", 24, 8},
    OptionField{kIpv6, "mh", 135, "checksum", 32, 16},
};

constexpr std::array kAnswers{
    Answer{"icmp-net-unreachable", "icmp", "net-unreachable", 0},
    Answer{"icmp-host-unreachable", "icmp", "host-unreachable", 1},
    Answer{"icmp-proto-unreachable", "icmp", "prot-unreachable", 2},
    Answer{"icmp-port-unreachable", "icmp", "port-unreachable", 3},
    Answer{"icmp-net-prohibited", "icmp", "net-prohibited", 9},
    Answer{"icmp-host-prohibited", "icmp", "host-prohibited", 10},
    Answer{"icmp-admin-prohibited", "icmp", "admin-prohibited", 13},
    Answer{"icmp6-no-route", "icmpv6", "no-route", 0},
    Answer{"icmp6-adm-prohibited", "icmpv6", "admin-prohibited", 1},
    Answer{"icmp6-addr-unreachable", "icmpv6", "addr-unreachable", 3},
    Answer{"icmp6-port-unreachable", "icmpv6", "port-unreachable", 4},
    Answer{"icmp6-policy-fail", "icmpv6", "policy-fail", 5},
    Answer{"icmp6-reject-route", "icmpv6", "reject-route", 6},
    Answer{"icmpx-no-route", "icmpx", "no-route", 0},
    Answer{"icmpx-port-unreachable", "icmpx", "port-unreachable", 1},
    Answer{"icmpx-host-unreachable", "icmpx", "host-unreachable", 2},
    Answer{"icmpx-admin-prohibited", "icmpx", "admin-prohibited", 3},
};

struct Priority {
  std::string_view name;
  std::int32_t value;
};
constexpr std::array<Priority, 6> kPriorities{
    {{"raw", -300}, {"mangle", -150}, {"dstnat", -100}, {"filter", 0}, {"security", 50}, {"srcnat", 100}}};
constexpr std::array<Priority, 4> kBridgePriorities{
    {{"dstnat", -300}, {"filter", -200}, {"out", 100}, {"srcnat", 300}}};

}  // namespace

std::span<const HeaderInfo> headers() {
  return kHeaders;
}

const HeaderInfo& info_of(Header header) {
  return kHeaders[static_cast<std::size_t>(header)];
}

const HeaderInfo* header_named(std::string_view name) {
  const auto* const found = std::ranges::find(kHeaders, name, &HeaderInfo::name);
  return found == kHeaders.end() ? nullptr : found;
}

std::span<const Field> fields() {
  return kFields;
}

const Field* field_named(Header header, std::string_view name) {
  for (const Field& field : kFields)
    if (field.header == header && field.name == name) return &field;
  return nullptr;
}

std::span<const Key> meta_keys() {
  return kMeta;
}
std::span<const Key> ct_keys() {
  return kCt;
}
std::span<const Key> rt_keys() {
  return kRt;
}
std::span<const Key> socket_keys() {
  return kSocket;
}

const Key* key_named(std::span<const Key> keys, std::string_view name) {
  const auto found = std::ranges::find(keys, name, &Key::name);
  return found == keys.end() ? nullptr : &*found;
}

const Key* key_numbered(std::span<const Key> keys, std::uint32_t number) {
  const auto found = std::ranges::find(keys, number, &Key::number);
  return found == keys.end() ? nullptr : &*found;
}

std::optional<std::int32_t> priority_named(std::string_view name, TableFamily family) {
  const std::span<const Priority> known = family == TableFamily::kBridge ? std::span<const Priority>(kBridgePriorities)
                                                                         : std::span<const Priority>(kPriorities);
  const auto found = std::ranges::find(known, name, &Priority::name);
  if (found == known.end()) return std::nullopt;
  return found->value;
}

std::span<const OptionField> option_fields() {
  return kOptions;
}

std::span<const Answer> answers() {
  return kAnswers;
}

}  // namespace kubenatd::rules::walk::nft
