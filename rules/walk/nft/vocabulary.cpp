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
