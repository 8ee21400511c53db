#include "rules/walk/nft/vocabulary.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>

namespace kubenatd::rules::walk::nft {
namespace {

constexpr std::array kTypes{
    TypeInfo{Type::kUnknown, "", 0, false, false},
    TypeInfo{Type::kInteger, "integer", 0, false, false},
    TypeInfo{Type::kHostInteger, "", 0, true, false},
    TypeInfo{Type::kAddress4, "ipv4_addr", 4, false, false},
    TypeInfo{Type::kAddress6, "ipv6_addr", 16, false, false},
    TypeInfo{Type::kEther, "ether_addr", 6, false, false},
    TypeInfo{Type::kProtocol, "inet_proto", 1, false, false},
    TypeInfo{Type::kPort, "inet_service", 2, false, false},
    TypeInfo{Type::kMark, "mark", 4, true, false},
    TypeInfo{Type::kInterface, "ifname", 16, false, false},
    TypeInfo{Type::kInterfaceIndex, "iface_index", 4, true, false},
    TypeInfo{Type::kInterfaceType, "iface_type", 2, true, false},
    TypeInfo{Type::kInterfaceGroup, "devgroup", 4, true, false},
    TypeInfo{Type::kCtState, "ct_state", 4, true, true},
    TypeInfo{Type::kCtStatus, "ct_status", 4, true, true},
    TypeInfo{Type::kCtDirection, "ct_dir", 1, false, false},
    TypeInfo{Type::kCtLabel, "ct_label", 16, true, true},
    TypeInfo{Type::kCtEvent, "ct_event", 4, true, true},
    TypeInfo{Type::kAddressType, "fib_addrtype", 4, true, false},
    TypeInfo{Type::kPacketType, "pkt_type", 1, false, false},
    TypeInfo{Type::kIcmpType, "icmp_type", 1, false, false},
    TypeInfo{Type::kIcmpCode, "icmp_code", 1, false, false},
    TypeInfo{Type::kIcmpv6Type, "icmpv6_type", 1, false, false},
    TypeInfo{Type::kIcmpv6Code, "icmpv6_code", 1, false, false},
    TypeInfo{Type::kIgmpType, "igmp_type", 1, false, false},
    TypeInfo{Type::kTcpFlags, "tcp_flag", 1, false, true},
    TypeInfo{Type::kDscp, "dscp", 1, false, false},
    TypeInfo{Type::kEcn, "ecn", 1, false, false},
    TypeInfo{Type::kFamily, "nf_proto", 1, false, false},
    TypeInfo{Type::kEtherType, "ether_type", 2, false, false},
    TypeInfo{Type::kArpOperation, "arp_op", 2, false, false},
    TypeInfo{Type::kTime, "time", 4, true, false},
    TypeInfo{Type::kTimestamp, "", 8, true, false},
    TypeInfo{Type::kDay, "day", 1, false, false},
    TypeInfo{Type::kHour, "hour", 4, true, false},
    TypeInfo{Type::kClassId, "classid", 4, true, false},
    TypeInfo{Type::kUser, "uid", 4, true, false},
    TypeInfo{Type::kGroup, "gid", 4, true, false},
    TypeInfo{Type::kRealm, "realm", 4, true, false},
    TypeInfo{Type::kBoolean, "boolean", 1, false, false},
    TypeInfo{Type::kString, "string", 16, false, false},
    TypeInfo{Type::kCgroup, "cgroupsv2", 8, true, false},
    TypeInfo{Type::kDccpType, "dccp_pkttype", 1, false, false},
    TypeInfo{Type::kMobilityType, "mh_type", 1, false, false},
};

constexpr std::array<Symbol, 15> kProtocols{{{"icmp", IPPROTO_ICMP},
                                             {"esp", IPPROTO_ESP},
                                             {"ah", IPPROTO_AH},
                                             {"comp", IPPROTO_COMP},
                                             {"ipcomp", IPPROTO_COMP},
                                             {"udp", IPPROTO_UDP},
                                             {"udplite", IPPROTO_UDPLITE},
                                             {"tcp", IPPROTO_TCP},
                                             {"dccp", IPPROTO_DCCP},
                                             {"sctp", IPPROTO_SCTP},
                                             {"ipv6-icmp", IPPROTO_ICMPV6},
                                             {"icmpv6", IPPROTO_ICMPV6},
                                             {"igmp", IPPROTO_IGMP},
                                             {"gre", IPPROTO_GRE},
                                             {"ipip", 94}}};
constexpr std::array<Symbol, 10> kMoreProtocols{{{"ip", 0},
                                                 {"hopopt", 0},
                                                 {"ipencap", 4},
                                                 {"ipv6", 41},
                                                 {"ipv6-route", 43},
                                                 {"ipv6-frag", 44},
                                                 {"ipv6-nonxt", 59},
                                                 {"ipv6-opts", 60},
                                                 {"ospf", 89},
                                                 {"vrrp", 112}}};
constexpr std::array<Symbol, 5> kStates{
    {{"invalid", 1}, {"new", 8}, {"established", 2}, {"related", 4}, {"untracked", 64}}};
constexpr std::array<Symbol, 7> kStatuses{
    {{"expected", 1}, {"seen-reply", 2}, {"assured", 4}, {"confirmed", 8}, {"snat", 16}, {"dnat", 32}, {"dying", 512}}};
constexpr std::array<Symbol, 11> kEvents{{{"new", 1},
                                          {"related", 2},
                                          {"destroy", 4},
                                          {"reply", 8},
                                          {"assured", 16},
                                          {"protoinfo", 32},
                                          {"helper", 64},
                                          {"mark", 128},
                                          {"seqadj", 256},
                                          {"secmark", 512},
                                          {"label", 1024}}};
constexpr std::array<Symbol, 2> kDirections{{{"original", 0}, {"reply", 1}}};
constexpr std::array<Symbol, 9> kAddressTypes{{{"unspec", RTN_UNSPEC},
                                               {"unicast", RTN_UNICAST},
                                               {"local", RTN_LOCAL},
                                               {"broadcast", RTN_BROADCAST},
                                               {"anycast", RTN_ANYCAST},
                                               {"multicast", RTN_MULTICAST},
                                               {"blackhole", RTN_BLACKHOLE},
                                               {"unreachable", RTN_UNREACHABLE},
                                               {"prohibit", RTN_PROHIBIT}}};
constexpr std::array<Symbol, 5> kPacketTypes{{{"host", PACKET_HOST},
                                              {"unicast", PACKET_HOST},
                                              {"broadcast", PACKET_BROADCAST},
                                              {"multicast", PACKET_MULTICAST},
                                              {"other", PACKET_OTHERHOST}}};
constexpr std::array<Symbol, 15> kIcmpTypes{{{"echo-reply", 0},
                                             {"destination-unreachable", 3},
                                             {"source-quench", 4},
                                             {"redirect", 5},
                                             {"echo-request", 8},
                                             {"router-advertisement", 9},
                                             {"router-solicitation", 10},
                                             {"time-exceeded", 11},
                                             {"parameter-problem", 12},
                                             {"timestamp-request", 13},
                                             {"timestamp-reply", 14},
                                             {"info-request", 15},
                                             {"info-reply", 16},
                                             {"address-mask-request", 17},
                                             {"address-mask-reply", 18}}};
constexpr std::array<Symbol, 8> kIcmpCodes{{{"net-unreachable", 0},
                                            {"host-unreachable", 1},
                                            {"prot-unreachable", 2},
                                            {"port-unreachable", 3},
                                            {"net-prohibited", 9},
                                            {"host-prohibited", 10},
                                            {"admin-prohibited", 13},
                                            {"frag-needed", 4}}};
constexpr std::array<Symbol, 19> kIcmpv6Types{{{"destination-unreachable", 1},
                                               {"packet-too-big", 2},
                                               {"time-exceeded", 3},
                                               {"parameter-problem", 4},
                                               {"echo-request", 128},
                                               {"echo-reply", 129},
                                               {"mld-listener-query", 130},
                                               {"mld-listener-report", 131},
                                               {"mld-listener-done", 132},
                                               {"mld-listener-reduction", 132},
                                               {"nd-router-solicit", 133},
                                               {"nd-router-advert", 134},
                                               {"nd-neighbor-solicit", 135},
                                               {"nd-neighbor-advert", 136},
                                               {"nd-redirect", 137},
                                               {"router-renumbering", 138},
                                               {"ind-neighbor-solicit", 141},
                                               {"ind-neighbor-advert", 142},
                                               {"mld2-listener-report", 143}}};
constexpr std::array<Symbol, 6> kIcmpv6Codes{{{"no-route", 0},
                                              {"admin-prohibited", 1},
                                              {"addr-unreachable", 3},
                                              {"port-unreachable", 4},
                                              {"policy-fail", 5},
                                              {"reject-route", 6}}};
constexpr std::array<Symbol, 5> kIgmpTypes{{{"membership-query", 17},
                                            {"membership-report-v1", 18},
                                            {"membership-report-v2", 22},
                                            {"membership-report-v3", 34},
                                            {"leave-group", 23}}};
constexpr std::array<Symbol, 8> kTcpFlags{
    {{"fin", 1}, {"syn", 2}, {"rst", 4}, {"psh", 8}, {"ack", 16}, {"urg", 32}, {"ecn", 64}, {"cwr", 128}}};
constexpr std::array<Symbol, 25> kDscps{{{"cs0", 0},     {"cs1", 8},     {"cs2", 0x10},  {"cs3", 0x18},  {"cs4", 0x20},
                                         {"cs5", 0x28},  {"cs6", 0x30},  {"cs7", 0x38},  {"df", 0},      {"be", 0},
                                         {"lephb", 1},   {"af11", 0x0a}, {"af12", 0x0c}, {"af13", 0x0e}, {"af21", 0x12},
                                         {"af22", 0x14}, {"af23", 0x16}, {"af31", 0x1a}, {"af32", 0x1c}, {"af33", 0x1e},
                                         {"af41", 0x22}, {"af42", 0x24}, {"af43", 0x26}, {"va", 0x2c},   {"ef", 0x2e}}};
constexpr std::array<Symbol, 4> kEcns{{{"not-ect", 0}, {"ect1", 1}, {"ect0", 2}, {"ce", 3}}};
constexpr std::array<Symbol, 2> kFamilies{{{"ipv4", 2}, {"ipv6", 10}}};
constexpr std::array<Symbol, 6> kEtherTypes{{{"ip", ETH_P_IP},
                                             {"arp", ETH_P_ARP},
                                             {"ip6", ETH_P_IPV6},
                                             {"8021q", ETH_P_8021Q},
                                             {"8021ad", ETH_P_8021AD},
                                             {"vlan", ETH_P_8021Q}}};
constexpr std::array<Symbol, 7> kArpOperations{
    {{"request", 1}, {"reply", 2}, {"rrequest", 3}, {"rreply", 4}, {"inrequest", 8}, {"inreply", 9}, {"nak", 10}}};
constexpr std::array<Symbol, 7> kDays{
    {{"Sunday", 0}, {"Monday", 1}, {"Tuesday", 2}, {"Wednesday", 3}, {"Thursday", 4}, {"Friday", 5}, {"Saturday", 6}}};
constexpr std::array<Symbol, 7> kInterfaceTypes{{{"ether", ARPHRD_ETHER},
                                                 {"ppp", ARPHRD_PPP},
                                                 {"ipip", ARPHRD_TUNNEL},
                                                 {"ipip6", ARPHRD_TUNNEL6},
                                                 {"loopback", ARPHRD_LOOPBACK},
                                                 {"sit", ARPHRD_SIT},
                                                 {"ipgre", ARPHRD_IPGRE}}};
constexpr std::array<Symbol, 2> kBooleans{{{"exists", 1}, {"missing", 0}}};
constexpr std::array<Symbol, 10> kDccpTypes{{{"request", 0},
                                             {"response", 1},
                                             {"data", 2},
                                             {"ack", 3},
                                             {"dataack", 4},
                                             {"closereq", 5},
                                             {"close", 6},
                                             {"reset", 7},
                                             {"sync", 8},
                                             {"syncack", 9}}};
constexpr std::array<Symbol, 13> kMobilityTypes{{{"binding-refresh-request", 0},
                                                 {"home-test-init", 1},
                                                 {"careof-test-init", 2},
                                                 {"home-test", 3},
                                                 {"careof-test", 4},
                                                 {"binding-update", 5},
                                                 {"binding-acknowledgement", 6},
                                                 {"binding-error", 7},
                                                 {"fast-binding-update", 8},
                                                 {"fast-binding-acknowledgement", 9},
                                                 {"fast-binding-advertisement", 10},
                                                 {"experimental-mobility-header", 11},
                                                 {"home-agent-switch-message", 12}}};
constexpr std::array<Symbol, 1> kGroups{{{"default", 0}}};
constexpr std::array<Symbol, 1> kUsers{{{"root", 0}}};
// nft names ports only with -S; these are the ones that people meet.
constexpr std::array<Symbol, 34> kPorts{
    {{"ssh", 22},         {"http", 80},         {"https", 443},      {"domain", 53},       {"ftp", 21},
     {"ftp-data", 20},    {"telnet", 23},       {"smtp", 25},        {"bootps", 67},       {"bootpc", 68},
     {"tftp", 69},        {"kerberos", 88},     {"pop3", 110},       {"sunrpc", 111},      {"ntp", 123},
     {"netbios-ns", 137}, {"imap2", 143},       {"snmp", 161},       {"snmp-trap", 162},   {"bgp", 179},
     {"ldap", 389},       {"syslog", 514},      {"submission", 587}, {"ldaps", 636},       {"imaps", 993},
     {"pop3s", 995},      {"openvpn", 1194},    {"radius", 1812},    {"nfs", 2049},        {"mysql", 3306},
     {"mdns", 5353},      {"postgresql", 5432}, {"http-alt", 8080},  {"ipsec-nat-t", 4500}}};

}  // namespace

const TypeInfo& info_of(Type type) {
  return kTypes[static_cast<std::size_t>(type)];
}

Type type_named(std::string_view name) {
  if (name == "ifname") return Type::kInterface;
  for (const TypeInfo& info : kTypes)
    if (info.name == name && !name.empty()) return info.type;
  return Type::kUnknown;
}

std::span<const Symbol> symbols_of(Type type) {
  switch (type) {
    case Type::kProtocol: return kProtocols;
    case Type::kPort: return kPorts;
    case Type::kCtState: return kStates;
    case Type::kCtStatus: return kStatuses;
    case Type::kCtDirection: return kDirections;
    case Type::kCtEvent: return kEvents;
    case Type::kAddressType: return kAddressTypes;
    case Type::kPacketType: return kPacketTypes;
    case Type::kIcmpType: return kIcmpTypes;
    case Type::kIcmpCode: return kIcmpCodes;
    case Type::kIcmpv6Type: return kIcmpv6Types;
    case Type::kIcmpv6Code: return kIcmpv6Codes;
    case Type::kIgmpType: return kIgmpTypes;
    case Type::kTcpFlags: return kTcpFlags;
    case Type::kDscp: return kDscps;
    case Type::kEcn: return kEcns;
    case Type::kFamily: return kFamilies;
    case Type::kEtherType: return kEtherTypes;
    case Type::kArpOperation: return kArpOperations;
    case Type::kDay: return kDays;
    case Type::kInterfaceType: return kInterfaceTypes;
    case Type::kInterfaceGroup: return kGroups;
    case Type::kUser:
    case Type::kGroup: return kUsers;
    case Type::kBoolean: return kBooleans;
    case Type::kDccpType: return kDccpTypes;
    case Type::kMobilityType: return kMobilityTypes;
    default: return {};
  }
}

std::optional<std::uint64_t> symbol_value(Type type, std::string_view name) {
  const auto find = [&](std::span<const Symbol> symbols) -> std::optional<std::uint64_t> {
    const auto found = std::ranges::find(symbols, name, &Symbol::name);
    if (found == symbols.end()) return std::nullopt;
    return found->value;
  };
  if (const auto value = find(symbols_of(type))) return value;
  if (type == Type::kProtocol) return find(kMoreProtocols);
  return std::nullopt;
}

std::string_view symbol_name(Type type, std::uint64_t value) {
  const std::span<const Symbol> symbols = symbols_of(type);
  const auto found = std::ranges::find(symbols, value, &Symbol::value);
  return found == symbols.end() ? std::string_view() : found->name;
}

}  // namespace kubenatd::rules::walk::nft
