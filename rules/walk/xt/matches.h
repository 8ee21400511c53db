#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rules/rule.h"
#include "rules/text.h"
#include "rules/walk/ruleset.h"

/// The matches and targets of x_tables as statements: one function for each form, for the readers of text and of bytes.
/// What the kernel looks at is taken from its sources (net/netfilter/xt_*.c, 6.18). Pure.
namespace kubenatd::rules::walk::xt {

using PortRanges = std::vector<std::pair<std::uint16_t, std::uint16_t>>;

// Header matches.
[[nodiscard]] Statement source(const Prefix& prefix, bool negate);
[[nodiscard]] Statement destination(const Prefix& prefix, bool negate);
/// Any mask, as `-s 10.0.0.1/255.0.255.0` gives it.
[[nodiscard]] Statement address_masked(bool is_source, const Address& address, const Address& mask, bool negate);
[[nodiscard]] Statement in_interface(std::string_view name, bool is_prefix, bool negate);
[[nodiscard]] Statement out_interface(std::string_view name, bool is_prefix, bool negate);
/// `number` 0 is every protocol.
[[nodiscard]] Statement protocol(std::uint8_t number, Family family, bool negate);
[[nodiscard]] Statement fragment(bool negate);

// -m.
[[nodiscard]] Statement ports(bool is_source, const PortRanges& ranges, bool negate);
[[nodiscard]] Statement either_port(const PortRanges& ranges, bool negate);
[[nodiscard]] Statement tcp_flags(std::uint8_t mask, std::uint8_t set, bool negate);
[[nodiscard]] Statement tcp_option(std::uint8_t number, bool negate);
/// --chunk-types: of SCTP, a connection begins with a packet that has the chunk INIT alone.
enum class Chunks : std::uint8_t { kAny, kAll, kOnly };
[[nodiscard]] Statement sctp_chunks(Chunks kind, const std::vector<std::uint8_t>& types, bool negate);
/// --mss: a packet without the option fits when negated.
[[nodiscard]] Statement tcp_segment_size(std::uint16_t first, std::uint16_t last, bool negate);
[[nodiscard]] Statement mark(std::uint32_t value, std::uint32_t mask, bool negate);
[[nodiscard]] Statement connmark(std::uint32_t value, std::uint32_t mask, bool negate);
/// XT_CONNTRACK_STATE_*: with SNAT, DNAT and UNTRACKED.
[[nodiscard]] Statement connection_state(std::uint16_t states, bool negate);
/// IPS_*: EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED; 0 is NONE.
[[nodiscard]] Statement connection_status(std::uint16_t bits, bool negate);
[[nodiscard]] Statement connection_protocol(std::uint8_t number, bool negate);
[[nodiscard]] Statement connection_address(bool original, bool is_source, const Address& address, const Address& mask,
                                           bool negate);
[[nodiscard]] Statement connection_ports(bool original, bool is_source, std::uint16_t first, std::uint16_t last,
                                         bool negate);
[[nodiscard]] Statement connection_direction(bool original);
/// RTN_* bits, as XT_ADDRTYPE_* has them; limit_in and limit_out: only addresses of that interface count.
/// For IPv6 all the types that are named must be right, not one of them, and UNICAST takes a local address, too.
[[nodiscard]] Statement address_type(bool is_source, std::uint16_t types, bool negate, bool limit_in, bool limit_out,
                                     Family family);
[[nodiscard]] Statement address_type(bool is_source, std::uint16_t types, bool negate, bool limit_in,
                                     bool limit_out);  ///< of IPv4
/// -m helper: a connection that another one announced, which no new one is.
[[nodiscard]] Statement expected_connection(bool negate);
/// What -m conntrack asks besides a state: a packet without a connection passes it when the state is right.
[[nodiscard]] Statement or_without_connection(const Statement& statement);
[[nodiscard]] Statement address_range(bool is_source, const Address& first, const Address& last, bool negate);
[[nodiscard]] Statement length(std::uint16_t first, std::uint16_t last, bool negate);
enum class Compare : std::uint8_t { kEqual, kNotEqual, kLess, kGreater };
[[nodiscard]] Statement ttl(Compare compare, std::uint8_t value, Family family);  ///< and hop limit
[[nodiscard]] Statement dscp(std::uint8_t value, Family family, bool negate);
[[nodiscard]] Statement tos(std::uint8_t value, std::uint8_t mask, Family family, bool negate);
[[nodiscard]] Statement packet_type(std::uint8_t type, bool negate);  ///< PACKET_*
[[nodiscard]] Statement ecn_codepoint(std::uint8_t value, Family family, bool negate);
[[nodiscard]] Statement source_mac(std::string_view six_bytes, bool negate);
[[nodiscard]] Statement owner_user(std::uint32_t first, std::uint32_t last, bool negate);
[[nodiscard]] Statement owner_group(std::uint32_t first, std::uint32_t last, bool negate);
/// -m physdev: true only for what came in by a port of a bridge; by which one is not known.
[[nodiscard]] Statement bridge_port(std::string text, bool negate);
/// -m rpfilter: there is a way back to the source, by the interface of the packet unless `loose`.
[[nodiscard]] Statement way_back(bool loose, bool use_mark, bool accept_local, bool negate, Family family);
[[nodiscard]] Statement interface_group(bool is_in, std::uint32_t value, std::uint32_t mask, bool negate);
[[nodiscard]] Statement route_realm(std::uint32_t value, std::uint32_t mask, bool negate);
[[nodiscard]] Statement processor(std::uint32_t number, bool negate);
[[nodiscard]] Statement cgroup_class(std::uint32_t number, bool negate);
[[nodiscard]] Statement cgroup_path(std::string text, bool negate);
/// -m policy --pol: of a packet that came in through IPsec, or goes out through it.
[[nodiscard]] Statement ipsec(bool is_in, bool none);
/// -m socket: there is one for the packet, and not just of any address when `any_address` is false.
[[nodiscard]] Statement socket_found(bool any_address);
[[nodiscard]] Statement socket_transparent();
[[nodiscard]] Statement socket_exists(bool negate);         ///< -m owner --socket-exists
[[nodiscard]] Statement nth(std::uint32_t every);           ///< one packet of so many
[[nodiscard]] Statement accounting(std::string_view name);  ///< -m nfacct; with a quota it fits or not

// Targets that are more than a verdict.
[[nodiscard]] Statement set_mark(std::uint32_t value, std::uint32_t mask);  ///< mark = (mark & ~mask) ^ value
[[nodiscard]] Statement set_connmark(std::uint32_t value, std::uint32_t mask);
[[nodiscard]] Statement save_mark(std::uint32_t connection_mask, std::uint32_t packet_mask);
[[nodiscard]] Statement restore_mark(std::uint32_t connection_mask, std::uint32_t packet_mask);
/// The same with what is written moved by so many bits, to the left when positive (--left-shift-mark).
[[nodiscard]] Statement set_connmark(std::uint32_t value, std::uint32_t mask, int shift_by);
[[nodiscard]] Statement save_mark(std::uint32_t connection_mask, std::uint32_t packet_mask, int shift_by);
[[nodiscard]] Statement restore_mark(std::uint32_t connection_mask, std::uint32_t packet_mask, int shift_by);
[[nodiscard]] Statement nat(Nat::Kind kind, const std::optional<Address>& first, const std::optional<Address>& last,
                            std::optional<std::uint16_t> first_port, std::optional<std::uint16_t> last_port,
                            bool random, bool persistent);
[[nodiscard]] Statement netmap(bool is_source, const Address& network, const Address& mask);
/// An address or port of 0 stays as the packet has it.
[[nodiscard]] Statement tproxy(const Address& address, std::uint16_t port, std::uint32_t mark, std::uint32_t mask);
[[nodiscard]] Statement set_priority(std::uint32_t priority);
[[nodiscard]] Statement mark_of_socket();                                           ///< -m socket --restore-skmark
[[nodiscard]] Statement set_ttl(Family family, std::optional<std::uint8_t> value);  ///< none: it is not known
/// The traffic class: tos = (tos & ~mask) ^ value.
[[nodiscard]] Statement set_tos(Family family, std::uint8_t value, std::uint8_t mask);
/// A target that the readers know only by name: whether it ends the packet's way, changes the mark, or nothing that
/// matters.
[[nodiscard]] Statement other_target(std::string_view name, std::string text);

/// A rule of the model. An opaque one cannot be judged.
[[nodiscard]] WalkRule walk_rule(Rule rule, Family family);
/// Adds a table of iptables, with the base chains among its chains.
void add_table(Ruleset& ruleset, Family family, const TableText& table);
/// One of its chains.
[[nodiscard]] WalkChain walk_chain(const TableText::Chain& chain, Table table, Family family);

}  // namespace kubenatd::rules::walk::xt
