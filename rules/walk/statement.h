#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "rules/walk/expression.h"

/// The parts of a rule, of x_tables or of nft: conditions, and what is done. They stand in the order in which the
/// kernel meets them; a condition that fails ends the rule.
namespace kubenatd::rules::walk {

/// Which part of a rule decided, for people. The reader of the rule sets it.
enum class Part : std::uint8_t {
  kNone,
  kSource,
  kDestination,
  kInInterface,
  kOutInterface,
  kProtocol,
  kSourcePort,
  kDestinationPort,
  kMark,
  kState,
  kSourceType,
  kDestinationType,
  kSet,
  kOther,
};

// Conditions.

/// `left` is in one of the ranges (first and last, both included, compared byte by byte), or in none when negated.
struct Condition {
  ExpressionPtr left;
  std::vector<std::pair<Bytes, Bytes>> ranges;
  bool negate = false;
  Part part = Part::kOther;
};

struct InSet {  ///< in a set of the rule's own table
  ExpressionPtr key;
  std::string set;
  bool negate = false;
  Part part = Part::kSet;
};

/// One of them holds; none when negated.
struct AnyOf {
  std::vector<Condition> conditions;
  bool negate = false;
  Part part = Part::kOther;
};

/// -m set: the packet is in a set of ipset.
struct InIpset {
  std::string name;
  std::vector<bool> source;  ///< for each dimension: src, else dst
  bool negate = false;
  std::string text;  ///< "-m set ..."
};

/// -m time, in the node's clock; what is not given fits always.
struct InTime {
  std::optional<std::int64_t> from, until;        ///< seconds since 1970, UTC
  std::uint32_t day_from = 0, day_until = 86399;  ///< seconds of the day; from > until: over midnight
  std::uint32_t month_days = 0xfffffffe;          ///< bits 1 to 31
  std::uint8_t weekdays = 0xfe;                   ///< bits 1 (Monday) to 7 (Sunday)
  bool local_time = false;                        ///< the kernel's time zone
  bool contiguous = false;
  bool negate = false;
};

struct Chance {  ///< fits with these odds; -m statistic of both modes
  double odds = 1;
};

/// Fits only for a source that came here lately: -m recent --rcheck or --update.
struct Remembered {
  std::string list;
  bool negate = false;
};

/// A condition that cannot be judged: because its kind is not known (limit, string, bpf, ...), or not its content.
struct Unjudged {
  std::string text;
  Part part = Part::kOther;
};

struct Never {  ///< no packet of ours fits: --icmp-type, -f, ...
  std::string text;
  Part part = Part::kOther;
};

// What is done.

struct SetMeta {
  std::uint32_t key = NFT_META_MARK;
  ExpressionPtr value;
};
struct SetCt {
  std::uint32_t key = NFT_CT_MARK;
  ExpressionPtr value;
};
struct SetPayload {
  Payload where;
  ExpressionPtr value;
};
struct NoTrack {};

enum class Verdict : std::uint8_t {
  kAccept,
  kDrop,
  kReturn,
  kContinue,
  kJump,
  kGoto,
  kQueue,        ///< a program decides
  kQueueBypass,  ///< a program decides, or nobody when it does not run: the packet is accepted
  kStolen,       ///< the packet is taken out of the way (synproxy, fwd)
};
struct ToVerdict {
  Verdict verdict = Verdict::kAccept;
  std::string chain;  ///< kJump, kGoto
  bool operator==(const ToVerdict&) const = default;
};
struct VerdictMap {  ///< the verdict that a map of the rule's own table has for the key; none: the rule goes on
  ExpressionPtr key;
  std::string map;
};
struct Refuse {      ///< REJECT, reject
  std::string with;  ///< "icmp-port-unreachable", "tcp-reset", ... as iptables names it
};

/// DNAT, SNAT, MASQUERADE, REDIRECT, NETMAP, and nft's nat, masq, redir. What is not given stays as it is, for
/// kRedirect and kMasquerade the address is one of the node.
struct Nat {
  enum class Kind : std::uint8_t { kDestination, kSource, kMasquerade, kRedirect };
  Kind kind = Kind::kDestination;
  ExpressionPtr address, last_address;  ///< none for the last one: the same
  ExpressionPtr port, last_port;
  bool netmap = false;  ///< only the bits in which first and last are equal are replaced
  bool random = false;  ///< of a source: the port is a random one
  bool persistent = false;
};
struct Tproxy {
  ExpressionPtr address, port;  ///< none: as the packet has it
  std::optional<std::uint32_t> mark, mark_mask;
};
struct NoEffect {  ///< log, counter, TRACE, TEE, ...: nothing that matters here
  std::string text;
};
struct UpdateSet {  ///< dynset: elements that packets make; goes on, but for a condition inside it
  std::string set;
  ExpressionPtr key;
  std::string condition;  ///< "limit rate ..."; empty: none
};
struct OtherTarget {  ///< a target that is not known: whatever follows
  std::string text;
};

using Statement =
    std::variant<Condition, InSet, AnyOf, InIpset, InTime, Chance, Remembered, Unjudged, Never, SetMeta, SetCt,
                 SetPayload, NoTrack, ToVerdict, VerdictMap, Refuse, Nat, Tproxy, NoEffect, UpdateSet, OtherTarget>;

/// Whether both say the same. Texts for people do not count.
[[nodiscard]] bool same(const Statement& one, const Statement& other);

}  // namespace kubenatd::rules::walk
