#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "rules/address.h"
#include "rules/nftables/options.h"

/// The constant part of nftables mode as values: sets, maps, chains and their rules, in the words of nft.
///
/// Services and endpoints are elements only (elements.h): nothing here grows with them. What varies are the options and
/// the affinity timeouts in use, one set and one rule each.
namespace kubenatd::rules::nftables {

inline constexpr const char* kTable = "kubenatd";
inline constexpr const char* kTableComment = "Services of this node, kept by kubenatd";

/// One part of a key or of a map's value.
enum class FieldType : std::uint8_t { kAddress, kProtocol, kPort, kMark, kClassId };

/// The sets and maps. Those of affinity timeouts come behind kAffinity, see SetRef.
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
  kLarger,
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
  kTimeout,  ///< the set of an affinity timeout: SetRef::timeout says which
};
inline constexpr std::size_t kFixedSets = static_cast<std::size_t>(SetId::kTimeout);

/// A set or map. One of an affinity timeout has that in seconds, the others 0.
struct SetRef {
  SetId id = SetId::kClusterIps;
  std::uint32_t timeout = 0;
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

  bool operator==(const SetSpec&) const = default;
};

/// What a rule loads from the packet into one part of a key.
struct Operand {
  enum class Kind : std::uint8_t { kSource, kDestination, kProtocol, kPort, kPriority, kRandom, kConstant };
  Kind kind = Kind::kSource;
  std::uint32_t value = 0;  ///< kRandom: how many numbers there are; kConstant: the number

  bool operator==(const Operand&) const = default;
};
using Key = std::vector<Operand>;

struct InSet {  ///< KEY @SET
  Key key;
  SetRef set;
  bool negate = false;
  bool operator==(const InSet&) const = default;
};
struct IsNew {  ///< ct state new
  bool operator==(const IsNew&) const = default;
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
struct SetPriority {  ///< meta priority set KEY map @MAP; without a key: set none
  Key key;
  SetRef map;
  bool operator==(const SetPriority&) const = default;
};
struct Translate {  ///< dnat to KEY map @MAP
  Key key;
  SetRef map;
  bool operator==(const Translate&) const = default;
};
struct Remember {  ///< update @affinity { ip saddr . meta l4proto . meta priority timeout T : ip daddr . th dport }
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

using Statement = std::variant<InSet, IsNew, IsTranslated, InPrefix, FromInterface, IsLocal, HasMark, ChangeMark,
                               SetPriority, Translate, Remember, Masquerade, Reject, Drop, GoTo>;

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
  std::vector<Chain> chains;  ///< a chain comes after those that it goes to
};

/// Endpoints of one service port are found by a random number: past so many it is drawn from the next larger range.
inline constexpr std::array<std::uint32_t, 7> kSizes{4, 16, 64, 256, 1024, 4096, 16384};
/// More endpoints than that are not used, and of those on this node not more than the other.
inline constexpr std::uint32_t kMaxEndpoints = kSizes.back();
inline constexpr std::size_t kLocalSizes = 5;
inline constexpr std::uint32_t kMaxLocalEndpoints = kSizes[kLocalSizes - 1];

/// All of it. `timeouts` are the affinity timeouts in use, in seconds, ascending.
[[nodiscard]] Ruleset compile_ruleset(const RulesetOptions& options, const std::vector<std::uint32_t>& timeouts);

}  // namespace kubenatd::rules::nftables
