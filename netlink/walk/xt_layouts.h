#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

/// More structures of x_tables' matches and targets, beside those of netlink/iptables/xt_layouts.h: read only, as the
/// kernel's headers have them (linux/netfilter/xt_*.h, linux/netfilter_ipv[46]/), filled up to a multiple of 8 bytes.
/// Numbers are in host order unless said; what only the kernel uses is named `kernel`.
namespace kubenatd::netlink::walk::layout {

using Address = std::array<std::uint8_t, 16>;  ///< nf_inet_addr; IPv4 in the first four bytes
using NetworkPort = std::array<std::uint8_t, 2>;
using Name = std::array<char, 16>;  ///< IFNAMSIZ

/// Of a match or target without content.
struct Nothing {};

struct Icmp {  ///< ipt_icmp, ip6t_icmp
  std::uint8_t type;
  std::array<std::uint8_t, 2> code;
  std::uint8_t invert;
  std::uint32_t padding;
};
static_assert(sizeof(Icmp) == 8);

struct Dccp {  ///< xt_dccp_info
  std::array<std::uint16_t, 2> destinations, sources;
  std::uint16_t flags, invert, types;
  std::uint8_t option, padding;
};
static_assert(sizeof(Dccp) == 16);

struct Spis {  ///< xt_esp, ipt_ah
  std::uint32_t first, last;
  std::uint8_t invert;
  std::array<std::uint8_t, 7> padding;
};
static_assert(sizeof(Spis) == 16);

struct Ah6 {  ///< ip6t_ah
  std::uint32_t first, last, length;
  std::uint8_t reserved, invert, padding[2];
};
static_assert(sizeof(Ah6) == 16);

struct Ipcomp {  ///< xt_ipcomp
  std::uint32_t first, last;
  std::uint8_t invert, reserved, padding[6];
};
static_assert(sizeof(Ipcomp) == 16);

struct Conntrack {  ///< xt_conntrack_mtinfo3, and the beginning of _mtinfo1 and _mtinfo2
  Address origsrc, origsrc_mask, origdst, origdst_mask, replsrc, replsrc_mask, repldst, repldst_mask;
  std::uint32_t expires_min, expires_max;
  std::uint16_t protocol;
  std::array<std::uint16_t, 4> ports;  ///< of origsrc, origdst, replsrc, repldst; before revision 3 in network order
  std::uint16_t match, invert;
  std::uint16_t states, status;             ///< revision 1: one byte each
  std::array<std::uint16_t, 4> last_ports;  ///< revision 3
  std::uint8_t padding[6];
};
static_assert(sizeof(Conntrack) == 168 && offsetof(Conntrack, states) == 150);
inline constexpr std::size_t kConntrackSize1 = 152, kConntrackSize2 = 160;

struct State {  ///< xt_state_info
  std::uint32_t states, padding;
};
static_assert(sizeof(State) == 8);

struct AddrType0 {  ///< xt_addrtype_info
  std::uint16_t source, destination;
  std::uint32_t invert_source, invert_destination;
  std::uint32_t padding;
};
static_assert(sizeof(AddrType0) == 16);

struct IpRange {  ///< xt_iprange_mtinfo
  Address source_first, source_last, destination_first, destination_last;
  std::uint8_t flags, padding[7];
};
static_assert(sizeof(IpRange) == 72);

struct Length {  ///< xt_length_info
  std::uint16_t first, last;
  std::uint8_t invert, padding[3];
};
static_assert(sizeof(Length) == 8);
using TcpMssMatch = Length;  ///< xt_tcpmss_match_info

struct Ttl {  ///< ipt_ttl_info, ip6t_hl_info, ipt_TTL_info, ip6t_HL_info
  std::uint8_t mode, value, padding[6];
};
static_assert(sizeof(Ttl) == 8);

struct Dscp {  ///< xt_dscp_info, xt_DSCP_info
  std::uint8_t value, invert, padding[6];
};
static_assert(sizeof(Dscp) == 8);

struct Tos {  ///< xt_tos_match_info
  std::uint8_t mask, value, invert, padding[5];
};
static_assert(sizeof(Tos) == 8);

struct TosTarget {  ///< xt_tos_target_info
  std::uint8_t value, mask, padding[6];
};
static_assert(sizeof(TosTarget) == 8);

struct Ecn {  ///< xt_ecn_info
  std::uint8_t operation, invert, codepoint, tcp, padding[4];
};
static_assert(sizeof(Ecn) == 8);

struct Mac {  ///< xt_mac_info
  std::array<std::uint8_t, 6> address;
  std::uint8_t padding[2];
  std::int32_t invert;
  std::uint32_t padding_end;
};
static_assert(sizeof(Mac) == 16);

struct Number {  ///< xt_pkttype_info, xt_cpu_info, xt_cgroup_info_v0
  std::uint32_t value, invert;
};
static_assert(sizeof(Number) == 8);

struct Realm {  ///< xt_realm_info
  std::uint32_t value, mask;
  std::uint8_t invert, padding[7];
};
static_assert(sizeof(Realm) == 16);

struct Physdev {  ///< xt_physdev_info
  Name in, in_mask, out, out_mask;
  std::uint8_t invert, options, padding[6];
};
static_assert(sizeof(Physdev) == 72);

struct DevGroup {  ///< xt_devgroup_info
  std::uint32_t flags, source, source_mask, destination, destination_mask, padding;
};
static_assert(sizeof(DevGroup) == 24);

struct Time {  ///< xt_time_info
  std::uint32_t from, until, day_from, day_until, month_days;
  std::uint8_t weekdays, flags, padding[2];
};
static_assert(sizeof(Time) == 24);

struct Recent0 {  ///< xt_recent_mtinfo
  std::uint32_t seconds, hits;
  std::uint8_t check_set, invert;
  std::array<char, 200> name;
  std::uint8_t side, padding[5];
};
static_assert(sizeof(Recent0) == 216);

struct SetReference {  ///< xt_set_info
  std::uint16_t index;
  std::uint8_t dimensions, flags;
};
struct SetMatch1 {  ///< xt_set_info_match_v1
  SetReference set;
  std::uint32_t padding;
};
static_assert(sizeof(SetMatch1) == 8);
struct SetMatch3 {  ///< xt_set_info_match_v3
  struct Counter {
    std::uint8_t operation, padding[7];
    std::uint64_t value;
  };
  SetReference set;
  std::uint32_t padding;
  Counter packets, bytes;
  std::uint32_t flags, padding_end;
};
static_assert(sizeof(SetMatch3) == 48);
struct SetMatch4 {  ///< xt_set_info_match_v4
  struct Counter {
    std::uint64_t value;
    std::uint8_t operation, padding[7];
  };
  SetReference set;
  std::uint32_t padding;
  Counter packets, bytes;
  std::uint32_t flags, padding_end;
};
static_assert(sizeof(SetMatch4) == 48);
struct SetTarget1 {  ///< xt_set_info_target_v1
  SetReference add, del;
};
static_assert(sizeof(SetTarget1) == 8);
struct SetTarget2 {  ///< xt_set_info_target_v2
  SetReference add, del;
  std::uint32_t flags, timeout;
};
static_assert(sizeof(SetTarget2) == 16);
struct SetTarget3 {  ///< xt_set_info_target_v3
  SetReference add, del, map;
  std::uint32_t flags, timeout, padding;
};
static_assert(sizeof(SetTarget3) == 24);

struct OneByte {  ///< xt_socket_mtinfo1, xt_rpfilter_info, xt_CHECKSUM_info, xt_audit_info
  std::uint8_t value, padding[7];
};
static_assert(sizeof(OneByte) == 8);

struct Owner {  ///< xt_owner_match_info
  std::uint32_t user_first, user_last, group_first, group_last;
  std::uint8_t match, invert, padding[6];
};
static_assert(sizeof(Owner) == 24);

struct Cgroup1 {  ///< xt_cgroup_info_v1
  std::uint8_t has_path, has_class, invert_path, invert_class;
  std::array<char, 4096> path;
  std::uint32_t class_id;
  std::uint64_t kernel;
};
static_assert(sizeof(Cgroup1) == 4112);
struct Cgroup2 {  ///< xt_cgroup_info_v2; the class is in the place of the path
  std::uint8_t has_path, has_class, invert_path, invert_class;
  std::array<char, 512> path;
  std::uint8_t padding[4];
  std::uint64_t kernel;
};
static_assert(sizeof(Cgroup2) == 528);

struct Policy {  ///< xt_policy_info
  struct Element {
    Address source, source_mask, destination, destination_mask;
    std::uint32_t spi, request;
    std::uint8_t protocol, mode, match, invert;
  };
  std::array<Element, 4> elements;
  std::uint16_t flags, count;
  std::uint32_t padding;
};
static_assert(sizeof(Policy) == 312);

struct Limit {  ///< xt_rateinfo
  std::uint32_t average, burst;
  std::uint64_t kernel[4];
};
static_assert(sizeof(Limit) == 40);

struct Hashlimit1 {  ///< xt_hashlimit_mtinfo1
  Name name;
  std::uint32_t mode, average, burst, size, most, gc_interval, expire;
  std::uint8_t source_mask, destination_mask, padding[2];
  std::uint64_t kernel;
};
static_assert(sizeof(Hashlimit1) == 56);
struct Hashlimit2 {  ///< xt_hashlimit_mtinfo2
  std::array<char, 255> name;
  std::uint8_t padding_name;
  std::uint64_t average, burst;
  std::uint32_t mode, size, most, gc_interval, expire;
  std::uint8_t source_mask, destination_mask, padding[2];
  std::uint64_t kernel;
};
static_assert(sizeof(Hashlimit2) == 304);
struct Hashlimit3 {  ///< xt_hashlimit_mtinfo3
  std::array<char, 255> name;
  std::uint8_t padding_name;
  std::uint64_t average, burst;
  std::uint32_t mode, size, most, gc_interval, expire, interval;
  std::uint8_t source_mask, destination_mask, padding[6];
  std::uint64_t kernel;
};
static_assert(sizeof(Hashlimit3) == 312);

struct Connlimit {  ///< xt_connlimit_info
  Address mask;
  std::uint32_t limit, flags;
  std::uint64_t kernel;
};
static_assert(sizeof(Connlimit) == 32);

struct Quota {  ///< xt_quota_info
  std::uint32_t flags, padding;
  std::uint64_t quota, kernel;
};
static_assert(sizeof(Quota) == 24);

struct U32 {  ///< xt_u32
  struct Location {
    std::uint32_t number;
    std::uint8_t next, padding[3];
  };
  struct Range {
    std::uint32_t first, last;
  };
  struct Test {
    std::array<Location, 11> locations;
    std::array<Range, 11> ranges;
    std::uint8_t numbers, values, padding[2];
  };
  std::array<Test, 11> tests;
  std::uint8_t count, invert, padding[2];
};
static_assert(sizeof(U32) == 1984);

struct BpfInstruction {  ///< sock_filter
  std::uint16_t code;
  std::uint8_t jump_true, jump_false;
  std::uint32_t number;
};
struct Bpf0 {  ///< xt_bpf_info
  std::uint16_t count, padding;
  std::array<BpfInstruction, 64> program;
  std::uint32_t padding_end;
  std::uint64_t kernel;
};
static_assert(sizeof(Bpf0) == 528);
struct Bpf1 {  ///< xt_bpf_info_v1; the program's bytes hold a path when it is pinned
  std::uint16_t mode, count;
  std::int32_t file;
  std::array<BpfInstruction, 64> program;
  std::uint64_t kernel;
};
static_assert(sizeof(Bpf1) == 528);

struct String {  ///< xt_string_info
  std::uint16_t from, until;
  std::array<char, 16> algorithm;
  std::array<char, 128> pattern;
  std::uint8_t length, flags, padding[2];
  std::uint64_t kernel;
};
static_assert(sizeof(String) == 160);

struct Connbytes {  ///< xt_connbytes_info
  std::uint64_t from, until;
  std::uint8_t what, direction, padding[6];
};
static_assert(sizeof(Connbytes) == 24);

struct Connlabel {  ///< xt_connlabel_mtinfo
  std::uint16_t bit, options;
  std::uint32_t padding;
};
static_assert(sizeof(Connlabel) == 8);

struct Cluster {  ///< xt_cluster_match_info
  std::uint32_t nodes, node_mask, seed, flags;
};
static_assert(sizeof(Cluster) == 16);

struct Helper {  ///< xt_helper_info
  std::int32_t invert;
  std::array<char, 30> name;
  std::uint8_t padding[6];
};
static_assert(sizeof(Helper) == 40);

struct Routing6 {  ///< ip6t_rt
  std::uint32_t type;
  std::array<std::uint32_t, 2> left;
  std::uint32_t length;
  std::uint8_t flags, invert, padding[2];
  std::array<Address, 16> hops;
  std::uint8_t count, padding_end[3];
};
static_assert(sizeof(Routing6) == 280);

struct Fragment6 {  ///< ip6t_frag
  std::uint32_t first, last, length;
  std::uint8_t flags, invert, padding[2];
};
static_assert(sizeof(Fragment6) == 16);

struct Options6 {  ///< ip6t_opts
  std::uint32_t length;
  std::uint8_t flags, invert;
  std::array<std::uint16_t, 16> options;
  std::uint8_t count, padding[1];
};
static_assert(sizeof(Options6) == 40);

struct Mobility6 {  ///< ip6t_mh
  std::uint8_t first, last, invert, padding[5];
};
static_assert(sizeof(Mobility6) == 8);

struct Headers6 {  ///< ip6t_ipv6header_info
  std::uint8_t match, invert, soft, padding[5];
};
static_assert(sizeof(Headers6) == 8);

}  // namespace kubenatd::netlink::walk::layout
