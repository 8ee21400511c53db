#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rules/address.h"
#include "rules/chain_name.h"

namespace kubenatd::rules {

/// Transport protocol numbers (IANA).
enum class Protocol : std::uint8_t { kTcp = 6, kUdp = 17, kSctp = 132 };

/// Lower case, as in rules and hashes: "tcp", "udp", "sctp".
[[nodiscard]] constexpr std::string_view name_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp: return "tcp";
    case Protocol::kUdp: return "udp";
    case Protocol::kSctp: return "sctp";
  }
  return "";
}

// Header matches. iptables prints and encodes them in a fixed order, whatever order they were given in.

struct AddressMatch {  ///< -s, -d
  Prefix prefix;
  bool negate = false;
  bool operator==(const AddressMatch&) const = default;
};

struct InterfaceMatch {  ///< -i, -o; `prefix` is iptables' trailing "+"
  std::string name;
  bool prefix = false;
  bool negate = false;
  bool operator==(const InterfaceMatch&) const = default;
};

// Extension matches (-m), in the order in which they were given.

struct CommentMatch {  ///< -m comment; at most 255 bytes
  std::string text;
  bool operator==(const CommentMatch&) const = default;
};

struct PortMatch {  ///< -m tcp|udp|sctp, with or without --dport; needs Rule::protocol to be the same
  Protocol protocol = Protocol::kTcp;
  std::optional<std::uint16_t> destination;
  bool operator==(const PortMatch&) const = default;
};

struct MarkMatch {  ///< -m mark
  std::uint32_t value = 0;
  std::uint32_t mask = 0xffffffff;
  bool negate = false;
  bool operator==(const MarkMatch&) const = default;
};

/// Bits of -m conntrack --ctstate (XT_CONNTRACK_STATE_* of linux/netfilter/xt_conntrack.h).
enum ConntrackState : std::uint16_t {
  kStateInvalid = 0x0001,
  kStateEstablished = 0x0002,
  kStateRelated = 0x0004,
  kStateNew = 0x0008,
  kStateSnat = 0x0040,
  kStateDnat = 0x0080,
  kStateUntracked = 0x0100,
};

struct ConntrackMatch {  ///< -m conntrack --ctstate
  std::uint16_t states = 0;
  bool negate = false;
  bool operator==(const ConntrackMatch&) const = default;
};

struct AddrTypeMatch {  ///< -m addrtype --src-type/--dst-type LOCAL, the only type used here
  bool source_local = false;
  bool destination_local = false;
  bool operator==(const AddrTypeMatch&) const = default;
};

struct StatisticMatch {  ///< -m statistic --mode random; probability in units of 2^-31
  std::uint32_t probability = 0;
  bool operator==(const StatisticMatch&) const = default;
};

struct RecentMatch {  ///< -m recent, by source address and with a full mask
  enum class Action : std::uint8_t { kSet, kCheck };
  std::string name;  ///< at most 199 bytes
  Action action = Action::kSet;
  std::uint32_t seconds = 0;  ///< kCheck only
  bool reap = false;          ///< kCheck only
  bool operator==(const RecentMatch&) const = default;
};

struct NfacctMatch {  ///< -m nfacct; at most 31 bytes
  std::string name;
  bool operator==(const NfacctMatch&) const = default;
};

struct MultiportMatch {  ///< -m multiport --dports; at most 15 ports
  std::vector<std::uint16_t> destinations;
  bool operator==(const MultiportMatch&) const = default;
};

using Match = std::variant<CommentMatch, PortMatch, MarkMatch, ConntrackMatch, AddrTypeMatch, StatisticMatch,
                           RecentMatch, NfacctMatch, MultiportMatch>;

// Targets (-j).

struct NoTarget {
  bool operator==(const NoTarget&) const = default;
};

enum class Verdict : std::uint8_t { kAccept, kDrop, kReturn };

struct Jump {  ///< -j CHAIN, or -g CHAIN
  std::string chain;
  bool is_goto = false;
  bool operator==(const Jump&) const = default;
};

struct MarkTarget {  ///< -j MARK --set-xmark VALUE/MASK: mark = (mark & ~mask) ^ value
  std::uint32_t value = 0;
  std::uint32_t mask = 0;
  bool operator==(const MarkTarget&) const = default;
};

struct MasqueradeTarget {
  bool random_fully = false;
  bool operator==(const MasqueradeTarget&) const = default;
};

struct DnatTarget {  ///< -j DNAT --to-destination ADDRESS:PORT
  Address address;
  std::uint16_t port = 0;
  bool operator==(const DnatTarget&) const = default;
};

struct RejectTarget {  ///< -j REJECT with port-unreachable of the family
  bool operator==(const RejectTarget&) const = default;
};

using Target = std::variant<NoTarget, Verdict, Jump, MarkTarget, MasqueradeTarget, DnatTarget, RejectTarget>;

/// One iptables rule as a value: exactly what iptables-save would print. Counters and handles are not part of it.
///
/// `opaque` is set only for a live rule that this model cannot express. It then holds a description for people; such a
/// rule is equal to no rule of ours and cannot be encoded.
struct Rule {
  std::optional<AddressMatch> source;
  std::optional<AddressMatch> destination;
  std::optional<InterfaceMatch> in_interface;
  std::optional<InterfaceMatch> out_interface;
  std::optional<Protocol> protocol;
  std::vector<Match> matches;
  Target target;
  std::string opaque;

  bool operator==(const Rule&) const = default;
};

/// The chain that the rule jumps or goes to; empty when it does not.
[[nodiscard]] inline std::string_view jump_target(const Rule& rule) {
  const auto* jump = std::get_if<Jump>(&rule.target);
  return jump != nullptr ? std::string_view(jump->chain) : std::string_view();
}

/// The text of the first comment match; empty when there is none.
[[nodiscard]] inline std::string_view comment_of(const Rule& rule) {
  for (const Match& match : rule.matches)
    if (const auto* comment = std::get_if<CommentMatch>(&match)) return comment->text;
  return {};
}

/// A chain of ours with its whole content.
struct ChainRules {
  ChainId id;
  std::vector<Rule> rules;
};

}  // namespace kubenatd::rules
