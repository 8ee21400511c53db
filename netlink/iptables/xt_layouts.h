#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

/// The x_tables match and target structures that rules carry in nf_tables "match" and "target" expressions.
///
/// They are the kernel's own (linux/netfilter/xt_*.h, ipt_REJECT.h, nf_nat.h; fixed ABI), written out because those
/// headers do not all compile as C++. Sizes are XT_ALIGNed to 8 as the kernel demands. Numbers are in host order
/// unless said; every padding byte is a member, so that two values with equal content are equal bytes.
namespace kubenatd::netlink::iptables::xt {

inline constexpr std::size_t kMaxInterface = 15;  ///< bytes of an interface's name: IFNAMSIZ - 1

/// xt_comment_info
struct Comment {
  std::array<char, 256> text{};
};
static_assert(sizeof(Comment) == 256);

/// xt_tcp; 12 bytes and padding.
struct Tcp {
  std::array<std::uint16_t, 2> sources{0, 0xffff};
  std::array<std::uint16_t, 2> destinations{0, 0xffff};
  std::uint8_t option = 0;
  std::uint8_t flag_mask = 0;
  std::uint8_t flag_compare = 0;
  std::uint8_t invert = 0;
  std::uint32_t padding = 0;
};
static_assert(sizeof(Tcp) == 16);

/// xt_udp; 10 bytes and padding.
struct Udp {
  std::array<std::uint16_t, 2> sources{0, 0xffff};
  std::array<std::uint16_t, 2> destinations{0, 0xffff};
  std::uint8_t invert = 0;
  std::array<std::uint8_t, 7> padding{};
};
static_assert(sizeof(Udp) == 16);

/// xt_sctp_info; 292 bytes and padding. iptables sets the chunk types of the unused flags to 0xff.
struct Sctp {
  static constexpr std::uint32_t kSourcePorts = 1;
  static constexpr std::uint32_t kDestinationPorts = 2;
  struct Flag {
    std::uint8_t chunk_type = 0xff;
    std::uint8_t flag = 0;
    std::uint8_t mask = 0;
  };
  std::array<std::uint16_t, 2> destinations{};
  std::array<std::uint16_t, 2> sources{};
  std::array<std::uint32_t, 64> chunks{};
  std::uint32_t chunk_match = 0;
  std::array<Flag, 4> flags_of_chunks{};
  std::uint32_t flag_count = 0;
  std::uint32_t flags = 0;
  std::uint32_t invert = 0;
  std::uint32_t padding = 0;
};
static_assert(sizeof(Sctp) == 296 && offsetof(Sctp, flags) == 284);

/// xt_mark_mtinfo1
struct Mark {
  std::uint32_t value = 0;
  std::uint32_t mask = 0;
  std::uint8_t invert = 0;
  std::array<std::uint8_t, 7> padding{};
};
static_assert(sizeof(Mark) == 16);

/// xt_conntrack_mtinfo3
struct Conntrack {
  static constexpr std::uint16_t kState = 1;
  std::array<std::uint8_t, 146> others{};
  std::uint16_t match = 0;
  std::uint16_t invert = 0;
  std::uint16_t states = 0;
  std::array<std::uint8_t, 16> more{};
};
static_assert(sizeof(Conntrack) == 168 && offsetof(Conntrack, states) == 150);

/// xt_addrtype_info_v1
struct AddrType {
  static constexpr std::uint16_t kLocal = 1 << 2;  ///< RTN_LOCAL
  std::uint16_t source = 0;
  std::uint16_t destination = 0;
  std::uint32_t flags = 0;
};
static_assert(sizeof(AddrType) == 8);

/// xt_statistic_info. iptables 1.8.9 leaves the probability in the union's third word too; the last eight bytes are
/// the kernel's.
struct Statistic {
  std::uint16_t mode = 0;  ///< 0: random
  std::uint16_t flags = 0;
  std::uint32_t probability = 0;
  std::uint32_t packet = 0;
  std::uint32_t probability_again = 0;
  std::array<std::uint32_t, 2> kernel{};
};
static_assert(sizeof(Statistic) == 24);

/// xt_recent_mtinfo_v1
struct Recent {
  static constexpr std::uint8_t kCheck = 0x01;
  static constexpr std::uint8_t kSet = 0x02;
  static constexpr std::uint8_t kReap = 0x20;
  std::uint32_t seconds = 0;
  std::uint32_t hits = 0;
  std::uint8_t check_set = 0;
  std::uint8_t invert = 0;
  std::array<char, 200> name{};
  std::uint8_t side = 0;  ///< 0: source address
  std::uint8_t padding = 0;
  std::array<std::uint8_t, 16> mask{};
  std::uint32_t padding_end = 0;
};
static_assert(sizeof(Recent) == 232 && offsetof(Recent, mask) == 212);

/// xt_nfacct_match_info_v1; revision 0 has the same layout. The last eight bytes are the kernel's.
struct Nfacct {
  std::array<char, 32> name{};
  std::array<std::uint32_t, 2> kernel{};
};
static_assert(sizeof(Nfacct) == 40);

/// xt_multiport_v1
struct Multiport {
  static constexpr std::uint8_t kDestination = 1;
  std::uint8_t flags = 0;
  std::uint8_t count = 0;
  std::array<std::uint16_t, 15> ports{};
  std::array<std::uint8_t, 15> ranges{};
  std::uint8_t invert = 0;
};
static_assert(sizeof(Multiport) == 48);

/// xt_mark_tginfo2
struct MarkTarget {
  std::uint32_t value = 0;
  std::uint32_t mask = 0;
};
static_assert(sizeof(MarkTarget) == 8);

/// nf_nat_range flags.
inline constexpr std::uint32_t kNatAddresses = 1;
inline constexpr std::uint32_t kNatPorts = 2;
inline constexpr std::uint32_t kNatRandomFully = 1 << 4;

/// nf_nat_ipv4_multi_range_compat; 20 bytes and padding. MASQUERADE of IPv4, and DNAT revision 0 of older iptables.
struct NatRange4 {
  std::uint32_t count = 1;
  std::uint32_t flags = 0;
  std::array<std::uint8_t, 4> first{};
  std::array<std::uint8_t, 4> last{};
  std::array<std::uint8_t, 2> first_port{};  ///< network order
  std::array<std::uint8_t, 2> last_port{};   ///< network order
  std::uint32_t padding = 0;
};
static_assert(sizeof(NatRange4) == 24);

/// nf_nat_range; MASQUERADE of IPv6, and DNAT revision 1 of older iptables.
struct NatRange {
  std::uint32_t flags = 0;
  std::array<std::uint8_t, 16> first{};
  std::array<std::uint8_t, 16> last{};
  std::array<std::uint8_t, 2> first_port{};  ///< network order
  std::array<std::uint8_t, 2> last_port{};   ///< network order
};
static_assert(sizeof(NatRange) == 40);

/// nf_nat_range2; DNAT revision 2.
struct NatRange2 {
  std::uint32_t flags = 0;
  std::array<std::uint8_t, 16> first{};
  std::array<std::uint8_t, 16> last{};
  std::array<std::uint8_t, 2> first_port{};  ///< network order
  std::array<std::uint8_t, 2> last_port{};   ///< network order
  std::array<std::uint8_t, 2> base_port{};
  std::array<std::uint8_t, 6> padding{};
};
static_assert(sizeof(NatRange2) == 48);

/// ipt_reject_info and ip6t_reject_info.
struct Reject {
  static constexpr std::uint32_t kPortUnreachable4 = 3;
  static constexpr std::uint32_t kPortUnreachable6 = 4;
  std::uint32_t with = 0;
  std::uint32_t padding = 0;
};
static_assert(sizeof(Reject) == 8);

}  // namespace kubenatd::netlink::iptables::xt
