#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "rules/address.h"
#include "rules/nftables/options.h"
#include "rules/rule.h"

/// The ruleset of nftables mode as values: sets, maps, chains and their rules, in the words of nft.
///
/// Services and endpoints are elements only (element.h): nothing here grows with their number. What varies are the
/// options and, as InUse has it, affinity timeouts, source ranges and the ranges that endpoints are drawn from.
namespace kubenatd::rules::nftables {

inline constexpr const char* kTable = "kubenatd";
inline constexpr const char* kTableComment = "Services of this node, kept by kubenatd";

/// One part of a key or of a map's value.
enum class FieldType : std::uint8_t { kAddress, kProtocol, kPort, kClassId };

/// The sets and maps. Of some kinds there are several, see SetRef.
enum class SetId : std::uint8_t {
  kClusterIps,
  kNodePortAddresses,
  kExternal,
  kExternalLocal,
  kNodePorts,
  kNodePortsLocal,
  kEndpoints,
  kLocalEndpoints,
  kNodePortEndpoints,
  kNodePortLocalEndpoints,
  kLarger,  ///< these four: who has more endpoints than SetRef::number
  kLocalLarger,
  kNodePortLarger,
  kNodePortLocalLarger,
  kSticky,
  kLocalSticky,
  kNodePortSticky,
  kNodePortLocalSticky,
  kAffinity,
  kHairpin,
  kNoEndpoints,
  kNoLocalEndpoints,
  kNodePortsNoEndpoints,
  kNodePortsNoLocalEndpoints,
  kFirewalled,
  kSourceRanges,
  kHostPorts,
  kHostIpHostPorts,
  kTimeout,  ///< the set of an affinity timeout of SetRef::number seconds
};
inline constexpr std::size_t kFixedSets = static_cast<std::size_t>(SetId::kTimeout);

/// A set or map. `number` tells those of one kind apart; where there is only one it is 0.
struct SetRef {
  SetId id = SetId::kClusterIps;
  std::uint32_t number = 0;
  auto operator<=>(const SetRef&) const = default;
};

[[nodiscard]] std::string name_of(const SetRef& set);

struct SetSpec {
  SetRef ref;
  std::string name;
  std::vector<FieldType> key;
  std::vector<FieldType> data;  ///< of a map
  bool interval = false;
  bool dynamic = false;    ///< filled by packets, entries end with their timeout
  std::uint32_t size = 0;  ///< most entries of a dynamic one
  bool counted = false;    ///< each element counts the packets that it was found for

  bool operator==(const SetSpec&) const = default;
};

/// The flowtable. Its devices come and go with those of the node and are not a part of it.
struct FlowtableSpec {
  std::string name;
  std::int32_t priority = 0;  ///< at hook ingress
  bool operator==(const FlowtableSpec&) const = default;
};
inline constexpr const char* kFlowtable = "fast-path";

/// What a rule loads from the packet into one part of a key.
struct Operand {
  /// The last three are of the packet as its connection began, whatever it was translated to.
  enum class Kind : std::uint8_t {
    kSource,
    kDestination,
    kProtocol,
    kPort,
    kPriority,
    kFirstDestination,
    kFirstProtocol,
    kFirstPort
  };
  Kind kind = Kind::kSource;

  bool operator==(const Operand&) const = default;
};
using Key = std::vector<Operand>;

struct InSet {  ///< KEY @SET
  Key key;
  SetRef set;
  bool negate = false;
  bool operator==(const InSet&) const = default;
};
struct IsNew {          ///< ct state new
  bool strays = false;  ///< or of no connection: ct state invalid,new,untracked
  bool operator==(const IsNew&) const = default;
};
struct IsEstablished {  ///< ct state established
  bool operator==(const IsEstablished&) const = default;
};
struct HasMorePackets {  ///< ct packets > COUNT, of both directions
  std::uint64_t count = 0;
  bool operator==(const HasMorePackets&) const = default;
};
struct IsTranslated {  ///< ct status dnat
  bool operator==(const IsTranslated&) const = default;
};
struct InPrefix {  ///< ip saddr PREFIX
  Prefix prefix;
  bool source = true;
  bool negate = false;
  bool operator==(const InPrefix&) const = default;
};
struct FromInterface {  ///< iifname NAME; is_prefix: NAME*
  std::string name;
  bool is_prefix = false;
  bool negate = false;
  bool operator==(const FromInterface&) const = default;
};
struct IsLocal {  ///< fib saddr type local
  bool source = true;
  bool operator==(const IsLocal&) const = default;
};
struct HasMark {  ///< meta mark & BITS != 0
  std::uint32_t bits = 0;
  bool operator==(const HasMark&) const = default;
};
struct ChangeMark {  ///< meta mark set meta mark | BITS, or ^ BITS
  std::uint32_t bits = 0;
  bool flip = false;
  bool operator==(const ChangeMark&) const = default;
};
/// meta priority set CLIENT map @affinity: the endpoint at which the client is remembered. CLIENT is address, protocol
/// and, in the priority, the service port's identity; of IPv6 a hash of them: nft 1.0.6 aborts when it loads a rule
/// that adds to a map with a key of more than 16 bytes.
struct RecallClient {
  bool operator==(const RecallClient&) const = default;
};
struct SetPriority {  ///< meta priority set KEY map @MAP
  Key key;
  SetRef map;
  bool operator==(const SetPriority&) const = default;
};
struct FixPriority {  ///< meta priority set VALUE
  std::uint32_t value = 0;
  bool operator==(const FixPriority&) const = default;
};
/// meta priority set numgen random mod NUMBERS offset FIRST, or set jhash ip saddr . th sport . ip daddr . th dport ...
struct DrawNumber {
  std::uint32_t numbers = 1;
  std::uint32_t first = 0;
  std::optional<std::uint32_t> seed;  ///< of the hash; none: at random
  bool operator==(const DrawNumber&) const = default;
};
struct HasPriority {  ///< meta priority & MASK == VALUE
  std::uint32_t mask = 0;
  std::uint32_t value = 0;
  bool operator==(const HasPriority&) const = default;
};
struct HasProtocol {  ///< meta l4proto PROTOCOL
  Protocol protocol = Protocol::kTcp;
  bool operator==(const HasProtocol&) const = default;
};
struct Translate {  ///< dnat to KEY map @MAP
  Key key;
  SetRef map;
  bool operator==(const Translate&) const = default;
};
/// update @affinity { CLIENT timeout T : ENDPOINT }. An entry that is there keeps its endpoint (Linux 5.6 to 6.18).
struct Remember {
  enum class What : std::uint8_t {
    kEndpoint,  ///< ENDPOINT is the hash of the packet's destination and port, see endpoint_id.h
    kAgain,     ///< the entry is there, and its time begins anew; ENDPOINT is what stands in the priority, and is none
    kNothing,   ///< delete in place of update
  };
  What what = What::kEndpoint;
  std::uint32_t timeout = 0;  ///< seconds
  bool operator==(const Remember&) const = default;
};
struct Masquerade {  ///< masquerade fully-random
  bool operator==(const Masquerade&) const = default;
};
struct Reject {
  bool operator==(const Reject&) const = default;
};
struct Drop {
  bool operator==(const Drop&) const = default;
};
struct GoTo {  ///< goto CHAIN, or jump
  std::string chain;
  bool jump = false;
  bool operator==(const GoTo&) const = default;
};

struct AddToFlowtable {  ///< flow add @fast-path
  bool operator==(const AddToFlowtable&) const = default;
};

using Statement =
    std::variant<InSet, IsNew, IsEstablished, HasMorePackets, IsTranslated, InPrefix, FromInterface, IsLocal, HasMark,
                 ChangeMark, RecallClient, SetPriority, FixPriority, DrawNumber, HasPriority, HasProtocol, Translate,
                 Remember, Masquerade, Reject, Drop, GoTo, AddToFlowtable>;

struct NftRule {
  std::vector<Statement> statements;
  std::string comment;
  bool operator==(const NftRule&) const = default;
};

enum class Hook : std::uint8_t { kNone, kPrerouting, kInput, kForward, kOutput, kPostrouting };

struct Chain {
  std::string name;
  Hook hook = Hook::kNone;
  bool nat = false;  ///< of a base chain: type nat, else filter
  std::int32_t priority = 0;
  std::vector<NftRule> rules;
  bool operator==(const Chain&) const = default;
};

struct Ruleset {
  std::vector<SetSpec> sets;
  std::vector<FlowtableSpec> flowtables;  ///< one, or none
  std::vector<Chain> chains;              ///< a chain comes after those that it goes to
};

/// Endpoints of one service port are found by a drawn number: past so many it is drawn from the next larger range.
inline constexpr std::array<std::uint32_t, 7> kSizes{4, 16, 64, 256, 1024, 4096, 16384};
/// More endpoints than that are not used, and of those on this node not more than the other.
inline constexpr std::uint32_t kMaxEndpoints = kSizes.back();
inline constexpr std::size_t kLocalSizes = 5;
inline constexpr std::uint32_t kMaxLocalEndpoints = kSizes[kLocalSizes - 1];

/// The ways to an endpoint: there are four maps of endpoints, and as many kinds of SetId::kLarger and kSticky.
inline constexpr std::size_t kWayCount = 4;
/// The way that one of the four kinds of SetId from `first` on (kEndpoints or kLarger) is of; none for another kind.
[[nodiscard]] constexpr std::optional<std::size_t> way_of(SetId id, SetId first) {
  const std::size_t way = static_cast<std::size_t>(id) - static_cast<std::size_t>(first);
  return way < kWayCount ? std::optional(way) : std::nullopt;
}

/// A connection enters the flowtable behind so many packets, counted in both directions (KEP-4963).
inline constexpr std::uint64_t kPacketsBeforeFastPath = 20;

/// A drawn number is in the packet's priority until the packet is translated: nft has no other place for it in which it
/// has a type that a key can have (1.0.6 to 1.1.7). So that it is known as one, it is a class of its own.
inline constexpr std::uint32_t kDrawnMask = 0xfffc0000U;
inline constexpr std::uint32_t kDrawn = 0x7f000000U;
/// Drawn numbers and identities of endpoints; identities of service ports are not in it.
inline constexpr std::uint32_t kOwnMask = 0xc0000000U;
inline constexpr std::uint32_t kOwn = 0x40000000U;
/// How an endpoint's identity follows from its address and port: jhash ... mod kEndpointIds offset kOwn.
inline constexpr std::uint32_t kEndpointIds = kDrawn - kOwn;
inline constexpr std::uint32_t kHashSeed = 0x6b756265U;
/// How a client of IPv6 is hashed: to any number but one.
inline constexpr std::uint32_t kClientHashes = 0xffffffffU;
/// And so that it is known of which map of endpoints.
inline constexpr std::uint32_t kDrawnFromMask = 0xffff0000U;
/// The number of the first endpoint in one of the four maps of endpoints.
[[nodiscard]] constexpr std::uint32_t first_number(SetId endpoints) {
  return kDrawn + (static_cast<std::uint32_t>(*way_of(endpoints, SetId::kEndpoints)) << 16U);
}

/// What of the ruleset follows from the Services. It is no more than they need: with all ranges the table of 1 000
/// Services with four endpoints takes the kernel three times as long to write (22 ms in place of 8, 6.18).
struct InUse {
  std::vector<std::uint32_t> timeouts;  ///< of affinity, in seconds, ascending; a set and a rule each
  /// So many of kSizes, by way in the order of SetId; at least one each, and past the last one there is none.
  std::array<std::size_t, kWayCount> sizes{1, 1, 1, 1};
  bool source_ranges = false;  ///< of load balancers

  bool operator==(const InUse&) const = default;
};
/// As with the largest Services.
inline constexpr std::array<std::size_t, kWayCount> kAllSizes{kSizes.size(), kLocalSizes, kSizes.size(), kLocalSizes};
/// All of it.
[[nodiscard]] Ruleset compile_ruleset(const RulesetOptions& options, const InUse& in_use);

}  // namespace kubenatd::rules::nftables
